"""Figure 6: what a worker costs at rest, and while gearmand is away."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

from tests.bench.bench import Bench, save
from tests.bench.summary import Goal, Row, row
from tests.bench.timing import median, soon

_AWAY = 8.0


def measure(bench: Bench) -> list[Row]:
    """Start-ups of a node that serves already; memory after some messages."""
    starts: list[float] = []
    system = bench.libra()
    try:
        system.start(bench.three)
        for _ in range(bench.amount(10, 3)):
            system.node.stop()
            system.node.start(wait=False)
            took = soon(system.node.registered)
            if took is not None:
                starts.append(took)
        for _ in range(20):
            system.apply(bench.three)
        assert system.node.process is not None
        worker = system.node.process.pid
        memory = {"worker": resident(worker), "keeper": resident(system.node.keeper_pid)}
        away = _cpu_while_away(bench, worker)
        again = [_registered_again(bench, system.node.registered)
                 for _ in range(bench.amount(20, 3))]  # fmt: skip
    finally:
        system.stop()
    data: dict[str, Any] = {
        "resident_mb": memory,
        "start_ms": starts,
        "cpu_percent_while_gearmand_is_away": away,
        "registered_again_ms": again,
    }
    save("6-footprint", data)
    came = [one for one in again if one is not None]
    return [
        row("6-worker-resident", memory["worker"], "MB", goal=Goal("value", 45)),
        row("6-keeper-resident", memory["keeper"], "MB"),
        row("6-worker-start-until-registered", median(starts), "ms", goal=Goal("value", 1000)),
        row("6-cpu-while-gearmand-is-away", away, "% of a core"),
        row("6-slowest-registration-after-a-restart-of-gearmand",
            max(came) if len(came) == len(again) else None, "ms"),
    ]  # fmt: skip


def resident(pid: int) -> float:
    """VmRSS in MB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def _cpu_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _cpu_while_away(bench: Bench, pid: int) -> float:
    bench.gearmand.stop()
    try:
        before = _cpu_seconds(pid)
        time.sleep(_AWAY)
        return (_cpu_seconds(pid) - before) / _AWAY * 100
    finally:
        bench.gearmand.start()


def _registered_again(bench: Bench, registered: Any) -> float | None:
    """From the moment at which a new gearmand answers."""
    if soon(registered) is None:
        return None
    bench.gearmand.stop()
    bench.gearmand.start()
    return soon(registered)
