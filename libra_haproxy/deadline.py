"""A point in time that a whole operation may not pass, however many steps it has."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Deadline:
    """A monotonic point in time, in seconds; clock jumps do not move it."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """The point `seconds` from now."""
        return cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self.at - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.left <= 0.0
