"""Figure 10: Libra's amphora agent beside Octavia's own, in turns.

Reads are counted while two callers ask at once, each with a whole handshake for every request, or
on a connection that it keeps; Octavia's agent refuses the latter. Beside both stands what the
handshakes alone cost (`bare_tls`), below which no agent can come.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.bench.asking import Server
from tests.bench.bare_tls import bare_tls
from tests.bench.bench import Bench, note, save
from tests.bench.summary import Goal, Row, row
from tests.bench.timing import median, soon
from tests.support import netns, octavia_env
from tests.support.amphora import AMPHORA_ID, Amphora, Authorities
from tests.support.octavia_text import BALANCER, Proxy, configuration
from tests.support.ports import free_port

_READS = ("info", "listeners")
_UPLOAD = f"/1.0/loadbalancer/{AMPHORA_ID}/{BALANCER}/haproxy"
_SECONDS = 1.0

Times = dict[str, list[float]]
"""Milliseconds, by what was done."""


@dataclass
class Agent:
    """One of the two: where it listens, its first process, milliseconds until it answered."""

    name: str
    amphora: Amphora
    process: subprocess.Popen[bytes]
    started: float

    def pids(self) -> list[int]:
        """The process and all below it; HAProxy is not among them, as it serves nothing."""
        found = [self.process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(child) for child in task.read_text().split()]
        return found

    def server(self, context: ssl.SSLContext) -> Server:
        """Where its API is."""
        return Server(self.amphora.port, self.amphora.id, context)

    def memory(self) -> float:
        """Their proportional share of memory, in MB."""
        kilobytes = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        kilobytes += int(line.split()[1])
        return kilobytes / 1024


def measure(bench: Bench) -> list[Row]:
    """Starts, reads with a handshake each and kept alive, uploads, memory."""
    netns.must_be_possible()
    python = octavia_env.python()
    authorities = Authorities()
    leaf = authorities.controllers.issue_cert("controller", common_name="controller")
    starts: Times = {"libra": [], "octavia": []}
    for _ in range(bench.amount(5, 1)):
        with _libra(bench.place(), authorities, leaf) as libra:
            starts["libra"].append(libra.started)
        with _octavia(bench.place(), authorities, leaf, python) as octavia:
            starts["octavia"].append(octavia.started)
    with (
        _libra(bench.place(), authorities, leaf) as libra,
        _octavia(bench.place(), authorities, leaf, python) as octavia,
        bare_tls(
            folder=libra.amphora.folder,
            certificate=libra.amphora.certificate,
            callers=libra.amphora.folder / "client_ca.pem",
        ) as port,
    ):
        both = (libra, octavia)
        context = libra.amphora.context(leaf)
        uploads = _uploads(both, context, bench.amount(40, 8))
        reads = _reads(
            {one.name: one.server(context) for one in both},
            bare=Server(port, AMPHORA_ID, context),
            rounds=bench.amount(10, 2),
        )
        memory = {one.name: one.memory() for one in both}
    save(
        "10-agents",
        {"start_ms": starts, "upload_ms": uploads, "read_ms": reads, "memory_mb": memory},
    )
    return [*_rows_of_reads(reads), *_rows_of_the_rest(starts, uploads, memory)]


def _rows_of_reads(reads: dict[str, Times]) -> Iterator[Row]:
    theirs = {what: median(times) for what, times in reads["octavia"].items()}
    for kind, goal in (("", 1 / 5), ("-kept-alive", 1 / 20)):
        for what in _READS:
            yield row(
                f"10-agent-GET-{what}{kind}-vs-octavia",
                median(reads[f"libra{kind}"][what]),
                "ms",
                against=theirs[what],
                goal=Goal("ratio", goal),
            )
    for what in _READS:
        yield row(
            f"10-bare-handshake-vs-octavia-GET-{what}",
            median(reads["bare"][what]),
            "ms",
            against=theirs[what],
        )


def _rows_of_the_rest(starts: Times, uploads: Times, memory: dict[str, float]) -> Iterator[Row]:
    for what, values, unit in (
        ("upload", {name: median(times) for name, times in uploads.items()}, "ms"),
        ("memory", memory, "MB"),
        ("ready", {name: median(times) for name, times in starts.items()}, "ms"),
    ):
        yield row(
            f"10-agent-{what}-vs-octavia",
            values["libra"],
            unit,
            against=values["octavia"],
            goal=Goal("ratio", 1 / 2),
        )


def _reads(servers: dict[str, Server], *, bare: Server, rounds: int) -> dict[str, Times]:
    """Milliseconds a request, of all in turns."""
    found: dict[str, Times] = {}

    def asked(name: str, server: Server, what: str, *, kept: bool = False) -> None:
        rate = server.rate(f"/1.0/{what}", seconds=_SECONDS, kept=kept)
        found.setdefault(name, {}).setdefault(what, []).append(1000 / rate)

    for _ in range(rounds):
        for what in _READS:
            for name, server in servers.items():
                asked(name, server, what)
            asked("bare", bare, what)
            asked("libra-kept-alive", servers["libra"], what, kept=True)
    return found


def _uploads(both: tuple[Agent, Agent], context: ssl.SSLContext, times: int) -> Times:
    """Milliseconds of uploads with a handshake each; no text comes twice."""
    proxies = [
        Proxy(
            id=f"{number:08x}-7d22-422f-9632-499fd83e12c0",
            port=free_port(),
            members={f"m{one}": 9000 + one for one in range(10)},
        )
        for number in range(5)
    ]
    found: Times = {one.name: [] for one in both}
    for number in range(times):
        text = f"# number {number}\n{configuration(*proxies)}"
        for one in both:
            began = time.perf_counter()
            reply = one.amphora.call("PUT", _UPLOAD, text, context=context)
            found[one.name].append((time.perf_counter() - began) * 1000)
            assert reply.status in (201, 202), reply
    note(f"  {times} uploads each")
    return found


@contextlib.contextmanager
def _libra(folder: Path, authorities: Authorities, leaf: trustme.LeafCert) -> Iterator[Agent]:
    with Amphora(folder=folder, authorities=authorities) as amphora:
        _quiet(amphora)
        context = amphora.context(leaf)
        amphora.start(wait=False)
        assert amphora.process is not None
        took = soon(lambda: _answers(amphora, context))
        assert took is not None, amphora.said()
        yield Agent("libra", amphora, amphora.process, took)


@contextlib.contextmanager
def _octavia(
    folder: Path, authorities: Authorities, leaf: trustme.LeafCert, python: Path
) -> Iterator[Agent]:
    amphora = Amphora(folder=folder, authorities=authorities)
    _quiet(amphora)
    context = amphora.context(leaf)
    machine = folder / "machine"
    machine.mkdir()
    with (folder / "octavia.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *("unshare", "--mount", "--", sys.executable),
                str(Path(__file__).with_name("octavia_agent.py")),
                *(str(machine), str(python), str(amphora.config)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        took = soon(lambda: _answers(amphora, context))
        assert took is not None, (folder / "octavia.log").read_text()[-3000:]
        yield Agent("octavia", amphora, process, took)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _quiet(amphora: Amphora) -> None:
    """Log no more than a node would."""
    amphora.config.write_text(amphora.config.read_text().replace("debug = True", ""))


def _answers(amphora: Amphora, context: ssl.SSLContext) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        return amphora.call("GET", "/1.0/info", context=context).status == 200
    return False
