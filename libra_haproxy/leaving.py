"""Servers that were removed and wait for their last connection (management guide, 9.3 del server).

Until then HAProxy keeps them, in maintenance: they take nothing new.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from libra_haproxy import commands
from libra_haproxy.runtime import Worker
from libra_haproxy.tokens import Token

_MOST = 100


class Leaving:
    """The removed servers of one process, each by its backend and name."""

    def __init__(self) -> None:
        self._places: set[tuple[str, str]] = set()

    def __contains__(self, place: object) -> bool:
        return place in self._places

    @property
    def too_many(self) -> bool:
        """Whether it is time for a reload, which clears them all."""
        return len(self._places) > _MOST

    def add(self, places: Iterable[tuple[str, str]]) -> None:
        """These were removed."""
        self._places.update(places)

    def make_way(self, places: Iterable[tuple[str, str]]) -> Iterator[Token]:
        """What must be done before servers of these names are added.

        One that still has connections stays all the same, and adding the other fails.
        """
        for place in self._places.intersection(places):
            self._places.discard(place)
            yield commands.deletion(*place)

    def clear(self) -> None:
        """Another process serves, which never had them."""
        self._places.clear()

    def look(self, worker: Worker) -> None:
        """Have HAProxy forget those without a connection. Raises what `worker` raises."""
        if self._places:
            worker.run(commands.lines(commands.deletion(*place) for place in self._places))
            self._places &= {(row.backend, row.name) for row in worker.servers()}
