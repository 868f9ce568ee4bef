"""The mix of figure 2 as Libra's own clients see it: each change proved, each answer looked at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.bench.bench import Bench, note, save
from tests.bench.summary import Goal, Row, row
from tests.support.mix import MIX
from tests.support.mix_run import Outcome, http_and_tcp

GOAL_CHANGES = 1000
_TOLD = 20
"""How many losses are told in words."""


def measure(bench: Bench) -> list[Row]:
    """Changes of an HTTP load balancer with cookies and of a TCP one."""
    found = {"http-and-tcp": _http_and_tcp(bench, bench.amount(1000, 50))}
    save("2-mix", {"mix": MIX, "listeners": found})
    return rows_of(found)


def rows_of(found: dict[str, dict[str, Any]]) -> list[Row]:
    """The figure's rows. None lost in a few changes does not prove that none will in 1,000."""
    rows = []
    for listeners, outcome in found.items():
        for what in ("failed", "cut"):
            kind = "requests-failed" if what == "failed" else "connections-cut"
            one = row(
                f"2-mix-{kind}-{listeners}",
                outcome[what] * GOAL_CHANGES / outcome["changes"],
                "per 1,000 changes",
                goal=Goal("value", 0),
            )
            enough = outcome["changes"] >= GOAL_CHANGES
            rows.append(one if enough or not one.met else replace(one, met=None))
    return rows


def _http_and_tcp(bench: Bench, count: int) -> dict[str, Any]:
    system = bench.libra()
    try:
        system.node.start()
        return _plain(http_and_tcp(system.node, bench.place(), count))
    finally:
        system.stop()


def _plain(outcome: Outcome) -> dict[str, Any]:
    for words in (outcome.failed + outcome.cut)[:_TOLD]:
        note(f"  {words}")
    return {
        "changes": outcome.changes,
        "reloads": outcome.reloads,
        "requests": outcome.requests,
        "failed": len(outcome.failed),
        "cut": len(outcome.cut),
        "said": [*outcome.failed[:_TOLD], *outcome.cut[:_TOLD]],
    }
