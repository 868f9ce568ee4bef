"""Figure 14: `libra status` over two hundred nodes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from tests.bench.bench import Bench, save
from tests.bench.summary import Goal, Row, row
from tests.support.crowd import crowd
from tests.support.gearmand import Gearmand

_NODES = 200


def measure(bench: Bench) -> list[Row]:
    """The whole command, from its start to its end."""
    command = [sys.executable, "-m", "libra_client.cli.main", "status", "--server"]
    took = []
    names = [f"node-{number:03}" for number in range(_NODES)]
    with Gearmand() as gearmand, crowd(names, gearmand.address):
        for _ in range(bench.amount(7, 3)):
            began = time.perf_counter()
            done = subprocess.run(
                [*command, gearmand.address], capture_output=True, text=True, check=True
            )
            took.append(time.perf_counter() - began)
            assert done.stdout.count("node-") == _NODES, done.stdout
    seconds = statistics.median(took)
    save("14-status", {"nodes": _NODES, "seconds": seconds})
    return [row(f"14-status-of-{_NODES}-nodes", seconds, "s", goal=Goal("value", 2))]
