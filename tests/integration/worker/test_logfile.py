"""Access logs by way of a real rsyslog: its file is taken from, line by line, once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.archives import local, message, paths, stored
from tests.support.backends import HttpBackend
from tests.support.node import Node
from tests.support.ports import free_port
from tests.support.swift import Swift
from tests.support.syslogd import Syslogd
from tests.support.traffic import get
from tests.support.wait import until


@pytest.fixture
def syslogd(folder: Path) -> Iterator[Syslogd]:
    place = folder / "syslog"
    place.mkdir()
    place.chmod(0o755)
    with Syslogd(place) as daemon:
        yield daemon


def serving(node: Node, backend: HttpBackend) -> int:
    port = free_port()
    lb: dict[str, Any] = {"name": "x", "protocol": "HTTP", "port": port, "nodes": [backend.node()]}
    result = node.update(lb)
    assert result.ok, result.error
    return port


def ask(port: int, *numbers: int) -> None:
    for number in numbers:
        get(port, f"/{number}")


def test_what_rsyslog_wrote_is_archived_line_for_line(
    make_node: Callable[..., Node],
    syslogd: Syslogd,
    swift: Swift,
    container: str,
    a: HttpBackend,
) -> None:
    # Given a node that logs to rsyslog, whose file already has a line of another time
    syslogd.file.write_text(
        'Nov 21 14:28:25 h haproxy[1]: 1.2.3.4:5 [x] http-in b/s 0 "GET /old HTTP/1.1"\n'
    )
    node = make_node(logfile=syslogd.file, syslog_socket=syslogd.socket)
    port = serving(node, a)
    # When it serves, the file is rotated, and it serves on
    ask(port, *range(100))
    until(lambda: len(paths(local(node))) == 100, "the lines are taken")
    syslogd.rotate()
    ask(port, *range(100, 200))
    until(lambda: len(paths(local(node))) == 200, "the lines are taken")
    # Then the object has each of its lines, in the words of syslog
    assert node.send(message(swift.account(), container)).answer["lines"] == 200
    written = syslogd.file.with_suffix(".1").read_bytes() + syslogd.file.read_bytes()
    wanted = [line for line in written.splitlines() if b" http-in http-servers" in line]
    assert stored(swift, container).splitlines() == wanted


def test_a_keeper_that_is_killed_takes_no_line_twice_and_leaves_none(
    make_node: Callable[..., Node],
    syslogd: Syslogd,
    swift: Swift,
    container: str,
    a: HttpBackend,
) -> None:
    # Given a node that logs to rsyslog
    node = make_node(logfile=syslogd.file, syslog_socket=syslogd.socket)
    port = serving(node, a)
    asked = 0
    for turn in range(5):
        # When its keeper is killed, over and over, while it serves
        ask(port, *range(asked, asked + 40))
        os.kill(node.keeper_pid, signal.SIGKILL)
        ask(port, *range(asked + 40, asked + 60))
        asked += 60
        until(lambda: node.ask_keeper("status") is not None, "another keeper is there", 30)
        if turn % 2:
            assert node.send(message(swift.account(), container)).ok
    until(
        lambda: len(paths(local(node) + stored(swift, container))) == asked, "all lines are taken"
    )
    # Then each line is in one object
    assert node.send(message(swift.account(), container)).ok
    assert paths(stored(swift, container)) == {f"/{number}": 1 for number in range(asked)}
