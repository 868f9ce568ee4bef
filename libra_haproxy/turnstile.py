"""Lets changes through one at a time, in the order in which they came.

A plain lock gives no order: of two updates that wait, the older could win and be the last.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Load = TypeVar("Load")


class _Waiting(Generic[Load]):
    """One that waits, with what it carries."""

    def __init__(self, load: Load | None) -> None:
        self.load = load
        self.called = threading.Event()
        self.relieved = False


class Turnstile(Generic[Load]):
    """A first come, first served lock; who has the turn may relieve those right behind."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._busy = False
        self._waiting: deque[_Waiting[Load]] = deque()
        self._relieved: list[_Waiting[Load]] = []

    @contextmanager
    def turn(self, load: Load | None = None) -> Iterator[bool]:
        """Wait for one's turn and have it for the length of the block.

        Gives False where another took over `load` meanwhile; there is no turn to be had then.
        """
        waiting = _Waiting(load)
        with self._guard:
            if self._busy:
                self._waiting.append(waiting)
            else:
                self._busy = True
                waiting.called.set()
        waiting.called.wait()
        try:
            yield not waiting.relieved
        finally:
            if not waiting.relieved:
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

    def relieve(self, load: Load, joins: Callable[[Load, Load], bool]) -> list[Load]:
        """Take over the loads that wait right behind, as long as each `joins` the one before it.

        To be called in a turn; those whose loads were taken are let go at its end. Gives all,
        the given one first.
        """
        loads = [load]
        with self._guard:
            while self._waiting:
                behind = self._waiting[0].load
                if behind is None or not joins(loads[-1], behind):
                    break
                loads.append(behind)
                self._relieved.append(self._waiting.popleft())
        return loads

    def _next(self) -> None:
        with self._guard:
            for waiting in self._relieved:
                waiting.relieved = True
                waiting.called.set()
            self._relieved.clear()
            if self._waiting:
                self._waiting.popleft().called.set()
            else:
                self._busy = False
