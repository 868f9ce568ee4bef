"""The pool manager's messages: what is taken, what is refused, and the one slip."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_messages import pool, pool_answers
from libra_messages.codes import Code
from libra_messages.faults import Malformed
from libra_messages.pool import (
    AssignIp,
    AttachPort,
    BuildDevice,
    BuildIp,
    DeleteDevice,
    DeleteIp,
    DetachPort,
    ListDevices,
    RemoveIp,
)
from libra_messages.pool_agent import Agent
from libra_messages.schema import schema

NAME = "libra-stg-haproxy-eaf1fef0-1584-11e3-b42b-02163e192df9"

EXAMPLES = (
    (b'{"action": "BUILD_DEVICE"}', BuildDevice()),
    (f'{{"action": "DELETE_DEVICE", "name": "{NAME}"}}'.encode(), DeleteDevice(name=NAME)),
    (b'{\n"action": "BUILD_IP",\n}', BuildIp()),
    (
        f'{{"action": "ASSIGN_IP", "ip": "15.185.234.125", "name": "{NAME}"}}'.encode(),
        AssignIp(ip="15.185.234.125", name=NAME),
    ),
    (
        f'{{"action": "REMOVE_IP", "ip": "15.185.234.125", "name": "{NAME}"}}'.encode(),
        RemoveIp(ip="15.185.234.125", name=NAME),
    ),
    (b'{"action": "DELETE_IP", "ip": "15.185.234.125"}', DeleteIp(ip="15.185.234.125")),
    (
        f'{{"action": "ATTACH_PORT", "name": "{NAME}", "key": "k", "subnet": null,'
        '"addresses": ["192.0.2.1", "2001:DB8:0::1"], "security_groups": []}'.encode(),
        AttachPort.model_validate(
            {
                "name": NAME,
                "key": "k",
                "addresses": ["192.0.2.1", "2001:db8::1"],
                "security_groups": [],
            }
        ),
    ),
    (
        f'{{"action": "DETACH_PORT", "name": "{NAME}", "port": "p"}}'.encode(),
        DetachPort(name=NAME, port="p"),
    ),
    (b'{"action": "LIST_DEVICES"}', ListDevices()),
)


@pytest.mark.parametrize(("sent", "read"), EXAMPLES, ids=[read.action for _, read in EXAMPLES])
def test_every_example_is_taken_slip_included(sent: bytes, read: pool.Request) -> None:
    assert pool.parse(pool.decode(sent)) == read


@pytest.mark.parametrize(("sent", "read"), EXAMPLES, ids=[read.action for _, read in EXAMPLES])
def test_names_and_actions_are_taken_in_any_case(sent: bytes, read: pool.Request) -> None:
    message = pool.decode(sent)
    shouted = {
        name.upper(): value.lower() if name == "action" else value
        for name, value in message.items()
    }
    assert pool.parse(shouted) == read


@pytest.mark.parametrize(
    "sent",
    [
        b'{"action": "BUILD_DEVICE",}',
        b'{"action": "BUILD_IP",,}',
        b'{"action": "BUILD_IP", "x": [1,]}',
        b'{"action": "BUILD_IP", "x": {"y": 1,}}',
        b'{"action": "BUILD_IP"},',
        b'["BUILD_IP",]',
        b"{,}",
    ],
)
def test_a_trailing_comma_anywhere_else_is_refused(sent: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        pool.decode(sent)
    assert refused.value.code == Code.BAD_JSON


def test_the_slip_is_taken_in_any_case_and_with_unknown_fields() -> None:
    sent = b'{"x": "a,}", "ACTION": "build_ip" , } \n'
    assert pool.parse(pool.decode(sent)) == BuildIp()


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        message = pool.decode(data)
    except Malformed:
        return
    assert isinstance(message, dict)


def test_a_device_may_be_asked_for_with_wishes() -> None:
    message = {"action": "BUILD_DEVICE", "Flavor": "m1.small", "image": 12345, "az": None}
    assert pool.parse(message) == BuildDevice(flavor="m1.small", image="12345")


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ({"action": "DELETE_DEVICE"}, "name"),
        ({"action": "DELETE_DEVICE", "name": ""}, "name"),
        ({"action": "DELETE_DEVICE", "name": "../x"}, "name"),
        ({"action": "DELETE_DEVICE", "name": "a b"}, "name"),
        ({"action": "DELETE_DEVICE", "name": "x" * 256}, "name"),
        ({"action": "DELETE_DEVICE", "name": 7}, "name"),
        ({"action": "DELETE_DEVICE", "name": "a\n"}, "name"),
        ({"action": "DELETE_DEVICE", "name": "a", "Name": "b"}, "name"),
        ({"action": "ASSIGN_IP", "name": "a"}, "ip"),
        ({"action": "ASSIGN_IP", "name": "a", "ip": "one"}, "ip"),
        ({"action": "DELETE_IP", "ip": ["1.2.3.4"]}, "ip"),
        ({"action": "BUILD_DEVICE", "flavor": ""}, "flavor"),
        ({"action": "BUILD_DEVICE", "image": {"id": 1}}, "image"),
        ({"action": "BUILD_DEVICE", "az": True}, "az"),
        ({"action": "BUILD_DEVICE", "network": "a\x00b"}, "network"),
    ],
)
def test_a_faulty_field_is_named(message: dict[str, object], path: str) -> None:
    with pytest.raises(Malformed) as refused:
        pool.parse(message)
    assert refused.value.code == Code.MALFORMED_MESSAGE
    assert path in [fault.path for fault in refused.value.faults]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({}, Code.MISSING_ACTION),
        ({"hpcs_action": "BUILD_IP"}, Code.MISSING_ACTION),
        ({"action": "EXPLODE"}, Code.UNKNOWN_ACTION),
        ({"action": ["BUILD_IP"]}, Code.UNKNOWN_ACTION),
        ({"action": "BUILD_IP", "Action": "BUILD_IP"}, Code.MALFORMED_MESSAGE),
    ],
)
def test_without_a_known_action_nothing_is_read(message: dict[str, object], code: Code) -> None:
    with pytest.raises(Malformed) as refused:
        pool.parse(message)
    assert refused.value.code == code


def test_an_answer_keeps_the_request_and_replaces_what_only_an_answer_may_say() -> None:
    # Given an answer that comes back as a request
    request = {"Action": "build_ip", "RESPONSE": "PASS", "error": "old", "badRequest": {}, "Id": 1}
    # When it is answered anew
    answer = pool_answers.passed(request, id="12345", ip="15.185.234.125")
    # Then nothing of the old answer is left
    assert answer == {
        "Action": "build_ip",
        "id": "12345",
        "ip": "15.185.234.125",
        "response": "PASS",
    }


def test_a_failure_says_why_where_api_servers_look_for_it() -> None:
    with pytest.raises(Malformed) as refused:
        pool.parse({"action": "DELETE_IP"})
    answer = pool_answers.from_malformed({"action": "DELETE_IP"}, refused.value)
    assert answer["response"] == "FAIL"
    assert answer["error"] == answer["hpcs_error"] == "ip: is required"
    assert answer["error_code"] == "malformed_message"
    assert answer["badRequest"]["validationErrors"]["message"] == "ip: is required"


@pytest.mark.parametrize("action", pool.ACTIONS)
def test_each_action_has_a_schema_that_names_its_fields(action: str) -> None:
    made = schema(action.lower(), pool.FAMILY)
    json.dumps(made)
    assert made["title"] == action
    assert set(made["properties"]) == {"action", *pool.FAMILY.models[action].model_fields}
    required = [
        name
        for name, field in pool.FAMILY.models[action].model_fields.items()
        if field.is_required()
    ]
    assert made["required"] == ["action", *required]


# -- the field `agent` ---------------------------------------------------------------------------

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
PRIVATE = "-----BEGIN RSA PRIVATE KEY-----\nBBBB\n-----END RSA PRIVATE KEY-----\n"
AGENT: dict[str, Any] = {
    "amphora_id": "6E2BC8A0-2548-4fb7-a5f0-fb1ef4a696ce",
    "certificate": CERTIFICATE + PRIVATE + CERTIFICATE,
    "ca": CERTIFICATE,
    "heartbeat_key": "0123456789abcdef",
    "controllers": ["192.0.2.1:5555", "[2001:DB8::1]:05555", "health.example.org:5555"],
}


def parsed_agent(**changes: object) -> Agent:
    found = pool.parse({"action": "BUILD_DEVICE", "Agent": {**AGENT, **changes}})
    assert isinstance(found, BuildDevice)
    assert found.agent is not None
    return found.agent


def test_an_agent_is_read_in_any_case_and_in_canonical_form() -> None:
    message = {"action": "build_device", "AGENT": {k.upper(): v for k, v in AGENT.items()}}
    found = pool.parse(message)
    assert found == BuildDevice(agent=parsed_agent())
    agent = parsed_agent()
    assert agent.amphora_id == "6e2bc8a0-2548-4fb7-a5f0-fb1ef4a696ce"
    assert agent.certificate.get_secret_value() == AGENT["certificate"]
    assert agent.controllers == (
        "192.0.2.1:5555",
        "[2001:db8::1]:5555",
        "health.example.org:5555",
    )
    assert agent.port == 9443


def test_no_secret_of_an_agent_is_in_what_is_shown_of_it() -> None:
    shown = repr(pool.parse({"action": "BUILD_DEVICE", "agent": AGENT}))
    assert "BBBB" not in shown
    assert AGENT["heartbeat_key"] not in shown


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amphora_id", "6e2bc8a025484fb7a5f0fb1ef4a696ce"),
        ("amphora_id", 7),
        ("certificate", CERTIFICATE),
        ("certificate", PRIVATE),
        ("certificate", CERTIFICATE + PRIVATE + PRIVATE),
        ("certificate", CERTIFICATE + PRIVATE.replace("RSA", "ENCRYPTED")),
        ("certificate", f"# a comment\n{CERTIFICATE}{PRIVATE}"),
        ("certificate", CERTIFICATE * 1000 + PRIVATE),
        ("ca", CERTIFICATE + PRIVATE),
        ("ca", ""),
        ("heartbeat_key", "short"),
        ("heartbeat_key", "0123456789 abcdef"),
        ("heartbeat_key", '"0123456789abcdef"'),
        ("heartbeat_key", "0123456789abcdef\n"),
        ("heartbeat_key", "0123456789abcdef\u00e9"),
        ("controllers", "192.0.2.1:5555"),
        ("controllers", ["192.0.2.1"]),
        ("controllers", ["2001:db8::1:5555"]),
        ("controllers", ["[192.0.2.1]:5555"]),
        ("controllers", ["192.0.2.256:5555"]),
        ("controllers", ["a:0"]),
        ("controllers", ["a, b:5555"]),
        ("controllers", [{"host": "a"}]),
        ("controllers", ["a:5555"] * 33),
        ("port", 65536),
    ],
)
def test_a_faulty_field_of_an_agent_is_named_without_any_secret(field: str, value: object) -> None:
    with pytest.raises(Malformed) as refused:
        parsed_agent(**{field: value})
    assert [fault.path for fault in refused.value.faults] == [f"agent.{field}"]
    if field in ("certificate", "heartbeat_key"):
        assert str(value) not in str(refused.value)


@given(st.text(max_size=40))
def test_any_text_is_a_controllers_place_that_reads_the_same_again_or_refused(text: str) -> None:
    try:
        (place,) = parsed_agent(controllers=[text]).controllers
    except Malformed:
        return
    assert parsed_agent(controllers=[place]).controllers == (place,)
    assert place.isascii()
    assert "," not in place


@given(st.lists(st.ip_addresses().map(str), max_size=5))
def test_addresses_of_a_port_are_each_there_once(addresses: list[str]) -> None:
    message = {"action": "ATTACH_PORT", "name": "a", "key": "k", "addresses": addresses}
    found: pool.Request | None
    paths: set[str] = set()
    try:
        found = pool.parse(message)
    except Malformed as refused:
        paths = {fault.path for fault in refused.faults}
        found = None
    if found is None:
        assert paths == {"addresses"}
        return
    assert isinstance(found, AttachPort)
    assert found.addresses is not None
    assert len(set(found.addresses)) == len(found.addresses) == len(addresses)
