"""Figure 3: bytes that clients received and nobody counted, over reloads under load.

Over TCP, since HAProxy counts the bytes of HTTP headers as it stores them and not as it sends
them: in HTTP mode its own counters never equal what came over the wire, reload or not.
"""

from __future__ import annotations

import csv
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.bench.bench import Bench, save
from tests.bench.haproxy_ways import CheckedReload
from tests.bench.summary import Goal, Row, row
from tests.bench.systems import Libra, System, ask
from tests.support.wait import until

_REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"
_REQUESTS = 200  # on one connection, so that some outlive a reload and most do not


class Readers:
    """Clients that go on all the time and count each byte that comes."""

    def __init__(self, port: int, count: int = 4) -> None:
        self._port = port
        self._end = threading.Event()
        self._received = [0] * count
        self._threads = [
            threading.Thread(target=self._read, args=(place,), daemon=True)
            for place in range(count)
        ]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(20)

    @property
    def received(self) -> int:
        return sum(self._received)

    def _read(self, place: int) -> None:
        while not self._end.is_set():
            try:
                self._converse(place)
            except OSError:
                time.sleep(0.001)

    def _converse(self, place: int) -> None:
        """Requests on one connection, until it closes; a partial answer counts too."""
        with socket.create_connection(("127.0.0.1", self._port), timeout=5) as connection:
            for _ in range(_REQUESTS):
                if self._end.is_set():
                    break
                connection.sendall(_REQUEST)
                head = b""
                # The members' answers are short: once a body is there, all of it is.
                while b"\r\n\r\nm" not in head:
                    chunk = connection.recv(65536)
                    if not chunk:
                        return
                    self._received[place] += len(chunk)
                    head += chunk
            # Whatever else comes is counted too.
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                self._received[place] += len(chunk)


def measure(bench: Bench) -> list[Row]:
    """Only changes that need a reload: the others end no process, and so no counter."""
    reloads, kills = bench.amount(80, 10), bench.amount(10, 2)
    ours = _libra(bench, reloads, kills)
    theirs = _read_then_reload(bench, reloads)
    save("3-bytes", {"libra": ours, "read-then-reload": theirs})
    mine = abs(ours["unmetered"]) * 100 / reloads
    return [
        row("3-bytes-unmetered-by-reloads-with-kills-of-the-worker", mine, "bytes per 100 changes",
            goal=Goal("value", 0)),
        row("3-bytes-unmetered-vs-read-then-reload", mine, "bytes per 100 changes",
            against=abs(theirs["unmetered"]) * 100 / reloads),
    ]  # fmt: skip


def _libra(bench: Bench, reloads: int, kills: int) -> dict[str, Any]:
    """As an API server sums it up: METRICS after each change, and what DELETE tells at the end."""
    system = bench.libra()
    try:
        system.start(replace(bench.three, tcp=True))
        polls = _Polls(system)
        polls.poll()
        before, polls.metered = polls.total, 0

        def after(turn: int) -> None:
            # The process that leaves is just being read to its end.
            if turn % (reloads // kills) == 1:
                system.node.kill()
                system.node.start()
            polls.poll()

        received = _reloaded(bench, system, reloads, before=lambda: None, after=after)
        polls.poll()
        result = system.node.do("DELETE")
        if not result.ok:
            raise AssertionError(f"DELETE failed: {result.error}")
        deleted = sum(int(one["bytes_out"]) for one in result.answer["totals"]) - before
        return {
            "reloads": reloads,
            "kills": kills,
            "received": received,
            "metered": polls.metered,
            "told_by_delete": deleted,
            "unmetered": max(abs(received - polls.metered), abs(received - deleted)),
        }
    finally:
        system.stop()


class _Polls:
    """Reports of traffic, each acknowledged by the next and added up."""

    def __init__(self, system: Libra) -> None:
        self._node = system.node
        self._ack = 0
        self.metered = 0
        self.total = 0

    def poll(self) -> None:
        result = self._node.send({"hpcs_action": "METRICS", "ack": self._ack})
        if not result.ok or result.answer["after"] != self._ack:
            raise AssertionError(f"METRICS failed: {result.error}")
        self._ack = int(result.answer["report"])
        for one in result.answer["loadBalancers"]:
            self.metered += int(one["bytes_out"])
        self.total = sum(int(one["totals"]["bytes_out"]) for one in result.answer["loadBalancers"])


def _read_then_reload(bench: Bench, reloads: int) -> dict[str, Any]:
    system = CheckedReload(bench.place())
    try:
        system.start(replace(bench.three, tcp=True))
        total, before = 0, _bytes_out(ask(system.admin, "show stat -1 1 -1"))

        def read() -> None:
            nonlocal total
            total += _bytes_out(ask(system.admin, "show stat -1 1 -1"))

        pid = _pid(system)

        def taken_over(_: int) -> None:
            # Else the next reading could be of the same process again.
            nonlocal pid
            until(lambda: _pid(system) not in (None, pid), "the new process answers")
            pid = _pid(system)

        received = _reloaded(bench, system, reloads, before=read, after=taken_over)
        read()
        metered = total - before
        return {"reloads": reloads, "received": received, "metered": metered,
                "unmetered": received - metered}  # fmt: skip
    finally:
        system.stop()


def _reloaded(
    bench: Bench,
    system: System,
    reloads: int,
    *,
    before: Callable[[], None],
    after: Callable[[int], None],
) -> int:
    with Readers(system.port) as readers:
        time.sleep(0.2)
        for turn in range(reloads):
            before()
            system.apply(replace(bench.three, tcp=True, client_seconds=31 + turn % 2))
            after(turn)
            time.sleep(0.15)
    time.sleep(1.0)  # for the last counters
    return readers.received


def _pid(system: CheckedReload) -> str | None:
    try:
        found = re.search(r"^Pid: (\d+)", ask(system.admin, "show info"), re.MULTILINE)
    except OSError:
        return None
    return found[1] if found else None


def _bytes_out(stat: str) -> int:
    rows = csv.DictReader(line for line in stat[2:].splitlines() if line)
    return sum(int(one["bout"]) for one in rows)
