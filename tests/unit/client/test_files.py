"""The UPDATE message that a file stands for."""

from __future__ import annotations

from typing import Any

import pytest

from libra_client.cli.files import update_message, with_action
from libra_messages.decode import decode
from libra_messages.faults import Malformed
from libra_messages.worker import parse

LBS = b'"loadBalancers": [{"protocol": "HTTP", "nodes": [{"address": "10.0.0.1", "port": 80}]}]'


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"", {"hpcs_action": "UPDATE"}),
        (b'"hpcs_action": null, ', {"hpcs_action": "UPDATE"}),
        (b'"HPCS_Action": null, ', {"hpcs_action": "UPDATE"}),
        (b'"hpcs_action": "UPDATE", ', {"hpcs_action": "UPDATE"}),
        (b'"HPCS_ACTION": "update", ', {"HPCS_ACTION": "update"}),
    ],
)
def test_the_action_is_added_where_it_is_absent_and_left_as_written_where_it_is_not(
    start: bytes, expected: dict[str, Any]
) -> None:
    # Given a file with or without an action
    message = update_message("f", b"{" + start + LBS + b"}")
    # Then there is one action, as a node reads it
    actions = {name: found for name, found in message.items() if name.lower() == "hpcs_action"}
    assert actions == expected
    assert parse(message, max_nodes=1)


def test_what_a_node_would_echo_is_sent_as_written() -> None:
    # Given unknown fields and names in their own spelling
    message = update_message("f", b'{"Extra": [1, null], "name": "\\ud800", ' + LBS + b"}")
    # Then they are in the message
    assert message["Extra"] == [1, None]
    assert message["name"] == "\ud800"
    assert "loadBalancers" in message


def test_adding_an_action_does_not_hide_a_field_given_twice() -> None:
    # Given a message without an action and with its load balancers given twice
    message = with_action(decode(b"{" + LBS + b", " + LBS + b"}"))
    # Then it is still refused for that
    with pytest.raises(Malformed, match="loadbalancers: given more than once"):
        parse(message, max_nodes=1)
