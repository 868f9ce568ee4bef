"""Which slots of one server wait for its call."""

from __future__ import annotations

import threading
from collections.abc import Callable

_PLACES = 2
"""Two, so that a connection that is lost without a sign holds up no job."""


class Watch:
    """Lets some slots sleep at a server, while the others rest until one of those has work.

    A server calls each slot that sleeps, for every job, and all but one come for nothing: with
    many of them that takes longer than a small job. (None of them may leave it at that: gearmand
    1.1.20 never again calls one that went back to sleep without asking.) Methods may be called
    from any thread.
    """

    def __init__(self, places: int = _PLACES) -> None:
        self._places = places
        self._guard = threading.Lock()
        self._sleeping: set[object] = set()
        self._resting: dict[object, Callable[[], None]] = {}
        self._asking: set[object] = set()

    def sleeps(self, slot: object, call: Callable[[], None]) -> bool:
        """Whether an idle slot is to sleep; else it has a place later, of which `call` tells it."""
        with self._guard:
            if slot not in self._sleeping and len(self._sleeping) >= self._places:
                self._resting[slot] = call
                return False
            self._sleeping.add(slot)
            return True

    def asks(self, slot: object) -> bool:
        """Whether a slot that was called is to ask at once, and not while another does."""
        with self._guard:
            if self._asking - {slot}:
                return False
            self._asking.add(slot)
            return True

    def asked(self, slot: object) -> None:
        """A slot has the server's answer."""
        with self._guard:
            self._asking.discard(slot)

    def leaves(self, slot: object) -> None:
        """A slot has work, or no connection: whoever has rested longest gets its place."""
        with self._guard:
            self._resting.pop(slot, None)
            if slot not in self._sleeping:
                return
            self._sleeping.discard(slot)
            if not self._resting:
                return
            heir = next(iter(self._resting))
            call = self._resting.pop(heir)
            self._sleeping.add(heir)
        call()
