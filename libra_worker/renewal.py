"""Sees that HAProxy's package was updated, and has the new one take over when it may.

The program on disk is another one then, and what runs is the old one: with its faults, until a
reload, in which the master starts itself anew from disk and loses nothing. When that may be is the
operator's to say.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from libra_common.errors import LibraError
from libra_common.settings.values import HAND, NOW

LOG = logging.getLogger(__name__)

_LOOK_SECONDS = 10.0
_AGAIN_SECONDS = 3600.0
"""After one that failed; what is installed then may be another again."""
_WINDOW = timedelta(hours=1)
"""How long after the time of day it may still begin."""


class Renewable(Protocol):
    """Whatever runs HAProxy."""

    def releases(self) -> tuple[str, str]:
        """The release that runs and the one on disk; empty where unknown."""

    def renew(self) -> None:
        """Have the one on disk take over. Raises LibraError, with the old one serving on."""


class Renewal:
    """Looks now and then whether another HAProxy is installed than the one that runs.

    `when` is `now`, `hand` (when `ask` was called) or a time of day in UTC as HH:MM.
    """

    def __init__(
        self,
        *,
        when: str,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._when = when
        self._clock = clock
        self._today = today
        self._next = 0.0
        self._asked = False
        self._told: tuple[str, str] | None = None

    def ask(self) -> None:
        """The operator wants it now, whatever the setting says."""
        self._asked, self._next = True, 0.0

    def look(self, haproxy: Renewable) -> None:
        """To be called often; acts when there is something to do and it may be."""
        if self._clock() < self._next:
            return
        self._next = self._clock() + _LOOK_SECONDS
        running, installed = found = haproxy.releases()
        if not running or not installed or running == installed:
            self._told, self._asked = None, False
            return
        if found != self._told:
            self._told = found
            LOG.warning("HAProxy %s runs, and %s is installed: %s", *found, self._plan())
        if not self._may():
            return
        self._asked = False
        try:
            haproxy.renew()
        except LibraError as error:
            self._next = self._clock() + _AGAIN_SECONDS
            LOG.error("HAProxy %s serves on, %s could not take over: %s", *found, error)
        else:
            LOG.info("HAProxy %s has taken over from %s", installed, running)

    def _may(self) -> bool:
        if self._asked or self._when == NOW:
            return True
        if self._when == HAND:
            return False
        now = self._today()
        hour, _, minute = self._when.partition(":")
        begin = now.replace(hour=int(hour), minute=int(minute), second=0, microsecond=0)
        return any(day <= now < day + _WINDOW for day in (begin, begin - timedelta(days=1)))

    def _plan(self) -> str:
        if self._when == NOW:
            return "it takes over now"
        if self._when == HAND:
            return "SIGHUP of the worker, or any reload, has it take over"
        return f"it takes over at {self._when} UTC"
