"""Follows a pool's servers by reading, most times, only those that have changed.

Who waits for a device asks about every second, and a listing of all servers with their details
costs nova the more the larger the pool is. So a listing names the moment up to which all is known
(`changes-since`; nova then also lists what was deleted) and the whole pool is read now and then.
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

WHOLE_SECONDS = 30.0
"""After this the whole pool is read again: what does not count as a change is known then."""

_MARGIN = datetime.timedelta(seconds=15)
"""How much later than its moment a change may be seen, and how much nova's clocks may differ."""

Server: TypeAlias = Mapping[str, Any]


Listing: TypeAlias = Callable[..., list[Server]]
"""Reads the pool's servers with their details, all pages; takes more of nova's filters."""


class Following:
    """What is known of a pool's servers. May be used by several threads."""

    def __init__(self, *, listing: Listing, clock: Callable[[], float] = time.monotonic) -> None:
        self._listing = listing
        self._clock = clock
        self._reading = threading.Lock()
        self._known: dict[str, Server] = {}
        self._expecting = threading.Lock()
        self._expected: set[str] = set()
        self._whole_until = float("-inf")

    def expect(self, server: str) -> None:
        """There is a server of this id now; nova does not count its being made as a change."""
        with self._expecting:
            self._expected.add(server)

    def expect_anything(self) -> None:
        """Something may have been made whose id nobody knows."""
        with self._expecting:
            self._whole_until = float("-inf")

    def servers(self) -> list[Server]:
        """Every server as it is now, but for its metadata: that may be half a minute old.

        Raises what the listing raises, and knows no less than before.
        """
        with self._reading:
            mark = self._mark()
            if mark is None or self._clock() >= self._whole_until:
                self._read_whole()
            else:
                self._read_changes(mark)
                with self._expecting:
                    complete = self._expected <= self._known.keys()
                if not complete:
                    self._read_whole()
            return list(self._known.values())

    def _read_whole(self) -> None:
        with self._expecting:
            expected = set(self._expected)
            self._whole_until = self._clock() + WHOLE_SECONDS
        try:
            self._known = {one["id"]: one for one in self._listing()}
        except Exception:
            self.expect_anything()
            raise
        with self._expecting:
            self._expected -= expected  # one that is not there by now is gone

    def _read_changes(self, mark: datetime.datetime) -> None:
        for one in self._listing(**{"changes-since": f"{mark:%Y-%m-%dT%H:%M:%SZ}"}):
            self._known[one["id"]] = one
            if one.get("status") == "DELETED":
                del self._known[one["id"]]
                with self._expecting:
                    self._expected.discard(one["id"])

    def _mark(self) -> datetime.datetime | None:
        """The moment up to which all is known by nova's own clock; None where nothing is."""
        moments = [one["updated"] for one in self._known.values() if one.get("updated")]
        if not moments:
            return None
        return datetime.datetime.fromisoformat(max(moments)).astimezone(datetime.UTC) - _MARGIN
