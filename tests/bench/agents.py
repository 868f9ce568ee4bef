"""Figure 10: Libra's amphora agent beside Octavia's own, in turns."""

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
from typing import Any

import trustme

from tests.bench.bench import Bench, note, save
from tests.bench.summary import Goal, Row, row
from tests.bench.timing import median, soon
from tests.support import netns, octavia_env
from tests.support.amphora import AMPHORA_ID, Amphora, Authorities
from tests.support.octavia_text import BALANCER, Proxy, configuration
from tests.support.ports import free_port

_READS = ("info", "listeners")
_UPLOAD = f"/1.0/loadbalancer/{AMPHORA_ID}/{BALANCER}/haproxy"


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
    """Reads by a handshake each and kept alive, uploads, memory, the start."""
    netns.must_be_possible()
    python = octavia_env.python()
    authorities = Authorities()
    leaf = authorities.controllers.issue_cert("controller", common_name="controller")
    with (
        _libra(bench.place(), authorities) as libra,
        _octavia(bench.place(), authorities, python) as octavia,
    ):
        both = (libra, octavia)
        times: dict[str, dict[str, list[float]]] = {one.name: {} for one in both}
        text = configuration(
            *(
                Proxy(
                    id=f"{number:08x}-7d22-422f-9632-499fd83e12c0",
                    port=free_port(),
                    members={f"m{one}": 9000 + one for one in range(10)},
                )
                for number in range(5)
            )
        )
        for _ in range(bench.amount(60, 10)):
            for one in both:
                context = one.amphora.context(leaf)
                into = times[one.name]
                for what in _READS:
                    into.setdefault(what, []).append(_asked(one, context, what))
                into.setdefault("upload", []).append(_uploaded(one, context, text))
        kept = _kept(libra, leaf, bench.amount(1000, 100))
        memory = {one.name: one.memory() for one in both}
    save("10-agents", {"ms": times, "kept_ms": kept, "memory_mb": memory})
    ours, theirs = times["libra"], times["octavia"]
    return [
        *(
            row(
                f"10-agent-GET-{what}-vs-octavia",
                median(ours[what]),
                "ms",
                against=median(theirs[what]),
                goal=Goal("ratio", 1 / 5),
            )
            for what in _READS
        ),
        *(
            row(
                f"10-agent-GET-{what}-kept-alive-vs-octavia",
                median(kept[what]),
                "ms",
                against=median(theirs[what]),
                goal=Goal("ratio", 1 / 20),
            )
            for what in _READS
        ),
        row(
            "10-agent-upload-vs-octavia",
            median(ours["upload"]),
            "ms",
            against=median(theirs["upload"]),
            goal=Goal("ratio", 1 / 2),
        ),
        row(
            "10-agent-memory-vs-octavia",
            memory["libra"],
            "MB",
            against=memory["octavia"],
            goal=Goal("ratio", 1 / 2),
        ),
        row(
            "10-agent-ready-vs-octavia",
            libra.started,
            "ms",
            against=octavia.started,
            goal=Goal("ratio", 1 / 2),
        ),
    ]


@contextlib.contextmanager
def _libra(folder: Path, authorities: Authorities) -> Iterator[Agent]:
    with Amphora(folder=folder, authorities=authorities) as amphora:
        _quiet(amphora)
        amphora.start(wait=False)
        assert amphora.process is not None
        took = soon(lambda: _answers(amphora))
        assert took is not None, amphora.said()
        yield Agent("libra", amphora, amphora.process, took)


@contextlib.contextmanager
def _octavia(folder: Path, authorities: Authorities, python: Path) -> Iterator[Agent]:
    amphora = Amphora(folder=folder, authorities=authorities)
    _quiet(amphora)
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
        took = soon(lambda: _answers(amphora))
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


def _answers(amphora: Amphora) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        return amphora.call("GET", "/1.0/info").status == 200
    return False


def _asked(agent: Agent, context: ssl.SSLContext, what: str) -> float:
    """Milliseconds of a read with a handshake."""
    began = time.perf_counter()
    reply = agent.amphora.call("GET", f"/1.0/{what}", context=context)
    took = (time.perf_counter() - began) * 1000
    assert reply.status == 200, reply
    return took


def _uploaded(agent: Agent, context: ssl.SSLContext, text: str) -> float:
    """Milliseconds of an upload with a handshake."""
    began = time.perf_counter()
    reply = agent.amphora.call("PUT", _UPLOAD, text, context=context)
    took = (time.perf_counter() - began) * 1000
    assert reply.status in (201, 202), reply
    return took


def _kept(agent: Agent, leaf: trustme.LeafCert, times: int) -> dict[str, Any]:
    connection = agent.amphora.connect(agent.amphora.context(leaf))
    found: dict[str, list[float]] = {}
    try:
        for what in _READS:
            for _ in range(times):
                began = time.perf_counter()
                connection.request("GET", f"/1.0/{what}")
                connection.getresponse().read()
                found.setdefault(what, []).append((time.perf_counter() - began) * 1000)
    finally:
        connection.close()
    note(f"  {times} requests on one connection")
    return found
