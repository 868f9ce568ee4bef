"""Figure 5: how long small jobs take, and how many go through, against a bare echo worker."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from typing import Any

from libra_common.jobs import AdminClient, GearmanServer, JobClient
from tests.bench.bench import Bench, save
from tests.bench.summary import Goal, Row, row
from tests.bench.systems import Libra
from tests.bench.timing import median, milliseconds, percentile
from tests.support.wait import until

_CLIENTS = 4


def measure(bench: Bench) -> list[Row]:
    """The four kinds of job take turns; then each is sent by four clients at once."""
    system = bench.libra()
    echo = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.echo_worker", bench.gearmand.address, "echo"]
    )
    try:
        system.start(bench.three)
        until(lambda: _known(bench, "echo"), "the echo worker is registered")
        jobs = _jobs(bench, system)
        client = JobClient(servers=[_server(bench)])
        alone: dict[str, list[float]] = {name: [] for name in jobs}
        for _ in range(bench.amount(1000, 200)):
            for name, (function, data) in jobs.items():
                alone[name].append(
                    milliseconds(lambda f=function, d=data: client.submit(f, d, timeout=10))  # type: ignore[misc]
                )
        rates = {name: [0.0] for name in jobs}
        for _ in range(bench.amount(2, 1)):
            for name, (function, data) in jobs.items():
                rates[name].append(_rate(client, function, data, bench.amount(3, 1)))
    finally:
        system.stop()
        echo.terminate()
        echo.wait(10)
    p50 = {name: median(values) for name, values in alone.items()}
    p99 = {name: percentile(values, 0.99) for name, values in alone.items()}
    most = {name: max(values) for name, values in rates.items()}
    save("5-latency", {"p50_ms": p50, "p99_ms": p99, "jobs_per_second": most, "clients": _CLIENTS})
    rows = []
    for name in ("DISCOVER", "STATS", "UPDATE-unchanged"):
        goal = Goal("ratio", 3) if name == "DISCOVER" else None
        rows += [
            row(f"5-{name}-p50-vs-echo", p50[name], "ms", against=p50["echo"], goal=goal),
            row(f"5-{name}-p99-vs-echo", p99[name], "ms", against=p99["echo"]),
            row(f"5-{name}-rate-vs-echo", most[name], "jobs/s", against=most["echo"]),
        ]
    return rows


def _jobs(bench: Bench, system: Libra) -> dict[str, tuple[str, bytes]]:
    def data(**fields: Any) -> bytes:
        return json.dumps(fields).encode()

    update = data(hpcs_action="UPDATE", loadBalancers=[system.message(bench.three)])
    return {
        "echo": ("echo", data(hpcs_action="DISCOVER")),
        "DISCOVER": (system.node.name, data(hpcs_action="DISCOVER")),
        "STATS": (system.node.name, data(hpcs_action="STATS")),
        "UPDATE-unchanged": (system.node.name, update),
    }


def _rate(client: JobClient, function: str, data: bytes, seconds: float) -> float:
    done = [0] * _CLIENTS
    end = time.monotonic() + seconds

    def work(place: int) -> None:
        while time.monotonic() < end:
            client.submit(function, data, timeout=10)
            done[place] += 1

    threads = [threading.Thread(target=work, args=(place,)) for place in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / seconds


def _server(bench: Bench) -> GearmanServer:
    return GearmanServer(bench.gearmand.host, bench.gearmand.port)


def _known(bench: Bench, function: str) -> bool:
    lines = AdminClient(server=_server(bench)).workers()
    return any(function in line.functions for line in lines)
