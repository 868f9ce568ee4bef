"""A process that works on an inventory, as one controller of several.

python -m tests.support.inventory_process URL hold SECONDS   claims "lb" and sleeps on it
python -m tests.support.inventory_process URL turns N FILE   claims "lb" N times, alone in FILE
python -m tests.support.inventory_process URL add N          adds N times to a listener's total
python -m tests.support.inventory_process URL migrate
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict
from json import dumps
from pathlib import Path

from libra_octavia.inventory import Counts, Database, Leases, Totals, migrate


def hold(database: Database, seconds: str) -> None:
    lease = Leases(database, seconds=float(seconds)).claim("lb")
    assert lease is not None
    print(dumps(asdict(lease)), flush=True)
    time.sleep(600)


def turns(database: Database, count: str, name: str) -> None:
    leases = Leases(database, seconds=60)
    done = 0
    while done < int(count):
        lease = leases.claim("lb")
        if lease is None:
            time.sleep(0.002)
            continue
        # Fails if anybody else is between its claim and its release at this moment.
        os.close(os.open(name, os.O_CREAT | os.O_EXCL))
        print(lease.fence, flush=True)
        Path(name).unlink()
        leases.complete(lease, ())
        done += 1


def add(database: Database, count: str) -> None:
    for _ in range(int(count)):
        Totals(database).add("lb", {"listener": Counts(bytes_in=3, total_connections=1)})


if __name__ == "__main__":
    _, url, what, *rest = sys.argv
    commands = {"hold": hold, "turns": turns, "add": add, "migrate": migrate}
    commands[what](Database(url), *rest)  # type: ignore[operator]
