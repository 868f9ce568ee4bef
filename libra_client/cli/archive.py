"""`libra archive`: have a node send its access logs to a Swift account."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from libra_client.cli import options, output, sending
from libra_client.cli.errors import BadArgument
from libra_client.cli.exits import Exit
from libra_common.masking import MASK
from libra_messages.fields import Protocol
from libra_messages.fold import ascii_lower
from libra_messages.worker import Archive

ARCHIVE_TIMEOUT = 3700.0
"""Seconds; a node gives an ARCHIVE an hour, unless its settings say otherwise."""

_TOKEN = "hpcs_object_store_token"  # noqa: S105 - a field's name
_URL_VARIABLE, _TOKEN_VARIABLE = "OS_STORAGE_URL", "OS_AUTH_TOKEN"


def add(commands: options.Commands) -> None:
    """Add the command."""
    archive = options.add_command(
        commands,
        "archive",
        about="send a node's access logs to a container of a Swift account",
        more="Each log becomes a gzipped object and is removed from the node once the store has"
        f" confirmed it. The token is read from a file or from {_TOKEN_VARIABLE}, and the account's"
        f" URL may be in {_URL_VARIABLE}: what `swift auth` prints. A token on the command line"
        " could be read by everybody on this machine, so there is no option for it.",
        examples="  eval $(swift auth)\n  libra archive web-1 lbaaslogs --id 15\n"
        "  libra archive web-1 lbaaslogs --endpoint https://swift.example/v1/AUTH_100"
        " --token-file token",
    )
    archive.add_argument("node", metavar="NODE", help="the node's name, as its worker registers it")
    archive.add_argument(
        "container", metavar="CONTAINER", help="the container; made where it is missing"
    )
    archive.add_argument(
        "--endpoint", metavar="URL", help=f"URL of the account (default: {_URL_VARIABLE})"
    )
    archive.add_argument(
        "--token-file",
        metavar="FILE",
        help=f"the file that holds the token (default: {_TOKEN_VARIABLE})",
    )
    archive.add_argument(
        "--protocol",
        action="append",
        choices=[protocol.value for protocol in Protocol],
        type=str.upper,
        help="the load balancer's; may be given several times (default: HTTP)",
    )
    archive.add_argument("--id", metavar="ID", help="the load balancer's id, which names objects")
    options.add_common(archive)
    archive.set_defaults(run=_archive)


def message_of(asked: argparse.Namespace, environment: Mapping[str, str]) -> dict[str, Any]:
    """The message that was asked for; raises BadArgument where a part is nowhere to be had."""
    endpoint = asked.endpoint or environment.get(_URL_VARIABLE, "")
    if not endpoint:
        raise BadArgument(f"no account: give --endpoint URL, or set {_URL_VARIABLE}")
    one = {} if asked.id is None else {"id": asked.id}
    return {
        "hpcs_action": Archive.action,
        "hpcs_object_store_type": "swift",
        "hpcs_object_store_basepath": asked.container,
        "hpcs_object_store_endpoint": endpoint,
        _TOKEN: _token(asked.token_file, environment),
        "loadbalancers": [{**one, "protocol": protocol} for protocol in asked.protocol or ["HTTP"]],
    }


def _token(file: str | None, environment: Mapping[str, str]) -> str:
    if file is None:
        token = environment.get(_TOKEN_VARIABLE, "")
        if not token:
            raise BadArgument(f"no token: give --token-file FILE, or set {_TOKEN_VARIABLE}")
        return token
    try:
        return Path(file).read_text(encoding="ascii").strip()
    except OSError as error:
        raise BadArgument(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadArgument(f"{file} holds no token: it is not ASCII") from error


def _archive(asked: argparse.Namespace) -> Exit:
    result = sending.send(asked, message_of(asked, os.environ), timeout=ARCHIVE_TIMEOUT)
    answer = {
        name: MASK if ascii_lower(name) == _TOKEN else value
        for name, value in result.answer.items()
    }
    if options.wants_json(asked):
        output.show_json(answer)
        return Exit.OK if result.ok else Exit.FAIL
    columns = ("protocol", "name", "lines", "bytes")
    objects = answer.get("objects")
    rows = [one for one in objects if isinstance(one, dict)] if isinstance(objects, list) else []
    if not result.ok:
        # What was sent before it failed is sent.
        if rows:
            output.show_table(columns, ([row.get(name) for name in columns] for row in rows))
        return sending.refused(asked, result)
    note = answer.get("note")
    output.say(
        f"{asked.node}: {Archive.action}", "PASS", *([note] if isinstance(note, str) else [])
    )
    if rows:
        output.show_table(columns, ([row.get(name) for name in columns] for row in rows))
    return Exit.OK
