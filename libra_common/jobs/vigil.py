"""Noticing a server that neither speaks nor hangs up (frozen, or cut off without a FIN).

TCP keepalive cannot: the kernel of a frozen process goes on answering. So a quiet connection is
probed with an echo request, and one that does not answer is given up.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Verdict(enum.Enum):
    """What to do about a connection's silence."""

    WAIT = "wait"
    PROBE = "probe"
    DEAD = "dead"


@dataclass(slots=True)
class Vigil:
    """Keeps the time of one connection's silence; all times are of one monotonic clock, seconds.

    A probe is due after `idle` seconds of silence; the connection is dead when nothing was heard
    for `patience` seconds after a probe.
    """

    idle: float
    patience: float
    quiet_since: float
    probed_at: float | None = None

    def heard(self, now: float) -> None:
        """Anything at all came from the server, or a busy slot turns to it again."""
        self.quiet_since = now
        self.probed_at = None

    def probing(self, now: float) -> None:
        """Remember that a probe goes out now; an earlier one unanswered keeps its time."""
        if self.probed_at is None:
            self.probed_at = now

    def verdict(self, now: float) -> Verdict:
        """Say what the silence so far asks for."""
        if self._left(now) > 0:
            return Verdict.WAIT
        return Verdict.PROBE if self.probed_at is None else Verdict.DEAD

    def wait(self, now: float) -> float:
        """Seconds until the verdict may change, never negative."""
        return max(0.0, self._left(now))

    def _left(self, now: float) -> float:
        if self.probed_at is None:
            return self.quiet_since + self.idle - now
        return self.probed_at + self.patience - now
