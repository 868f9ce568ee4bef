"""Who may send what: each role and each kind of packet, and names that nearly fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_common.roles import Identity, Role
from libra_gate.packets import HEAD, REQUEST, Kind, Packet
from libra_gate.rules import owns, refusal_of, submits_to

NODE = Identity(Role.NODE, "web-1")
CONTROLLER = Identity(Role.CONTROLLER, "api")
POOL = Identity(Role.POOL, "pool-1")
PROVIDER = Identity(Role.PROVIDER, "octavia-1")
OPERATOR = Identity(Role.OPERATOR, "ann")
EVERYBODY = (NODE, CONTROLLER, POOL, PROVIDER, OPERATOR)

_FUNCTIONS = (b"web-1", b"web-2", b"libra_pool_mgm", b"libra_octavia")


def packet(kind: int, *fields: bytes) -> Packet:
    body = b"\0".join(fields)
    return Packet(kind, len(body), body[:HEAD], REQUEST)


def passes(who: Identity, kind: int, *fields: bytes) -> bool:
    return refusal_of(who, packet(kind, *fields)) is None


@pytest.mark.parametrize(
    ("who", "functions"),
    [
        (NODE, {b"web-1"}),
        (CONTROLLER, set()),
        (POOL, {b"libra_pool_mgm"}),
        (PROVIDER, {b"libra_octavia"}),
        (OPERATOR, set(_FUNCTIONS)),
    ],
)
def test_each_role_takes_the_jobs_of_these_and_no_other_function(
    who: Identity, functions: set[bytes]
) -> None:
    for kind, more in ((Kind.CAN_DO, []), (Kind.CAN_DO_TIMEOUT, [b"60"]), (Kind.CANT_DO, [])):
        assert {one for one in _FUNCTIONS if passes(who, kind, one, *more)} == functions


@pytest.mark.parametrize(
    ("who", "functions"),
    [
        (NODE, set()),
        (CONTROLLER, set(_FUNCTIONS)),
        (POOL, {b"web-1", b"web-2"}),
        (PROVIDER, {b"libra_pool_mgm", b"libra_octavia"}),
        (OPERATOR, set(_FUNCTIONS)),
    ],
)
@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (Kind.SUBMIT_JOB, [b"u", b"data"]),
        (Kind.SUBMIT_JOB_HIGH, [b"u", b"data"]),
        (Kind.SUBMIT_JOB_LOW, [b"u", b"data"]),
        (Kind.SUBMIT_JOB_BG, [b"u", b"data"]),
        (Kind.SUBMIT_JOB_HIGH_BG, [b"u", b"data"]),
        (Kind.SUBMIT_JOB_LOW_BG, [b"u", b"data"]),
        (Kind.SUBMIT_JOB_EPOCH, [b"u", b"1", b"data"]),
        (Kind.SUBMIT_JOB_SCHED, [b"u", b"1", b"1", b"1", b"1", b"1", b"data"]),
    ],
)
def test_each_role_submits_to_these_and_no_other_function(
    who: Identity, functions: set[bytes], kind: Kind, more: list[bytes]
) -> None:
    assert {one for one in _FUNCTIONS if passes(who, kind, one, *more)} == functions


def test_a_reducer_is_a_function_that_is_submitted_to() -> None:
    for kind in (Kind.SUBMIT_REDUCE_JOB, Kind.SUBMIT_REDUCE_JOB_BACKGROUND):
        assert passes(POOL, kind, b"web-1", b"u", b"web-2", b"data")
        assert not passes(POOL, kind, b"web-1", b"u", b"libra_pool_mgm", b"data")
        assert not passes(POOL, kind, b"libra_pool_mgm", b"u", b"web-1", b"data")


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"web-1\0",
        b"web-1\0x",
        b"web-10",
        b"web-",
        b"WEB-1",
        b" web-1",
        b"web-1 ",
        b"web-1/\0",
        b"web-1/a b",
        b"web-1\t",
        b"web-1/" + b"x" * HEAD,
        b"\xef\xbb\xbfweb-1",
    ],
)
def test_a_name_that_is_nearly_its_own_is_not_a_nodes(name: bytes) -> None:
    assert not passes(NODE, Kind.CAN_DO, name)
    assert not passes(NODE, Kind.SET_CLIENT_ID, name)


def test_what_is_below_its_name_is_a_nodes() -> None:
    assert passes(NODE, Kind.CAN_DO, b"web-1/archive")
    assert passes(NODE, Kind.SET_CLIENT_ID, b"web-1/3")


def test_ids_are_those_of_the_certificate() -> None:
    assert passes(POOL, Kind.SET_CLIENT_ID, b"libra_pool_mgm@host/1")
    assert passes(PROVIDER, Kind.SET_CLIENT_ID, b"libra_octavia/1")
    assert passes(CONTROLLER, Kind.SET_CLIENT_ID, b"api")
    assert passes(OPERATOR, Kind.SET_CLIENT_ID, b"anything")
    for who in (NODE, CONTROLLER):
        for name in (b"libra_pool_mgm", b"libra_pool_mgm@host", b"web-2", b"web-2/1"):
            assert not passes(who, Kind.SET_CLIENT_ID, name)
    assert not passes(POOL, Kind.SET_CLIENT_ID, b"web-1/1")


def test_what_would_be_relied_on_ends_the_connection() -> None:
    for kind, name in ((Kind.CAN_DO, b"web-2"), (Kind.SET_CLIENT_ID, b"web-2")):
        refusal = refusal_of(NODE, packet(kind, name))
        assert refusal is not None
        assert refusal.ends
        assert "web-2" in refusal.reason


@pytest.mark.parametrize("kind", [one for one in range(64) if one not in (*Kind, 5)] + [2**32 - 1])
@pytest.mark.parametrize("who", EVERYBODY)
def test_what_the_protocol_does_not_know_passes_for_nobody(who: Identity, kind: int) -> None:
    assert not passes(who, kind, b"web-1", b"u", b"data")


@pytest.mark.parametrize(
    "kind",
    [
        Kind.NOOP,
        Kind.JOB_CREATED,
        Kind.NO_JOB,
        Kind.JOB_ASSIGN,
        Kind.ECHO_RES,
        Kind.ERROR,
        Kind.STATUS_RES,
        Kind.OPTION_RES,
        Kind.JOB_ASSIGN_UNIQ,
        Kind.JOB_ASSIGN_ALL,
        Kind.STATUS_RES_UNIQUE,
    ],
)
@pytest.mark.parametrize("who", EVERYBODY)
def test_what_only_servers_say_passes_for_nobody(who: Identity, kind: Kind) -> None:
    assert not passes(who, kind, b"H:a:1", b"data")


@pytest.mark.parametrize("who", EVERYBODY)
def test_echoes_and_options_are_for_everybody(who: Identity) -> None:
    assert passes(who, Kind.ECHO_REQ, b"anything")
    assert passes(who, Kind.OPTION_REQ, b"exceptions")


def test_a_controller_is_no_worker_and_a_node_no_client() -> None:
    for kind in (Kind.GRAB_JOB, Kind.GRAB_JOB_UNIQ, Kind.GRAB_JOB_ALL, Kind.PRE_SLEEP):
        assert passes(NODE, kind)
        assert not passes(CONTROLLER, kind)
    for kind in (Kind.WORK_COMPLETE, Kind.WORK_FAIL, Kind.WORK_DATA, Kind.WORK_STATUS):
        assert passes(NODE, kind, b"H:a:1", b"x")
        assert not passes(CONTROLLER, kind, b"H:a:1", b"x")
    assert passes(CONTROLLER, Kind.GET_STATUS, b"H:a:1")
    assert not passes(NODE, Kind.GET_STATUS, b"H:a:1")


@pytest.mark.parametrize("fields", [(b"web-1",), (b"web-1", b"u"), ()])
def test_a_job_that_lacks_fields_is_refused(fields: tuple[bytes, ...]) -> None:
    # gearmand would not answer it at all
    assert not passes(CONTROLLER, Kind.SUBMIT_JOB, *fields)


@given(name=st.binary(max_size=30))
def test_no_name_but_its_own_is_ever_a_nodes(name: bytes) -> None:
    own = name == b"web-1" or name.startswith(b"web-1/")
    assert not owns(NODE, name) or own
    assert not owns(NODE, name) or (b"\0" not in name and b" " not in name)


@given(name=st.binary(max_size=30))
def test_nobody_submits_to_what_is_no_name(name: bytes) -> None:
    printable = bool(name) and all(0x21 <= byte <= 0x7E for byte in name)
    for who in EVERYBODY:
        assert not submits_to(who, name) or printable
