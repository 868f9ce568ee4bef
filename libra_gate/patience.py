"""How long a client may take: for its first packet, for the rest of one, to read; pure."""

from __future__ import annotations

from dataclasses import dataclass

_SLOWEST = 64 * 1024
"""Bytes a second that a long packet must come with."""


@dataclass(slots=True)
class Patience:
    """The times of one connection, in monotonic seconds. `first` and `packet` are time limits."""

    started: float
    first: float
    packet: float
    _talks: bool = False
    _stuck_since: float | None = None
    _begun: int = -1
    _owed_since: float | None = None
    _allowed: float = 0.0

    def owes(self, begun: int, missing: int | None, now: float) -> None:
        """The client owes `missing` bytes of its packet number `begun`; None: nothing.

        None also while it could not send, because we did not read.
        """
        self._talks = True
        if missing is None:
            self._owed_since = None
        elif self._owed_since is None or self._begun != begun:
            self._begun, self._owed_since = begun, now
            self._allowed = self.packet + missing / _SLOWEST

    def stuck(self, now: float) -> None:
        """The client does not take what is sent to it."""
        self._stuck_since = now

    def unstuck(self) -> None:
        """It does again."""
        self._stuck_since = None

    @property
    def is_stuck(self) -> bool:
        """Whether the client does not take what is sent to it."""
        return self._stuck_since is not None

    def is_over(self, now: float) -> bool:
        """Whether it took too long."""
        if self._stuck_since is not None and now - self._stuck_since > self.packet:
            return True
        if not self._talks:
            return now - self.started > self.first
        return self._owed_since is not None and now - self._owed_since > self._allowed
