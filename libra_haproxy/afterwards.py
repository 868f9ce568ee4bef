"""What a change leaves to be done that nobody waits for: done right after its answer.

Work is done in the order in which it was added: soon, by a thread of its own, or at once by
whoever calls `finish`. The next change does, and so finds everything in its place.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

LOG = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.02
"""The answer goes out first."""


class Afterwards:
    """Does each piece of work once. What a piece raises is logged, and the next one is done."""

    def __init__(self) -> None:
        self._working = threading.Lock()
        self._due: deque[Callable[[], None]] = deque()
        self._called = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, work: Callable[[], None]) -> None:
        """Have `work` done soon; returns at once."""
        self._due.append(work)
        self._called.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="afterwards", daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """Return once all that was added before is done."""
        with self._working:
            while self._due:
                work = self._due.popleft()
                try:
                    work()
                except Exception:
                    LOG.exception("work after a change failed")

    def _run(self) -> None:
        while self._called.wait():
            self._called.clear()
            time.sleep(_PAUSE_SECONDS)
            self.finish()
