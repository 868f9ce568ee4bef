"""Figure 12: what a job costs through the gate, beside gearmand alone and a TLS front alone.

Three ways to the same gearmand, each with an echo worker of its own, take turns: plain text;
HAProxy that ends mutual TLS and passes on whatever comes; the gate, which reads every packet. A job
comes on a new connection, as Libra's clients send it, or on one that is kept.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from libra_common.jobs import AdminClient, GearmanServer, JobClient, TlsFiles
from libra_common.jobs.dial import dial
from libra_gate.packets import HEADER, REQUEST, Kind, packet
from tests.bench.bench import Bench, save
from tests.bench.summary import Goal, Row, row
from tests.bench.timing import median, milliseconds, percentile
from tests.support.gate import Gate, Papers
from tests.support.tlsfront import TlsFront
from tests.support.wait import until

_DATA = b"x" * 400


@dataclass
class Way:
    """A way to gearmand: where, by which certificates, and who goes there; times in ms."""

    name: str
    server: GearmanServer
    node: TlsFiles | None
    api: TlsFiles | None
    fresh: list[float] = field(default_factory=list)
    kept: list[float] = field(default_factory=list)

    @property
    def function(self) -> str:
        return f"echo-{self.name}"


def measure(bench: Bench) -> list[Row]:
    """Jobs by each way in turn, and the gate's own CPU time for each."""
    with _ways(bench) as (ways, gate):
        clients = {way.name: JobClient(servers=[way.server], tls=way.api) for way in ways}
        kept = {way.name: Kept(way) for way in ways}
        for _ in range(5):  # nobody is measured while it warms up
            for way in ways:
                clients[way.name].submit(way.function, _DATA, timeout=20)
        times = bench.amount(600, 100)
        for _ in range(times):
            for way in ways:
                client, function = clients[way.name], way.function
                way.fresh.append(
                    milliseconds(lambda c=client, f=function: c.submit(f, _DATA, timeout=20))  # type: ignore[misc]
                )
                way.kept.append(milliseconds(kept[way.name].job))
        cpu = {
            "fresh": _cpu(
                gate, times, lambda: clients["gate"].submit("echo-gate", _DATA, timeout=20)
            ),
            "kept": _cpu(gate, times, kept["gate"].job),
        }
        for one in kept.values():
            one.close()
        memory = _memory(gate, bench)
    found = {way.name: {"fresh_ms": way.fresh, "kept_ms": way.kept} for way in ways}
    save("12-gate", {**found, "gate_cpu_ms": cpu, "memory_kb": memory})
    return _rows({way.name: way for way in ways}, cpu, memory)


def _rows(ways: dict[str, Way], cpu: dict[str, float], memory: float) -> list[Row]:
    plain, front, gate = ways["plain"], ways["front"], ways["gate"]
    goal = Goal("ratio", 2)
    return [
        row("12-job-p50-vs-plain", median(gate.fresh), "ms", against=median(plain.fresh)),
        row("12-job-p50-vs-TLS-alone", median(gate.fresh), "ms",
            against=median(front.fresh), goal=goal),
        row("12-job-p99-vs-TLS-alone", percentile(gate.fresh, 0.99), "ms",
            against=percentile(front.fresh, 0.99)),
        row("12-kept-connection-p50-vs-plain", median(gate.kept), "ms", against=median(plain.kept)),
        row("12-kept-connection-p50-vs-TLS-alone", median(gate.kept), "ms",
            against=median(front.kept)),
        row("12-CPU-a-job-of-the-gate", cpu["fresh"], "ms"),
        row("12-CPU-a-job-kept-connection", cpu["kept"], "ms"),
        row("12-memory-a-connection", memory, "kB", goal=Goal("value", 100)),
    ]  # fmt: skip


class Kept:
    """A connection that is kept, and a job at a time on it."""

    def __init__(self, way: Way) -> None:
        self._socket: socket.socket = dial(way.server, tls=way.api, timeout=10)
        self._asked = packet(REQUEST, Kind.SUBMIT_JOB, way.function.encode(), b"-", _DATA)

    def job(self) -> None:
        """Send a job and wait for its answer."""
        self._socket.sendall(self._asked)
        while self._kind() != Kind.WORK_COMPLETE:
            pass

    def close(self) -> None:
        self._socket.close()

    def _kind(self) -> int:
        _, kind, size = HEADER.unpack(self._exactly(HEADER.size))
        self._exactly(size)
        return int(kind)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._socket.recv(size - len(data))
            assert more, "the connection was closed"
            data += more
        return data


@contextmanager
def _ways(bench: Bench) -> Iterator[tuple[list[Way], Gate]]:
    papers = Papers(bench.place())
    key, cert = papers.server()
    pem = papers.folder / "front.pem"
    pem.write_text(cert.read_text() + key.read_text())
    with ExitStack() as stack:
        gate = stack.enter_context(Gate(papers, bench.gearmand, packets_per_second=1_000_000))
        front = stack.enter_context(
            TlsFront(
                folder=papers.folder,
                target=bench.gearmand.port,
                pem=pem,
                ca=papers.ca,
                tls="TLSv1.3",
            )
        )
        api = papers.holder("api", "controller")
        plain = GearmanServer(bench.gearmand.host, bench.gearmand.port)
        ways = [
            Way("plain", plain, None, None),
            Way("front", GearmanServer("127.0.0.1", front.port),
                papers.holder("echo-front", "node"), api),
            Way("gate", gate.address, papers.holder("echo-gate", "node"), api),
        ]  # fmt: skip
        for way in ways:
            files = [way.node.key, way.node.cert, way.node.ca] if way.node else []
            worker = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.echo_worker", str(way.server), way.function]
                + [str(file) for file in files]
            )
            stack.callback(worker.wait, 10)
            stack.callback(worker.terminate)
        until(lambda: _known(plain) >= {way.function for way in ways}, "the workers are there")
        yield ways, gate


def _known(server: GearmanServer) -> set[str]:
    return {name for line in AdminClient(server=server).workers() for name in line.functions}


def _cpu(gate: Gate, times: int, job: object) -> float:
    """Milliseconds of CPU time that the gate needs for a job."""
    assert callable(job)
    before = _ticks(gate)
    for _ in range(times):
        job()
    return (_ticks(gate) - before) * 1000 / os.sysconf("SC_CLK_TCK") / times


def _ticks(gate: Gate) -> int:
    fields = _proc(gate, "stat").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _memory(gate: Gate, bench: Bench) -> float:
    """Kilobytes that a connection of a waiting worker takes in the gate."""
    before = int(_proc(gate, "statm").split()[1])
    count = bench.amount(400, 100)
    tls = gate.papers.holder("many", "controller")
    opened = [dial(gate.address, tls=tls, timeout=20) for _ in range(count)]
    for one in opened:
        one.sendall(packet(REQUEST, Kind.ECHO_REQ, b"x"))
        one.recv(100)
    after = int(_proc(gate, "statm").split()[1])
    for one in opened:
        one.close()
    return (after - before) * os.sysconf("SC_PAGE_SIZE") / 1000 / count


def _proc(gate: Gate, name: str) -> str:
    assert gate.process is not None
    return Path(f"/proc/{gate.process.pid}/{name}").read_text()
