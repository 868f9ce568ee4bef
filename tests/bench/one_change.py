"""Figure 1: one member added, removed or re-weighted, until a client has the proof.

A way may serve a change before it says so. So the clients that look for an added member begin a
little before the way is to be expected to return, as it did before, and ask until they see it.

Each change comes after a pause, as a user's does. For Libra two more are kept, which say where
its time goes: changes in a row, and a question that changes nothing at the same pace.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.bench.bench import Bench, note, save
from tests.bench.members import Wanted
from tests.bench.proof import not_seen, seen, weighs
from tests.bench.summary import Goal, Row, row
from tests.bench.systems import Libra, System
from tests.bench.timing import median, milliseconds, percentile

_KINDS = ("added", "removed", "re-weighted")

_LEAD = 0.0015
"""Seconds before a way's usual return from which clients look for what it shall serve."""

Kinds = dict[str, list[float]]
Times = dict[str, Kinds]


def measure(bench: Bench) -> list[Row]:
    """The systems take turns, so that a noisy moment of the machine meets all of them."""
    times: Times = defaultdict(lambda: defaultdict(list))
    with bench.all_systems() as systems, ThreadPoolExecutor(1) as clients:
        for turn in range(bench.amount(30, 4)):
            order = systems[turn % len(systems) :] + systems[: turn % len(systems)]
            for system in order:
                _one_round(bench, system, times, clients)
    save("1-one-change", _report(times))
    rows = []
    for kind in _KINDS:
        ours = median(times["libra"][kind])
        rows.append(row(f"1-member-{kind}", ours, "ms", goal=Goal("value", 5)))
        for name in [one.name for one in systems[1:]]:
            goal = Goal("ratio", 0.05) if name == "haproxy-reload" else None
            theirs = median(times[name][kind])
            rows.append(row(f"1-member-{kind}-vs-{name}", ours, "ms", against=theirs, goal=goal))
    return rows


def _one_round(bench: Bench, system: System, times: Times, clients: ThreadPoolExecutor) -> None:
    three, more = bench.three, bench.farm.members[3]
    four, heavy = three.plus(more), three.weighted(1, 3)
    requests = 4 * len(four.members)

    def timed(kind: str, wanted: Wanted) -> None:
        usual, looking = median(times[system.name]["added, told"]), None
        if kind == "added" and usual is not None:
            first = time.perf_counter() + usual / 1000 - _LEAD
            looking = clients.submit(seen, system, more.body, len(four.members), first=first)
        began = time.perf_counter()
        system.apply(wanted)
        applied = time.perf_counter()
        match kind:
            case "added" if looking is not None:
                served = looking.result()
            case "added":
                served = seen(system, more.body, len(four.members))
            case "removed":
                served = not_seen(system, more.body, requests)
            case _:
                served = weighs(system, 1, wanted)
        times[system.name][kind].append((served - began) * 1000)
        times[system.name][f"{kind}, told"].append((applied - began) * 1000)
        # What an old process still has to do is not part of the next change.
        time.sleep(0.05)

    try:
        timed("added", four)
        timed("removed", three)
        timed("re-weighted", heavy)
        timed("re-weighted", three)
        if isinstance(system, Libra):
            _where_its_time_goes(system, (heavy, three), times[system.name])
    except (AssertionError, OSError) as error:
        note(f"  {system.name}: {error}")
        times[system.name]["failed"].append(1.0)


def _where_its_time_goes(system: Libra, weights: Sequence[Wanted], times: Kinds) -> None:
    times["DISCOVER, told"].append(milliseconds(system.discover))
    for wanted in (*weights, *weights):
        times["in a row, told"].append(milliseconds(lambda wanted=wanted: system.apply(wanted)))  # type: ignore[misc]


def _report(times: Times) -> dict[str, Any]:
    return {
        "unit": "ms from the order to the proof by a client; `told` to the order's own return",
        "rounds": {name: len(kinds.get("added", [])) for name, kinds in times.items()},
        "times": {
            name: {
                kind: {
                    "p50": round(median(values) or 0, 3),
                    "p99": round(percentile(values, 0.99) or 0, 3),
                    "n": len(values),
                }
                for kind, values in kinds.items()
            }
            for name, kinds in times.items()
        },
    }
