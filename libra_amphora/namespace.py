"""The network namespace that a node's traffic lives in, and how to act inside it.

A thread can enter a namespace and come back, but one that fails on its way back would go on in
the wrong place. So what is done inside has a thread of its own, whose end is the way back.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from libra_amphora.network_errors import NamespaceUnusable

T = TypeVar("T")

_FOLDER = Path("/run/netns")


class Namespace:
    """The namespace called `name`; the process's own where it is empty."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __bool__(self) -> bool:
        """Whether it is another one than the process's own."""
        return bool(self.name)

    def ensure(self) -> None:
        """Make it where it does not exist. Raises NamespaceUnusable."""
        if not self.name or (_FOLDER / self.name).exists():
            return
        from pyroute2 import netns

        try:
            netns.create(self.name)
        except OSError as error:
            raise self._unusable(error) from error

    def run(self, action: Callable[[], T]) -> T:
        """Do `action` inside and give what it gives; processes that it starts stay inside.

        Raises what it raises, and NamespaceUnusable where the namespace cannot be entered.
        """
        if not self.name:
            return action()
        errand = _Errand(action, self._enter)
        errand.start()
        errand.join()
        return errand.outcome()

    def _enter(self) -> None:
        from pyroute2 import netns

        try:
            netns.setns(self.name, flags=0)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> NamespaceUnusable:
        why = os.strerror(error.errno) if error.errno else str(error)
        return NamespaceUnusable(f"cannot use the network namespace {self.name}: {why}")


class _Errand(threading.Thread, Generic[T]):
    """A thread that enters, acts and ends."""

    def __init__(self, action: Callable[[], T], enter: Callable[[], None]) -> None:
        super().__init__(name="in namespace", daemon=True)
        self._action = action
        self._enter = enter
        self._given: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._enter()
            self._given.append(self._action())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._error = error

    def outcome(self) -> T:
        if self._error is not None:
            raise self._error
        return self._given[0]
