"""Figure 2: what clients lose while changes are made under load."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.bench import mixed
from tests.bench.bench import Bench, note, save
from tests.bench.members import Member, Wanted
from tests.bench.summary import Row, row
from tests.bench.systems import System
from tests.support.load import Wrk
from tests.support.mix import MIX

_PAUSE = 0.1


def measure(bench: Bench) -> list[Row]:
    """Each system in turn under `wrk -c32`; what failed is scaled to 1,000 changes."""
    seconds = bench.amount(8, 3)
    found: dict[str, dict[str, Any]] = {}
    with bench.all_systems() as systems:
        for keep_alive in (True, False):
            for system in systems:
                kind = "keep-alive" if keep_alive else "new-connections"
                found.setdefault(system.name, {})[kind] = _loaded(
                    bench, system, seconds=seconds, keep_alive=keep_alive
                )
    save("2-under-load", {"mix": MIX, "systems": found})
    return [*mixed.measure(bench), *rows_of(found)]


def rows_of(found: dict[str, dict[str, Any]]) -> list[Row]:
    """Libra beside the others; `mixed` has the goals."""
    rows = []
    for kind in ("keep-alive", "new-connections"):
        ours = found["libra"][kind]
        for what in ("failed", "cut"):
            name = f"2-requests-failed-{kind}" if what == "failed" else f"2-connections-cut-{kind}"
            value = _scaled(ours, what)
            rows += [
                row(f"{name}-vs-{other}", value, "per 1,000 changes",
                    against=_scaled(found[other][kind], what))
                for other in found
                if other != "libra"
            ]  # fmt: skip
    return rows


def changes(bench: Bench) -> Iterator[Wanted]:
    """An endless row of changes, ten by ten in the proportions of the report."""
    home, spare = bench.farm.members[0].port, bench.farm.spare.port
    now = bench.three
    for turn in itertools.count():
        even = turn % 2 == 0
        port, seconds = (spare, 31) if even else (home, 30)
        for step in _ten(bench.farm.members[3], port=port, seconds=seconds):
            now = step(now)
            yield now


def _ten(more: Member, *, port: int, seconds: int) -> tuple[Callable[[Wanted], Wanted], ...]:
    return (
        lambda w: w.weighted(2, 3),
        lambda w: w.plus(more),
        lambda w: w.weighted(2, 1),
        lambda w: w.without(more.number),
        lambda w: w.moved(1, port),
        lambda w: w.weighted(3, 2),
        lambda w: w.plus(more),
        lambda w: replace(w, client_seconds=seconds),
        lambda w: w.without(more.number),
        lambda w: w.weighted(3, 1),
    )


def _loaded(bench: Bench, system: System, *, seconds: int, keep_alive: bool) -> dict[str, Any]:
    done, refused = 0, 0
    load = Wrk(system.port, seconds=seconds, keep_alive=keep_alive)
    time.sleep(0.3)
    end = time.monotonic() + seconds - 0.8
    for wanted in changes(bench):
        if time.monotonic() > end or not load.running:
            break
        try:
            system.apply(wanted)
            done += 1
        except (AssertionError, OSError) as error:
            note(f"  {system.name}: {error}")
            refused += 1
        time.sleep(_PAUSE)
    tally = load.tally()
    system.apply(bench.three)
    said = " ".join(tally.failures)
    kinds = {word: int(number) for word, number in re.findall(r"(\w+) (\d+)", said)}
    errors = re.search(r"responses: (\d+)", said)
    failed = int(errors[1]) if errors else 0
    cut = kinds.get("read", 0) + kinds.get("write", 0)
    lost = kinds.get("connect", 0) + kinds.get("timeout", 0) + cut + failed
    return {
        "changes": done,
        "changes_refused": refused,
        "requests": tally.done,
        "failed": lost,
        "cut": cut,
        "wrk": said,
    }


def _scaled(one: dict[str, Any], what: str) -> float | None:
    return one[what] * 1000 / one["changes"] if one["changes"] else None
