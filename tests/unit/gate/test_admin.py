"""The admin protocol: who may give which command, and what is shown of the answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_common.roles import Identity, Role
from libra_gate import admin
from libra_gate.admin import COMMANDS, Access, Answering, Refused, ask

NODE = Identity(Role.NODE, "web-1")
CONTROLLER = Identity(Role.CONTROLLER, "api")
POOL = Identity(Role.POOL, "pool-1")
PROVIDER = Identity(Role.PROVIDER, "octavia-1")
OPERATOR = Identity(Role.OPERATOR, "ann")

_READ = {b"version", b"status", b"prioritystatus", b"workers", b"getpid", b"verbose"}
_READ |= {b"show jobs", b"show unique jobs"}
_OWN = {b"version", b"status", b"prioritystatus", b"workers"}

STATUS = b"web-1\t1\t0\t2\nweb-10\t0\t0\t1\nweb-1/x\t0\t0\t1\nlibra_pool_mgm\t0\t0\t1\n.\n"
WORKERS = (
    b"33 127.0.0.1 web-1/1 : web-1\n34 127.0.0.1 web-2/1 : web-2\n35 127.0.0.1 - :\n"
    b"36 127.0.0.1 web-1/2 : web-1 web-2\n.\n"
)


@pytest.mark.parametrize(
    ("who", "commands"),
    [
        (NODE, _OWN),
        (PROVIDER, _OWN),
        (CONTROLLER, _READ),
        (POOL, _READ),
        (OPERATOR, set(COMMANDS)),
    ],
)
def test_each_role_gives_these_commands_and_no_other(who: Identity, commands: set[bytes]) -> None:
    given_ = set()
    for name, command in COMMANDS.items():
        line = b" ".join([name, *[b"word"] * command.words.start])
        try:
            assert ask(who, line).line == line + b"\n"
        except Refused:
            continue
        given_.add(name)
    assert given_ == commands


def test_what_changes_something_is_for_operators() -> None:
    changing = {name for name, one in COMMANDS.items() if one.access is Access.OPERATORS}
    assert changing == {
        *(b"cancel job", b"create function", b"drop function", b"maxqueue", b"shutdown"),
    }


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"bogus",
        b"status now",
        b" status",
        b"status ",
        b"status  x",
        b"status\tx",
        b"show",
        b"cancel job",
        b"drop function a b",
        b"status\0",
        b"status\x00shutdown",
        b"version\nshutdown",
        b"\xff",
    ],
)
def test_a_line_that_is_no_command_is_refused_to_everybody(line: bytes) -> None:
    for who in (NODE, CONTROLLER, OPERATOR):
        with pytest.raises(Refused):
            ask(who, line)


def test_commands_are_read_in_any_case_and_with_a_carriage_return() -> None:
    assert ask(CONTROLLER, b"STATUS\r").line == b"status\r\n"
    assert ask(OPERATOR, b"Drop Function WEB").line == b"drop function WEB\n"
    with pytest.raises(Refused):
        ask(CONTROLLER, b"SHUTDOWN")


@given(st.binary(max_size=60))
def test_nobody_but_an_operator_gets_a_changing_command_through(line: bytes) -> None:
    for who in (NODE, CONTROLLER, POOL, PROVIDER):
        try:
            asked = ask(who, line)
        except Refused:
            continue
        assert COMMANDS[asked.name].access is not Access.OPERATORS
        assert asked.line.rstrip(b"\r\n") == asked.name


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_node_is_shown_what_is_about_itself_and_nothing_of_others(size: int) -> None:
    for line, answer, shown in (
        (b"status", STATUS, b"web-1\t1\t0\t2\nweb-1/x\t0\t0\t1\n.\n"),
        (b"workers", WORKERS, b"33 127.0.0.1 web-1/1 : web-1\n.\n"),
    ):
        answering = Answering(ask(NODE, line))
        parts = [answer[at : at + size] for at in range(0, len(answer), size)]
        assert b"".join(answering.feed(part) for part in parts) == shown
        assert answering.done


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"status", STATUS),
        (b"workers", WORKERS),
        (b"status", b".\n"),
        (b"version", b"OK 1.1.20+ds\n"),
        (b"status", b"ERR UNKNOWN_COMMAND Unknown+server+command\r\n"),
        (b"show jobs", b"H:vm:1\t0\t0\t0\n.\n"),
    ],
)
def test_a_reader_is_shown_all_and_the_end_is_seen(size: int, line: bytes, answer: bytes) -> None:
    answering = Answering(ask(CONTROLLER, line))
    shown = b""
    for at in range(0, len(answer), size):
        assert not answering.done
        shown += answering.feed(answer[at : at + size])
    assert shown == answer
    assert answering.done


def test_a_function_called_err_does_not_end_a_list() -> None:
    answering = Answering(ask(CONTROLLER, b"status"))
    assert answering.feed(b"ERR x\t0\t0\t0\n") == b"ERR x\t0\t0\t0\n"
    assert not answering.done


def test_a_refusal_is_one_line_as_gearmand_spells_errors() -> None:
    assert admin.refusal("only an operator may shutdown") == (
        b"ERR NOT_ALLOWED only+an+operator+may+shutdown\r\n"
    )
