"""`libra archive`: what it sends, and where it takes the token from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from libra_client.cli.archive import message_of
from libra_client.cli.errors import BadArgument
from libra_client.cli.main import parser
from libra_messages.worker import Archive, parse

SWIFT_AUTH = {"OS_STORAGE_URL": "https://swift.example/v1/AUTH_1", "OS_AUTH_TOKEN": "gAAAA"}


def asked(*arguments: str) -> argparse.Namespace:
    return parser().parse_args(["archive", "web-1", "logs", *arguments])


def test_what_swift_auth_prints_is_enough() -> None:
    # Given the variables that `swift auth` sets / When a message is made of them
    message = message_of(asked("--id", "15", "--protocol", "tcp"), SWIFT_AUTH)
    # Then it is a whole ARCHIVE
    request = parse(message, max_nodes=1)
    assert isinstance(request, Archive)
    assert request.hpcs_object_store_endpoint == SWIFT_AUTH["OS_STORAGE_URL"]
    assert request.hpcs_object_store_token.get_secret_value() == "gAAAA"
    assert message["loadbalancers"] == [{"id": "15", "protocol": "TCP"}]


def test_options_and_a_file_take_the_place_of_variables(tmp_path: Path) -> None:
    # Given a file with a token
    file = tmp_path / "token"
    file.write_text("from-file\n")
    # When it and another URL are given
    message = message_of(
        asked("--endpoint", "https://other.example/v1/x", "--token-file", str(file)), SWIFT_AUTH
    )
    # Then they count
    assert message["hpcs_object_store_token"] == file.read_text().strip()
    assert message["hpcs_object_store_endpoint"] == "https://other.example/v1/x"
    assert message["loadbalancers"] == [{"protocol": "HTTP"}]


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        ((), {}, "no account"),
        (("--endpoint", "https://x/v1"), {}, "no token"),
        (("--endpoint", "https://x/v1", "--token-file", "/none/there"), {}, "cannot read"),
    ],
)
def test_what_is_missing_is_named_before_anything_is_sent(
    arguments: tuple[str, ...], environment: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadArgument, match=words):
        message_of(asked(*arguments), environment)


def test_no_option_takes_the_token_itself() -> None:
    # Since every user of a machine can read command lines
    with pytest.raises(SystemExit):
        asked("--token", "x")
