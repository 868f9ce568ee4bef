"""Stores heartbeats in the inventory, as many at once as have come."""

from __future__ import annotations

import logging
import threading
import time

from libra_octavia.errors import InventoryAway
from libra_octavia.health.inbox import Inbox
from libra_octavia.health.tally import Tally
from libra_octavia.inventory.beats import Beats, Taken

LOG = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
_AGAIN_SECONDS = 2.0
_AT_ONCE = 200
_TIDY_SECONDS = 600.0


class Intake:
    """A thread that stores what is in the inbox; what the inventory does not take waits there."""

    def __init__(self, *, inbox: Inbox, beats: Beats, tally: Tally) -> None:
        self._inbox = inbox
        self._beats = beats
        self._tally = tally
        self._ends = threading.Event()
        self._since = time.monotonic()
        self._tidied = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)

    @property
    def steady(self) -> float:
        """For how many seconds everything that came was stored."""
        return time.monotonic() - self._since

    def start(self) -> None:
        """Begin."""
        self._since = time.monotonic()
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End within `seconds`, with everything stored that can be."""
        self._ends.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._ends.is_set():
            self._step(_LOOK_SECONDS)
        while self._step(0.0):
            pass

    def _step(self, seconds: float) -> bool:
        """Store what is there; False where there is nothing, or it could not be done."""
        heard = self._inbox.take(_AT_ONCE, seconds=seconds)
        try:
            if heard:
                for one, taken in zip(heard, self._beats.take(heard), strict=True):
                    if taken is not Taken.STORED:
                        self._tally.add(_WHY[taken], one.beat.amphora_id)
            self._tidy()
        except InventoryAway as error:
            self._inbox.put_back(heard)
            LOG.warning("heartbeats wait: %s", error)
            self._ends.wait(_AGAIN_SECONDS)
            self._since = time.monotonic()
            return False
        except Exception:
            # One that cannot be stored must not keep all others from it.
            LOG.exception("%d heartbeat(s) are lost", len(heard))
            return False
        return bool(heard)

    def _tidy(self) -> None:
        if time.monotonic() - self._tidied > _TIDY_SECONDS:
            self._tidied = time.monotonic()
            self._beats.tidy()


_WHY = {
    Taken.OLD: "came late or twice",
    Taken.UNKNOWN: "is of a device that the inventory does not know",
}
