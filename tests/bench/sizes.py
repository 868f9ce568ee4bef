"""Figure 4: a full UPDATE of 1 to 10,000 nodes, against `haproxy -c` of the same file alone."""

from __future__ import annotations

import ipaddress
from typing import Any

from tests.bench.bench import Bench, note, save
from tests.bench.summary import Goal, Row, row
from tests.bench.systems import Libra, run
from tests.bench.timing import median, milliseconds
from tests.support.ports import free_port

_SIZES = (1, 10, 100, 1_000, 10_000)


def measure(bench: Bench) -> list[Row]:
    """Every node changes its address with every UPDATE; both are taken in turns."""
    found: dict[int, dict[str, list[float]]] = {}
    system = bench.libra()
    try:
        system.node.start()
        port = free_port()
        for size in _SIZES:
            one = found[size] = {"update": [], "check": []}
            times = bench.amount(5, 2) if size >= 1000 else bench.amount(11, 3)
            for turn in range(times + 1):
                message = _message(size, port, turn)

                took = milliseconds(lambda message=message: _update(system, message))  # type: ignore[misc]
                config = str(system.node.state_dir / "haproxy.cfg")
                checked = milliseconds(
                    lambda config=config: run(system.node.haproxy, "-c", "-q", "-f", config)  # type: ignore[misc]
                )
                if turn:  # the first one comes from another size
                    one["update"].append(took)
                    one["check"].append(checked)
    except AssertionError as error:
        note(f"  {error}")
    finally:
        system.stop()
    save("4-sizes", {"unit": "ms", "sizes": found})
    return [
        row(
            f"4-update-of-{size}-nodes-vs-haproxy-c",
            median(one["update"]),
            "ms",
            against=median(one["check"]),
            goal=Goal("value", 1000) if size == 10_000 else None,
        )
        for size, one in found.items()
    ]


def _update(system: Libra, message: dict[str, Any]) -> None:
    result = system.node.update(message)
    if not result.ok:
        raise AssertionError(f"UPDATE of {len(message['nodes'])} nodes failed: {result.error}")


def _message(size: int, port: int, turn: int) -> dict[str, Any]:
    base = ipaddress.ip_address("127.1.0.0") if turn % 2 else ipaddress.ip_address("127.2.0.0")
    return {
        "name": "many",
        "protocol": "HTTP",
        "port": port,
        "nodes": [
            {"id": number, "address": str(base + number), "port": 80}
            for number in range(1, size + 1)
        ],
        # Nobody is there, and to find that out is not what is measured.
        "monitor": {"type": "CONNECT", "delay": 3600, "timeout": 5, "attempts": 2},
    }
