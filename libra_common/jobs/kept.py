"""Connections to gearman servers that wait for a caller's next job."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable

from libra_common.jobs.exchange import Exchange
from libra_common.jobs.servers import GearmanServer

SECONDS = 10.0
"""For so long one is kept. What lies between forgets silent connections, but not so soon."""

_PLACES = 8
"""So many are kept for each server; a crowd of callers has more for a moment."""


class Kept:
    """Keeps connections for `seconds`, each used by one caller at a time.

    Methods may be called from any thread. `clock` is monotonic seconds.
    """

    def __init__(
        self, *, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._guard = threading.Lock()
        self._waiting: dict[GearmanServer, list[tuple[float, Exchange]]] = defaultdict(list)
        self._closed = False

    def take(self, server: GearmanServer) -> Exchange | None:
        """The one that was used last, if it is still open; None where there is none."""
        while True:
            with self._guard:
                if not self._waiting[server]:
                    return None
                until, exchange = self._waiting[server].pop()
            if self._clock() < until and exchange.quiet():
                return exchange
            exchange.close()

    def give(self, server: GearmanServer, exchange: Exchange) -> None:
        """Keep a connection on which nothing is awaited any more."""
        now = self._clock()
        with self._guard:
            here = self._waiting[server]
            here.append((now + self._seconds, exchange))
            staying = [] if self._closed else [one for one in here if now < one[0]][-_PLACES:]
            self._waiting[server] = staying
        for one in here:
            if one not in staying:
                one[1].close()

    def close(self) -> None:
        """Close all that are waiting, and all that are given later."""
        with self._guard:
            self._closed = True
            waiting, self._waiting = self._waiting, defaultdict(list)
        for here in waiting.values():
            for _, exchange in here:
                exchange.close()
