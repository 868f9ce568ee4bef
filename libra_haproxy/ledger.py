"""The byte ledger: what went through each frontend in its whole life. Standard library only.

HAProxy counts from zero in every process. The ledger holds the last counters of each process that
is still open and the sum of those that are closed; the total is both together, so each byte is in
it once, whatever process carried it. It is written by the keeper alone.

A ledger begins with a load balancer, or anew where it was lost; `since` tells one from another.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

SCHEMA = 1

COLUMNS = ("bin", "bout", "stot", "hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx")
"""What is counted, as HAProxy's `show stat` calls it (management guide, 9.1)."""

Counts = dict[str, tuple[int, ...]]
"""For each frontend a number for each of `COLUMNS`; those missing at the end are 0."""


@dataclass(frozen=True, kw_only=True)
class Books:
    """What a ledger says: when it was begun, in seconds since 1970, and the sums since then."""

    since: float
    totals: Counts


class Ledger:
    """The counters of one Instance, kept in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        found = _read(path)
        self._since, self._closed, self._open = found or (time.time(), {}, {})

    def note(self, process: str, counts: Counts) -> None:
        """Put down what `process` has counted so far; in the file, not yet surely on disk."""
        if self._open.get(process) != counts:
            self._open[process] = counts
            self._write(sync=False)

    def close(self, process: str) -> None:
        """Move what `process` counted to the closed ones: it will never count again."""
        counts = self._open.pop(process, None)
        if counts is not None:
            self._closed = added((self._closed, counts))
            self._write(sync=True)

    def close_all_but(self, alive: Iterable[str]) -> None:
        """Close the books of all processes that are no more."""
        for process in set(self._open) - set(alive):
            self.close(process)

    def close_ended(self, lives: Callable[[str], bool]) -> None:
        """Close the books of all processes of which `lives` is false."""
        self.close_all_but({process for process in self._open if lives(process)})

    def books(self) -> Books:
        """What went through each frontend so far."""
        return Books(since=self._since, totals=added((self._closed, *self._open.values())))

    def sync(self) -> None:
        """Wait until what was put down is on disk: what is told to others must not be unlearnt."""
        self._write(sync=True)

    def _write(self, *, sync: bool) -> None:
        body = {
            "schema": SCHEMA, "since": self._since, "closed": self._closed, "open": self._open
        }  # fmt: skip
        new = self._path.with_name(self._path.name + ".new")
        with new.open("w") as file:
            json.dump(body, file)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        new.rename(self._path)


def added(counts: Iterable[Mapping[str, tuple[int, ...]]]) -> Counts:
    """The sum of several counters, frontend by frontend."""
    total: Counts = {}
    for one in counts:
        for frontend, numbers in one.items():
            before = total.get(frontend, ())
            total[frontend] = tuple(a + b for a, b in zip_longest(before, numbers, fillvalue=0))
    return total


def read_books(path: Path) -> Books:
    """What a ledger says that nobody writes at the moment; empty where there is none."""
    return Ledger(path).books()


def _read(path: Path) -> tuple[float, Counts, dict[str, Counts]] | None:
    """Read a ledger; a damaged one counts as none, since traffic matters more than its bill."""
    try:
        body: dict[str, Any] = json.loads(path.read_bytes())
        if body["schema"] != SCHEMA:
            return None
        since = float(body.get("since", 0))
        closed = _counts(body["closed"])
        opened = {process: _counts(counts) for process, counts in body["open"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return since, closed, opened


def _counts(stored: Mapping[str, Any]) -> Counts:
    return {frontend: tuple(map(int, numbers)) for frontend, numbers in stored.items()}
