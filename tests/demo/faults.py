"""What can end the story early."""

from __future__ import annotations

import signal


class Wrong(Exception):
    """Something is not as it should be."""


class Missing(Exception):
    """A program that the story needs is not on this machine."""


class Stopped(BaseException):
    """A signal asks to leave; like KeyboardInterrupt no business of `except Exception`."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
