"""The mix of figure 2 as Libra's own clients see it: each change proved, each answer looked at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.bench.bench import Bench, note, save
from tests.bench.summary import Goal, Row, row
from tests.support.engine import Engine
from tests.support.mix import MIX
from tests.support.mix_run import Outcome, http_and_tcp, over_tls

GOAL_CHANGES = 1000
_TOLD = 20
"""How many losses are told in words."""


def measure(bench: Bench) -> list[Row]:
    """1,000 changes: of an HTTP load balancer with cookies and a TCP one, and of one with TLS."""
    found = {
        "http-and-tcp": _http_and_tcp(bench, bench.amount(700, 40)),
        "tls-h2": _over_tls(bench, bench.amount(300, 20)),
    }
    save("2-mix", {"mix": MIX, "listeners": found})
    return rows_of(list(found.values()))


def rows_of(found: list[dict[str, Any]]) -> list[Row]:
    """The figure's rows. None lost in a few changes does not prove that none will in 1,000."""
    changes = sum(one["changes"] for one in found)
    rows = []
    for what, name in (("failed", "2-mix-requests-failed"), ("cut", "2-mix-connections-cut")):
        lost = sum(one[what] for one in found) * GOAL_CHANGES / changes
        one = row(name, lost, "per 1,000 changes", goal=Goal("value", 0))
        rows.append(one if changes >= GOAL_CHANGES or not one.met else replace(one, met=None))
    return rows


def _http_and_tcp(bench: Bench, count: int) -> dict[str, Any]:
    system = bench.libra()
    try:
        system.node.start()
        return _plain(http_and_tcp(system.node, bench.place(), count))
    finally:
        system.stop()


def _over_tls(bench: Bench, count: int) -> dict[str, Any]:
    """By the engine itself: the worker's messages have no TLS."""
    with Engine(bench.place()) as engine:
        return _plain(over_tls(engine, bench.place(), count))


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
