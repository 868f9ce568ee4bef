"""Counters that begin at zero with each process, told as ones that only grow."""

from __future__ import annotations

import threading
from collections.abc import Hashable


class Growing:
    """Remembers what each counter was; what is lost is what a process counts in its last moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._before: dict[Hashable, int] = {}
        self._last: dict[Hashable, int] = {}

    def seen(self, key: Hashable, value: int) -> int:
        """Take a reading; gives the sum over all processes."""
        with self._lock:
            last = self._last.get(key, 0)
            if value < last:
                self._before[key] = self._before.get(key, 0) + last
            self._last[key] = value
            return self._before.get(key, 0) + value

    def forget(self, first: Hashable) -> None:
        """Drop the counters whose keys are pairs that begin with `first`."""
        with self._lock:
            for kept in (self._before, self._last):
                for key in [key for key in kept if isinstance(key, tuple) and key[0] == first]:
                    del kept[key]
