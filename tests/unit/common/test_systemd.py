from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from libra_common.systemd import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(30)
        yield receiver


def heard(manager: socket.socket) -> list[str]:
    manager.setblocking(False)
    messages = []
    try:
        while True:
            messages.append(manager.recv(4096).decode())
    except BlockingIOError:
        return messages


def test_the_variables_are_taken_out_of_the_environment() -> None:
    environ = {
        "NOTIFY_SOCKET": "/x",
        "WATCHDOG_USEC": "3000000",
        "WATCHDOG_PID": str(os.getpid()),
        "LISTEN_FDS": "1",
        "LISTEN_PID": "1",
        "LISTEN_FDNAMES": "a",
        "PATH": "/bin",
    }
    notifier = Notifier.from_environment(environ)
    assert environ == {"PATH": "/bin"}
    assert notifier.watchdog_seconds == 3.0


@pytest.mark.parametrize(
    ("pid", "usec", "seconds"), [("1", "3000000", 0.0), ("", "2000000", 2.0), ("", "soon", 0.0)]
)
def test_a_watchdog_for_another_process_or_without_sense_is_none(
    pid: str, usec: str, seconds: float
) -> None:
    environ = {"WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}
    assert Notifier.from_environment(environ).watchdog_seconds == seconds


def test_each_state_is_said_in_systemds_words(tmp_path: Path, manager: socket.socket) -> None:
    notifier = Notifier(address=str(tmp_path / "notify"), watchdog_seconds=3600)
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.ready()
    notifier.reloading()
    notifier.status("two\nlines")
    notifier.status("two lines")
    notifier.alive()
    notifier.alive()
    notifier.stopping()
    ready, reloading, *rest = heard(manager)
    assert ready == "READY=1"
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert int(reloading.rpartition("=")[2]) >= before
    # The same status and a watchdog just fed are not said twice.
    assert rest == ["STATUS=two lines", "WATCHDOG=1", "STOPPING=1"]


def test_an_abstract_address_is_understood() -> None:
    name = f"libra-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + name)
        receiver.settimeout(30)
        Notifier(address="@" + name).ready()
        assert receiver.recv(100) == b"READY=1"


def test_a_manager_that_is_gone_absent_or_full_is_no_trouble(
    tmp_path: Path, manager: socket.socket
) -> None:
    for address in ("", str(tmp_path / "none"), "/" + "x" * 500):
        Notifier(address=address, watchdog_seconds=1).ready()
    full = Notifier(address=str(tmp_path / "notify"))
    for _ in range(5000):
        full.ready()
    assert 0 < len(heard(manager)) < 5000
