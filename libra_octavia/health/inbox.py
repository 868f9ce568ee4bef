"""Heartbeats that wait to be stored: few for each device, however long the inventory is away."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

from libra_octavia.health.counting import combined
from libra_octavia.health.message import Beat
from libra_octavia.health.order import is_newer
from libra_octavia.inventory.beats import Heard

_MOST_DEVICES = 20_000
_MOST_OF_ONE = 4
"""Only a device whose counters begin again, over and over, has more than one."""


class Inbox:
    """Takes heartbeats from one thread and gives them to another; neither waits for long."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: OrderedDict[str, list[tuple[Beat, float]]] = OrderedDict()

    def put(self, beat: Beat) -> bool:
        """Add one that came just now; False where it is older than what waits, or there is no room.

        Nothing that was counted is lost where one takes the place of another.
        """
        with self._changed:
            of_device = self._waiting.get(beat.amphora_id)
            if of_device is None:
                if len(self._waiting) >= _MOST_DEVICES:
                    return False
                of_device = self._waiting[beat.amphora_id] = []
            taken = _append(of_device, beat, time.monotonic())
            self._changed.notify()
            return taken

    def take(self, most: int, *, seconds: float) -> list[Heard]:
        """Take those that came first, at most of so many devices; waits for the first of all."""
        with self._changed:
            if not self._waiting:
                self._changed.wait(seconds)
            now = time.monotonic()
            found = []
            while self._waiting and most > 0:
                _, beats = self._waiting.popitem(last=False)
                found += [Heard(beat=beat, ago=now - came) for beat, came in beats]
                most -= 1
            return found

    def put_back(self, heard: Sequence[Heard]) -> None:
        """Give back what could not be stored; it is older than what came since."""
        now = time.monotonic()
        with self._changed:
            newer = self._waiting
            self._waiting = OrderedDict()
            for one in heard:
                of_device = self._waiting.setdefault(one.beat.amphora_id, [])
                _append(of_device, one.beat, now - one.ago)
            for name, beats in newer.items():
                of_device = self._waiting.setdefault(name, [])
                for beat, came in beats:
                    _append(of_device, beat, came)


def _append(waiting: list[tuple[Beat, float]], beat: Beat, came: float) -> bool:
    if not waiting:
        waiting.append((beat, came))
        return True
    last, _ = waiting[-1]
    if not is_newer(beat.place, last.place):
        return False
    one = combined(last, beat)
    if one is not None:
        waiting[-1] = (one, came)
    else:
        waiting.append((beat, came))
        del waiting[:-_MOST_OF_ONE]
    return True
