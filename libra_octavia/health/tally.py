"""Counts what is dropped and says so at most once a minute, whatever is thrown at us."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable

LOG = logging.getLogger(__name__)

INTERVAL = 60.0
"""Seconds between two lines of the log."""


class Tally:
    """Counts by reason; `say` writes one line of all that came since the last one.

    `counted` are the counts since the start.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._new: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._said = -INTERVAL
        self.counted: Counter[str] = Counter()

    def add(self, reason: str, source: str, number: int = 1) -> None:
        """Count something that was dropped for a reason; `source` is where it came from."""
        with self._lock:
            self._new[reason] += number
            self.counted[reason] += number
            self._examples[reason] = source

    def say(self) -> None:
        """Write what is new, where the last line is long enough ago; call it often."""
        with self._lock:
            if not self._new or self._clock() - self._said < INTERVAL:
                return
            self._said = self._clock()
            parts = [
                f"{number} that {reason} (the last one from {self._examples[reason]})"
                for reason, number in sorted(self._new.items())
            ]
            self._new.clear()
            self._examples.clear()
        LOG.warning("heartbeats dropped: %s", "; ".join(parts))
