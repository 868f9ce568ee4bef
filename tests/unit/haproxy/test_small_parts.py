"""The limits of files, the ports, the turnstile, and what the sockets say."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_haproxy import limits, ports
from libra_haproxy.check import alerts, check, must_be_there
from libra_haproxy.deadline import Deadline
from libra_haproxy.errors import (
    ConfigRefused,
    EngineError,
    HaproxyDown,
    HaproxyMissing,
    HaproxyTimeout,
    PortForbidden,
    PortTaken,
    StartFailed,
    TooFewFiles,
)
from libra_haproxy.leaving import Leaving
from libra_haproxy.model import LoadBalancer, Model, Protocol, Server
from libra_haproxy.ports import Listen, refuse_unusable
from libra_haproxy.privileges import identity, leaving_behind, may_listen_on_low_ports
from libra_haproxy.readings import ServerRow, UnexpectedAnswer, parse_processes
from libra_haproxy.runtime import Worker, ask
from libra_haproxy.text_check import complaints
from libra_haproxy.turnstile import Turnstile
from libra_messages.codes import Code
from tests.support.ports import free_port
from tests.support.wait import until


def test_every_error_of_the_engine_has_a_word_that_answers_may_carry() -> None:
    def tree(kind: type[EngineError]) -> set[type[EngineError]]:
        return {kind}.union(*(tree(child) for child in kind.__subclasses__()))

    assert {kind.code for kind in tree(EngineError)} <= set(Code)


def model(servers: int) -> Model:
    many = tuple(Server(address="192.0.2.1", port=n + 1) for n in range(servers))
    return Model(load_balancers=(LoadBalancer(protocol=Protocol.TCP, port=80, servers=many),))


@given(st.integers(1, 300), st.integers(1, 100_000), st.integers(64, 50_000))
def test_connections_always_fit_into_the_files_there_are(
    servers: int, open_files: int, wanted: int
) -> None:
    try:
        granted = limits.connections(model(servers), open_files=open_files, wanted=wanted)
    except TooFewFiles:
        assert open_files < 128 + servers + 2 * limits.FEWEST_CONNECTIONS
        return
    assert limits.FEWEST_CONNECTIONS <= granted <= wanted
    assert 2 * granted + servers < open_files


@given(st.integers(1, 100), st.integers(1, 100))
def test_a_server_that_comes_or_goes_changes_no_limit(before: int, after: int) -> None:
    granted = {
        limits.connections(model(servers), open_files=20_000, wanted=20_000)
        for servers in (before, after)
    }
    assert len(granted) == 1


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=str(port)):
            refuse_unusable([Listen("127.0.0.1", port)], low_ports=True)
    refuse_unusable([Listen("127.0.0.1", port)], low_ports=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_listening_on_everything_meets_whoever_listens_on_one_address(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken):
            refuse_unusable([Listen("::", port)], low_ports=True)


def test_an_address_that_this_machine_does_not_have_is_named() -> None:
    with pytest.raises(StartFailed, match=r"198\.18\.255\.1"):
        refuse_unusable([Listen("198.18.255.1", free_port())], low_ports=True)


def test_a_low_port_is_refused_only_where_haproxy_has_no_right_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(_: Listen) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(ports, "_try", forbidden)
    refuse_unusable([Listen("127.0.0.1", 80)], low_ports=True)
    with pytest.raises(PortForbidden, match="80"):
        refuse_unusable([Listen("127.0.0.1", 80)], low_ports=False)


def test_who_may_listen_on_low_ports_is_asked_of_the_kernel() -> None:
    assert may_listen_on_low_ports(os.getpid()) == (os.geteuid() == 0)
    assert not may_listen_on_low_ports(2**22 - 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes to another user")
def test_an_unknown_user_or_group_is_named() -> None:
    with pytest.raises(StartFailed, match="nobody-of-that-name"):
        identity(user="nobody-of-that-name", group="")
    with pytest.raises(StartFailed, match="no-such-group"):
        identity(user="nobody", group="no-such-group")


@pytest.mark.parametrize(
    ("ambient", "caps"),
    [
        (0, None),
        (1 << 10, None),
        (1 << 12 | 1 << 13, "-all"),
        (1 << 10 | 1 << 12, "-all,+net_bind_service"),
    ],
)
def test_haproxy_gets_of_a_daemons_own_rights_only_that_for_low_ports(
    ambient: int, caps: str | None
) -> None:
    words = (
        [] if caps is None else ["setpriv", f"--inh-caps={caps}", f"--ambient-caps={caps}", "--"]
    )
    assert leaving_behind(ambient) == words


def test_a_haproxy_that_cannot_be_looked_for_is_missing() -> None:
    with pytest.raises(HaproxyMissing, match="name too long"):
        must_be_there(Path("/" + "x" * 5000))


def test_turns_are_had_in_the_order_they_were_asked_for() -> None:
    # Given a turn that is being had
    stile, order, lock = Turnstile[str](), list[int](), threading.Lock()
    threads: list[threading.Thread] = []

    def take(number: int) -> None:
        with stile.turn(), lock:
            order.append(number)

    def waiting(wanted: int) -> bool:
        return len(stile._waiting) == wanted

    with stile.turn():
        # When others come one after the other
        for number in range(20):
            thread = threading.Thread(target=take, args=(number,))
            thread.start()
            threads.append(thread)
            until(partial(waiting, number + 1), "it waits")
        with stile.turn_if_free() as free:
            assert not free
    for thread in threads:
        thread.join(10)
    # Then they have it in that order, and then it is free
    assert order == list(range(20))
    with stile.turn_if_free() as free:
        assert free
    with stile.turn():
        pass


def test_a_turn_that_fails_is_over() -> None:
    stile = Turnstile[str]()
    with pytest.raises(ZeroDivisionError), stile.turn():
        raise ZeroDivisionError
    with stile.turn_if_free() as free:
        assert free


def test_the_process_table_of_a_master_is_read() -> None:
    said = (
        "#<PID>  <type>  <reloads>  <uptime>  <version>\n"
        "10      master  3 [failed: 1]  0d00h00m01s  2.6.12\n"
        "# workers\n"
        "12      worker  0  0d00h00m00s  2.6.12\n"
        "# old workers\n"
        "11      worker  1  0d00h00m09s  2.6.12\n"
        "# programs\n\n"
    )
    table = parse_processes(said)
    assert (table.master.pid, table.master.reloads, table.failed) == (10, 3, 1)
    assert [process.pid for process in table.workers] == [12]
    assert [process.pid for process in table.old_workers] == [11]


@pytest.mark.parametrize("said", ["", "Unknown command\n", "# workers\n12 worker 0 x\n"])
def test_a_table_without_a_master_is_no_table(said: str) -> None:
    with pytest.raises(UnexpectedAnswer):
        parse_processes(said)


class Fake:
    """A HAProxy socket that says what it is told to, the last of it for ever, or nothing."""

    def __init__(self, path: Path, *answers: bytes | None) -> None:
        self._answers = answers
        self.asked: list[bytes] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(4)
        self._open: list[socket.socket] = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            answer = self._answers[min(len(self.asked), len(self._answers) - 1)]
            self.asked.append(connection.recv(65536))
            if answer is None:
                self._open.append(connection)
                continue
            connection.sendall(answer)
            connection.close()


@pytest.mark.parametrize("garbage", [b"", b"\n", b"what?\n", b"# a b c\n", b"\xff\x00\n"])
def test_an_answer_that_is_not_understood_is_an_error_of_the_engine(
    tmp_path: Path, garbage: bytes
) -> None:
    Fake(tmp_path / "s", garbage)
    worker = Worker(socket_path=tmp_path / "s", seconds=5)
    for question in (worker.pid_and_digest, worker.servers, worker.look):
        try:
            found = question()
        except UnexpectedAnswer:
            continue
        assert found in ((), {})


OLD = b"Name: HAProxy\nPid: 11\nUptime: 1d\n\nproc.libra: type=str value=<aa>\n"
NEW = b"Name: HAProxy\nPid: 12\nUptime: 0d\n\nproc.libra: type=str value=<bb>\n"


def test_what_a_replaced_process_says_or_does_counts_for_nothing(tmp_path: Path) -> None:
    # Given a process that was replaced, and goes on answering twice on the socket of both
    process = Fake(tmp_path / "s", OLD, OLD, OLD, NEW)
    worker = Worker(socket_path=tmp_path / "s", seconds=5)
    assert worker.pid_and_digest() == (11, "aa")
    worker.replaced(11)
    # Then what is asked or ordered is so of the other one
    assert worker.pid_and_digest() == (12, "bb")
    assert len(process.asked) == 4
    assert worker.run(["set server b/s weight 1"]) == "proc.libra: type=str value=<bb>"


def test_a_glance_is_one_question_and_takes_no_word_of_a_replaced_process(tmp_path: Path) -> None:
    # Given a process that was replaced and still answers once
    process = Fake(tmp_path / "s", OLD + b"\n2.6.12\n", NEW + b"\n2.8.3-1+b1\n")
    worker = Worker(socket_path=tmp_path / "s", seconds=5)
    worker.replaced(11)
    # Then the other one's text and release are told
    assert worker.glance(seconds=5) == ("bb", "2.8.3-1+b1")
    assert len(process.asked) == 2
    # And one that hangs is waited for no longer than was said
    Fake(tmp_path / "hung", None)
    with pytest.raises(HaproxyTimeout):
        Worker(socket_path=tmp_path / "hung", seconds=3600).glance(seconds=0.05)


def test_a_replaced_process_that_does_not_leave_its_socket_is_an_error(tmp_path: Path) -> None:
    Fake(tmp_path / "s", OLD)
    worker = Worker(socket_path=tmp_path / "s", seconds=0.05)
    worker.replaced(11)
    with pytest.raises(HaproxyTimeout, match="process 11 was replaced"):
        worker.look()


def test_removed_servers_make_way_for_those_of_their_name_and_are_forgotten(tmp_path: Path) -> None:
    # Given two servers that were removed, and a HAProxy that could let go of neither
    leaving = Leaving()
    leaving.add([("b", "one"), ("b", "two")])
    # When one of that name is added, then the old one is to be deleted first
    assert list(leaving.make_way([("b", "one"), ("b", "new")])) == ["del server b/one"]
    assert ("b", "one") not in leaving
    assert ("b", "two") in leaving
    # And the other is tried again until it is gone
    rows = ServerRow("b", "two", 2, "192.0.2.1", 80, 1, maintenance=True)
    there, gone = Rows(rows), Rows()
    leaving.look(there)
    assert ("b", "two") in leaving
    leaving.look(gone)
    assert ("b", "two") not in leaving
    assert there.ran == gone.ran == ["del server b/two"]
    # And then HAProxy is asked no more
    leaving.look(gone)
    assert len(gone.ran) == 1


class Rows(Worker):
    """A HAProxy with these servers."""

    def __init__(self, *rows: ServerRow) -> None:
        super().__init__(socket_path=Path("/nowhere"))
        self._rows = rows
        self.ran: list[str] = []

    def run(self, lines: Iterable[str]) -> str:
        self.ran += lines
        return ""

    def servers(self) -> tuple[ServerRow, ...]:
        return self._rows


def test_a_socket_that_says_nothing_is_a_timeout_and_one_that_is_gone_is_down(
    tmp_path: Path,
) -> None:
    Fake(tmp_path / "s", None)
    with pytest.raises(HaproxyTimeout):
        ask(tmp_path / "s", "show info", deadline=Deadline.after(0.05))
    with pytest.raises(HaproxyDown):
        ask(tmp_path / "none", "show info", deadline=Deadline.after(1))


@pytest.mark.parametrize("command", ["show info\nshutdown x", "set x <<", "a'b", 'a"b', "a\\b", ""])
def test_one_call_is_one_line_of_plain_words(tmp_path: Path, command: str) -> None:
    with pytest.raises(ValueError, match="not a plain runtime command"):
        ask(tmp_path / "s", command, deadline=Deadline.after(1))


def test_what_haproxy_complains_of_is_told_without_its_frame() -> None:
    said = (
        "[NOTICE]   (1) : haproxy version is 2.6\n"
        "[ALERT]    (1) : config : parsing [x:3] : unknown keyword 'a'\n"
        "[ALERT]    (1) : config : Fatal errors found in configuration.\n"
    )
    assert alerts(said) == "config : parsing [x:3] : unknown keyword 'a'"
    assert alerts("") == ""


@pytest.mark.parametrize(
    ("script", "words"),
    [("echo '[ALERT]    (7) : no room' >&2; exit 1", "no room"),
     ("printf 'no such\nlibrary' >&2; exit 127", "no such library"),
     ("exit 3", "exit status 3")],
)  # fmt: skip
def test_whatever_a_check_ends_with_its_refusal_says_why(
    tmp_path: Path, script: str, words: str
) -> None:
    program = tmp_path / "haproxy"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    with pytest.raises(ConfigRefused, match=f"HAProxy refuses the configuration: {words}$"):
        check(haproxy=program, config=tmp_path / "x")
    assert complaints(haproxy=program, config=tmp_path / "x")
