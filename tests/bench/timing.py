"""Small arithmetic on measured times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence


def percentile(values: Sequence[float], part: float) -> float | None:
    """The value that `part` (0 to 1) of the values do not exceed; None of none."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def median(values: Sequence[float]) -> float | None:
    """The middle value; None of none."""
    return statistics.median(values) if values else None


def milliseconds(action: Callable[[], object]) -> float:
    """How long an action takes."""
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


def soon(condition: Callable[[], object], seconds: float = 20.0) -> float | None:
    """Milliseconds until `condition()` is true, asked again at once; None when it never is."""
    began = time.perf_counter()
    while not condition():
        if time.perf_counter() - began > seconds:
            return None
        time.sleep(0.001)
    return (time.perf_counter() - began) * 1000
