"""Lets changes through while the topology stands still, and none while it moves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from libra_amphora.errors import TransitionInProgress


class Gate:
    """Changes go through side by side; a transition waits for them and keeps new ones out."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._changes = 0
        self._moving = False

    @property
    def moving(self) -> bool:
        """Whether the topology is being changed."""
        return self._moving

    @contextmanager
    def change(self) -> Iterator[None]:
        """Make a change. Raises TransitionInProgress, at once."""
        with self._condition:
            if self._moving:
                raise TransitionInProgress
            self._changes += 1
        try:
            yield
        finally:
            with self._condition:
                self._changes -= 1
                self._condition.notify_all()

    def begin(self) -> None:
        """Keep new changes out from now on. Raises TransitionInProgress where one is under way."""
        with self._condition:
            if self._moving:
                raise TransitionInProgress
            self._moving = True

    def wait(self, seconds: float) -> bool:
        """Wait until the changes that came before are done; whether they are."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._changes, seconds)

    def end(self) -> None:
        """Let changes through again."""
        with self._condition:
            self._moving = False
