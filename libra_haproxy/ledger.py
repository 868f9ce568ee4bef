"""The byte ledger: what went through each frontend in its whole life. Standard library only.

HAProxy counts from zero in every process. The ledger holds the last counters of each process that
is still open and the sum of those that are closed; the total is both together, so each byte is in
it once, whatever process carried it. It is written by the keeper alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

SCHEMA = 1

Counts = dict[str, tuple[int, int, int]]
"""For each frontend: bytes in, bytes out, sessions."""


class Ledger:
    """The counters of one Instance, kept in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._closed, self._open = _read(path)

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

    def totals(self) -> Counts:
        """What went through each frontend so far."""
        return added((self._closed, *self._open.values()))

    def _write(self, *, sync: bool) -> None:
        body = {"schema": SCHEMA, "closed": self._closed, "open": self._open}
        new = self._path.with_name(self._path.name + ".new")
        with new.open("w") as file:
            json.dump(body, file)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        new.rename(self._path)


def added(counts: Iterable[Mapping[str, tuple[int, int, int]]]) -> Counts:
    """The sum of several counters, frontend by frontend."""
    total: Counts = {}
    for one in counts:
        for frontend, (bytes_in, bytes_out, sessions) in one.items():
            a, b, c = total.get(frontend, (0, 0, 0))
            total[frontend] = (a + bytes_in, b + bytes_out, c + sessions)
    return total


def read_totals(path: Path) -> Counts:
    """The totals in a ledger that nobody writes at the moment; empty where there is none."""
    closed, opened = _read(path)
    return added((closed, *opened.values()))


def _read(path: Path) -> tuple[Counts, dict[str, Counts]]:
    """Read a ledger; a damaged one counts as empty, since traffic matters more than its bill."""
    try:
        body: dict[str, Any] = json.loads(path.read_bytes())
        if body["schema"] != SCHEMA:
            return {}, {}
        closed = _counts(body["closed"])
        opened = {process: _counts(counts) for process, counts in body["open"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}, {}
    return closed, opened


def _counts(stored: Mapping[str, Any]) -> Counts:
    counts = {}
    for frontend, (bytes_in, bytes_out, sessions) in stored.items():
        counts[frontend] = (int(bytes_in), int(bytes_out), int(sessions))
    return counts
