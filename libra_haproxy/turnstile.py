"""Lets changes through one at a time, in the order in which they came.

A plain lock gives no order: of two updates that wait, the older could win and be the last.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turnstile:
    """A first come, first served lock."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._busy = False
        self._waiting: deque[threading.Event] = deque()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for one's turn and have it for the length of the block."""
        with self._guard:
            turn = threading.Event()
            if self._busy:
                self._waiting.append(turn)
            else:
                self._busy = True
                turn.set()
        turn.wait()
        try:
            yield
        finally:
            self._next()

    @contextmanager
    def turn_if_free(self) -> Iterator[bool]:
        """Have a turn at once or not at all; gives whether it was had."""
        with self._guard:
            free = not self._busy
            self._busy = True
        try:
            yield free
        finally:
            if free:
                self._next()

    def _next(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._busy = False
