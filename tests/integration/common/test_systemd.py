"""What systemd hears of a daemon, and what it and its children inherit."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from libra_common.exits import Exit
from tests.support.dummy_bench import LONG, Bench
from tests.support.wait import until


class Manager:
    """What systemd hears."""

    def __init__(self, receiver: socket.socket) -> None:
        self._receiver = receiver
        self.heard: list[str] = []

    def hears(self, words: str) -> None:
        def came() -> bool:
            self.listen()
            return any(words in message for message in self.heard)

        until(came, f"systemd hears {words!r}", LONG)

    def listen(self) -> None:
        while True:
            try:
                self.heard.append(self._receiver.recv(4096).decode())
            except BlockingIOError:
                return


@pytest.fixture
def manager(bench: Bench) -> Iterator[Manager]:
    path = bench.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        receiver.setblocking(False)
        bench.environ |= {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "200000"}
        yield Manager(receiver)


def test_systemd_hears_ready_when_the_state_is_served_registered_or_not(
    bench: Bench, manager: Manager
) -> None:
    # Given a daemon that does not serve yet
    bench.say("readiness", "STARTING")
    process = bench.started()
    manager.hears("STATUS=cycle of starting")
    process.send_signal(signal.SIGHUP)
    bench.logged("reloaded")
    manager.listen()
    assert not any("READY" in message or "RELOADING" in message for message in manager.heard)
    # When it serves, without a job server
    bench.say("readiness", "SERVING")
    manager.hears("READY=1")
    manager.hears("STATUS=cycle of serving")
    # Then a reload is told with its time, and ready said again, also when it is refused
    for refuse in (False, True):
        manager.heard.clear()
        if refuse:
            bench.say("refuse")
        process.send_signal(signal.SIGHUP)
        manager.hears("RELOADING=1\nMONOTONIC_USEC=")
        manager.hears("READY=1")
    process.terminate()
    manager.hears("STOPPING=1")
    assert bench.end(process)[0] == Exit.OK


def test_the_watchdog_is_fed_by_cycles_that_return_and_by_nothing_else(
    bench: Bench, manager: Manager
) -> None:
    bench.say("readiness", "SERVING")
    process = bench.started()
    manager.hears("WATCHDOG=1")
    for trouble in ("stuck", "broken"):
        # When cycles hang or fail
        bench.say(trouble)
        cycles = -1

        def still(name: str = trouble) -> bool:
            nonlocal cycles
            before, cycles = cycles, bench.cycles()
            manager.heard.clear()
            manager.listen()
            return before == cycles and "WATCHDOG=1" not in manager.heard

        until(still, "the watchdog starves", LONG)
        manager.heard.clear()
        process.send_signal(signal.SIGCONT)  # no more than a nudge
        bench.unsay(trouble)
        # Then the next one that returns feeds it again
        manager.hears("WATCHDOG=1")


def test_no_child_inherits_systemds_variables_or_our_descriptors(
    bench: Bench, manager: Manager
) -> None:
    bench.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": "1"}
    bench.say("child")
    bench.started()
    environ = (bench.folder / "child.env").read_bytes()
    for name in (b"NOTIFY_SOCKET", b"WATCHDOG_USEC", b"LISTEN_FDS", b"LISTEN_PID"):
        assert name not in environ
    child = (bench.folder / "child.pid").read_text()

    def opened() -> set[str]:
        # A file that the child opens itself while it starts goes away again; ours would not.
        return {link.name for link in Path(f"/proc/{child}/fd").iterdir()}

    until(lambda: opened() <= {"0", "1", "2"}, "the child holds nothing of ours")
