"""Counts jobs by what was asked and how it ended, with the seconds that they took."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from libra_common.health.subject import Histogram

BOUNDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Seconds: from a question to HAProxy to the build of a device."""


class Ending(Protocol):
    """Says how a job ended, while it is counted."""

    def __call__(self, action: str, result: str) -> None:
        """Note what was asked for and what came of it."""


class Tally:
    """The jobs of a daemon since it started; used by several threads.

    `action` is one of a known set, never text of a message, so that labels stay few.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], tuple[list[int], float]] = {}

    @contextmanager
    def job(self) -> Iterator[Ending]:
        """Count what happens in the block, once it has said what that was."""
        began = self._clock()
        said: list[tuple[str, str]] = []
        try:
            yield lambda action, result: said.append((action, result))
        finally:
            for action, result in said[-1:]:
                self.note(action, result, self._clock() - began)

    def note(self, action: str, result: str, seconds: float) -> None:
        """Count one job that took `seconds`."""
        place = bisect_left(BOUNDS, seconds)
        with self._lock:
            counts, total = self._counts.get((action, result), ([0] * (len(BOUNDS) + 1), 0.0))
            counts[place] += 1
            self._counts[action, result] = counts, total + seconds

    def family(self) -> Histogram:
        """The jobs so far, by action and result."""
        with self._lock:
            values: dict[tuple[str, ...], tuple[tuple[int, ...], float]]
            values = {key: (tuple(counts), sum_) for key, (counts, sum_) in self._counts.items()}
        return Histogram(
            name="libra_job_seconds",
            help="Jobs by what was asked and how it ended, with the seconds that they took.",
            labels=("action", "result"),
            bounds=BOUNDS,
            values=values,
        )
