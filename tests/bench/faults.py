"""Figure 7: how soon it is well again, and what a hung job does to the others."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from tests.bench.bench import Bench, note, save
from tests.bench.haproxy_ways import CheckedReload
from tests.bench.members import Wanted
from tests.bench.proof import fetch
from tests.bench.summary import Goal, Row, row
from tests.bench.systems import Libra, System
from tests.bench.timing import median, milliseconds, percentile, soon
from tests.support.traffic import get
from tests.support.wait import until

_DEAD_SAYS = 503
_WRAPPER = """\
#!/bin/sh
for word; do
    if [ "$word" = -c ] && [ -e {flag} ]; then sleep 3; fi
done
exec {haproxy} "$@"
"""


def measure(bench: Bench) -> list[Row]:
    """Signals and delays are real."""
    killed = _killed(bench)
    dead = _dead_member(bench)
    hung, quiet, stalled = _beside_a_hung_update(bench)
    save("7-faults", {"ms_until_well_after_kill": killed, "requests_at_a_dead_member": dead,
                      "stats_beside_hung_update_ms": hung, "stats_alone_ms": quiet,
                      "update_was_hung": stalled})  # fmt: skip
    rows = [
        row(f"7-serving-again-after-kill-of-{who.replace(' ', '-')}", median(values), "ms")
        for who, values in killed.items()
    ]
    rows.append(
        row("7-requests-at-a-dead-member-in-20-reloads-vs-haproxy-reload", dead["libra"],
            "requests", against=dead["haproxy-reload"], goal=Goal("value", 0))
    )  # fmt: skip
    rows.append(
        row("7-STATS-p99-beside-a-hung-UPDATE-vs-alone", hung["p99"] if stalled else None,
            "ms", against=quiet["p99"])
    )  # fmt: skip
    return rows


def _killed(bench: Bench) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"haproxy worker": [], "haproxy master": [], "keeper": []}
    system = bench.libra()
    try:
        system.start(bench.three)
        node = system.node
        for _ in range(bench.amount(5, 1)):
            for who in ("haproxy worker", "haproxy master"):
                # A worker takes its master along, so each is asked for at its turn.
                old = node.worker_pid if who == "haproxy worker" else node.master_pid
                os.kill(old, signal.SIGKILL)
                took = soon(lambda old=old: not _lives(old) and fetch(system.port))  # type: ignore[misc]
                found[who] += [] if took is None else [took]
                until(lambda: node.master_pid and fetch(system.port), "it serves again")
                time.sleep(1.5)
            keeper = node.keeper_pid
            os.kill(keeper, signal.SIGKILL)
            took = soon(lambda keeper=keeper: _new_keeper(system, keeper))  # type: ignore[misc]
            found["keeper"] += [] if took is None else [took]
            time.sleep(1)
    except (AssertionError, OSError) as error:
        note(f"  {error}")
    finally:
        system.stop()
    return found


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _new_keeper(system: Libra, old: int) -> bool:
    status = system.node.ask_keeper("status")
    return bool(status and status["keeper"] != old)


def _dead_member(bench: Bench) -> dict[str, int]:
    """Requests that reach a member whose checks fail, over 20 reloads."""
    ours, theirs = bench.libra(), CheckedReload(bench.place())
    wanted = replace(bench.three.plus(bench.farm.dead), monitor=True)
    systems: list[System] = [ours, theirs]
    found = {}
    try:
        for system in systems:
            system.start(wanted)
            until(lambda s=system: _all_good(s), "the dead member is out")  # type: ignore[misc]
            found[system.name] = _through_reloads(system, wanted)
    finally:
        for system in systems:
            system.stop()
    return found


def _all_good(system: System) -> bool:
    return all(fetch(system.port) for _ in range(12))


def _through_reloads(system: System, wanted: Wanted) -> int:
    """Clients go on all the time, since the first moments of a process are what it is about."""
    end = threading.Event()

    def ask() -> int:
        bad = 0
        while not end.is_set():
            # One that reloads without care loses requests too, which is another figure.
            with contextlib.suppress(OSError, http.client.HTTPException):
                bad += get(system.port).status == _DEAD_SAYS
        return bad

    with ThreadPoolExecutor() as pool:
        clients = [pool.submit(ask) for _ in range(4)]
        try:
            for turn in range(20):
                system.apply(replace(wanted, client_seconds=31 + turn % 2))
                time.sleep(0.3)
        finally:
            end.set()
        return sum(client.result() for client in clients)


def _beside_a_hung_update(bench: Bench) -> tuple[dict[str, Any], dict[str, Any], bool]:
    place = bench.place()
    flag, wrapper = place / "slow", place / "haproxy"
    system = bench.libra()
    wrapper.write_text(_WRAPPER.format(flag=flag, haproxy=system.node.haproxy))
    wrapper.chmod(0o755)
    system.node.haproxy = str(wrapper)
    system.node.write_config()
    try:
        system.start(bench.three)
        alone = [milliseconds(lambda: system.node.do("STATS")) for _ in range(300)]
        flag.touch()
        took: list[float] = []
        changed = replace(bench.three, client_seconds=44)
        update = threading.Thread(
            target=lambda: took.append(milliseconds(lambda: system.node.update(
                system.message(changed))))
        )  # fmt: skip
        update.start()
        time.sleep(0.2)
        beside = []
        while update.is_alive():
            beside.append(milliseconds(lambda: system.node.do("STATS")))
        update.join()
        flag.unlink()
        return _words(beside), _words(alone), bool(took and took[0] > 2000)
    except subprocess.SubprocessError as error:
        raise AssertionError(str(error)) from error
    finally:
        system.stop()


def _words(values: list[float]) -> dict[str, Any]:
    return {"p50": median(values), "p99": percentile(values, 0.99), "n": len(values)}
