"""Bounds the life of processes that a reload has replaced and whose last connections go on.

One of them keeps its memory as long as a client keeps its connection. Here is the first bound, of
a setting; behind it stand HAProxy's own, `mworker-max-reloads` and `hard-stop-after`, which do
their work where no daemon of ours runs (configuration manual, section 3.1).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from libra_haproxy.runtime import Master

LOG = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0


class Lingering:
    """Cuts the connections of each replaced process that has lived on for `seconds`.

    Time counts from when it was first seen here, so a daemon that starts anew counts anew.
    """

    def __init__(
        self, *, master: Master, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._master = master
        self._seconds = seconds
        self._clock = clock
        self._next = 0.0
        self._since: dict[int, float] = {}

    @property
    def count(self) -> int:
        """How many there were at the last look."""
        return len(self._since)

    def look(self) -> int:
        """To be called often, looks now and then; returns how many connections it cut.

        Raises HaproxyDown or HaproxyTimeout when the master does not answer.
        """
        now = self._clock()
        if now < self._next:
            return 0
        self._next = now + min(_LOOK_SECONDS, self._seconds)
        old = {process.pid for process in self._master.processes().old_workers}
        self._since = {pid: self._since.get(pid, now) for pid in old}
        cut = 0
        for pid, since in self._since.items():
            if now - since >= self._seconds and (ended := self._master.end_sessions(pid)):
                LOG.warning(
                    "cut %d connections of process %d, replaced %d s ago", ended, pid, now - since
                )
                cut += ended
        return cut
