"""The thread that carries the lanes of one server: one of them, or many."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable

from libra_common.jobs.lane import Lane

_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR
_LONGEST = 3600.0  # seconds of one poll; something is always due before


class Carrier(threading.Thread):
    """Polls the connections of its lanes and gives each a turn when something is to be done.

    With one lane a handler may take as long as it likes. With many, a handler that waits holds
    them all up: it must return a future, and then its connection waits here beside the others.
    `stopping` says whether the lanes are coming to their ends; `wake` has it noticed.
    """

    def __init__(self, *, name: str, stopping: Callable[[], bool]) -> None:
        # A daemon thread: a handler that hangs must not keep a second SIGTERM from ending us.
        super().__init__(name=name, daemon=True)
        self._stopping = stopping
        self._lanes: tuple[Lane, ...] = ()
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def __del__(self) -> None:
        os.close(self._wake_fd)

    def carry(self, *lanes: Lane) -> None:
        """Take these lanes; before `start`."""
        self._lanes = lanes

    def wake(self) -> None:
        """Have every lane that wants one given a turn now; may be called from any thread."""
        os.eventfd_write(self._wake_fd, 1)

    @property
    def may_hold_job(self) -> bool:
        """Whether a connection is open, so that a stop has to wait for it."""
        return self.is_alive() and any(lane.may_hold_job for lane in self._lanes)

    def run(self) -> None:
        """Live until each lane has ended; `start` calls this in the thread."""
        events: dict[int, int] = {}
        try:
            while any(not lane.ended for lane in self._lanes):
                self._give_turns(events)
                events = self._poll()
        finally:
            for lane in self._lanes:
                lane.end()

    def _give_turns(self, events: dict[int, int]) -> None:
        stopping = self._stopping()
        for lane in self._lanes:
            if lane.ended:
                continue
            session = lane.session
            happened = 0 if session is None else events.get(session.fileno(), 0)
            if happened or stopping or lane.wait() <= 0:
                lane.turn(readable=bool(happened & _READABLE))

    def _poll(self) -> dict[int, int]:
        """Wait until something happens or is due; return the events by descriptor."""
        poll = select.poll()
        poll.register(self._wake_fd, select.POLLIN)
        seconds = _LONGEST
        for lane in self._lanes:
            if not lane.ended:
                seconds = min(seconds, lane.wait())
                if lane.session is not None:
                    poll.register(lane.session.fileno(), lane.session.interest())
        # Rounded up, or the last millisecond would be spent spinning.
        events = dict(poll.poll(int(seconds * 1000) + 1 if seconds else 0))
        if events.pop(self._wake_fd, 0):
            os.eventfd_read(self._wake_fd)
        return events
