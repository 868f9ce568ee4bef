"""Heartbeats for tests."""

from __future__ import annotations

from typing import Any

from libra_octavia.health.message import Beat, Words
from libra_octavia.health.order import Place
from libra_octavia.inventory import Counts


def beat(
    sequence: int = 0,
    *,
    boot: int | None = 1,
    device: str = "amp",
    words: Words | None = None,
    deltas: bool = False,
    **counts: Counts,
) -> Beat:
    return Beat(
        amphora_id=device,
        place=Place(boot, sequence),
        words=words or Words(listeners=dict.fromkeys(counts, "OPEN")),
        counts=counts,
        deltas=deltas,
    )


def traffic(number: int, *, errors: int = 0) -> Counts:
    """As much of everything."""
    return Counts(
        active_connections=1,
        bytes_in=number,
        bytes_out=2 * number,
        total_connections=number,
        request_errors=errors,
    )


def message(**more: Any) -> dict[str, Any]:
    """What Octavia's own agent of today says, but for the version."""
    return {
        "id": "amp",
        "seq": 7,
        "ver": 2,
        "listeners": {
            "l1": {
                "status": "OPEN",
                "stats": {"tx": 1, "rx": 2, "conns": 3, "totconns": 4, "ereq": 5},
            }
        },
        "pools": {"p1:l1": {"status": "UP", "members": {"m1": "UP 1/2"}}},
        **more,
    }
