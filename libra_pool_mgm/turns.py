"""Jobs that are about the same thing take turns; all others run beside each other."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator


class Turns:
    """One turn at a time for each thing, by its name; of one whom nobody waits for nothing is kept.

    For tasks of one event loop.
    """

    def __init__(self) -> None:
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def of(self, name: str) -> AsyncIterator[None]:
        """Wait for one's turn with the thing `name`, and have it until the block ends."""
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:
            yield
