"""Calls that wait (for the cloud, for a job) made by a few threads on behalf of many tasks."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

R = TypeVar("R")


class Calls:
    """Runs at most `threads` calls at a time; the others queue in the order of their coming."""

    def __init__(self, *, threads: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)

    async def run(self, call: Callable[[], R]) -> R:
        """Return what `call` returns or raises; it has deadlines of its own.

        A task that is cancelled meanwhile still waits for a call that runs: what is to be undone
        must have been done, or not, by then.
        """
        context = contextvars.copy_context()  # log lines of the thread belong to the job too
        future = self._pool.submit(context.run, call)
        waiting = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            if not waiting.done() and not future.cancel():
                await asyncio.wait([waiting])
            raise

    async def ask(self, call: Callable[[], R]) -> R:
        """Return what `call`, which changes nothing, returns or raises.

        A task that is cancelled meanwhile goes on at once; the thread ends its call alone.
        """
        context = contextvars.copy_context()
        return await asyncio.wrap_future(self._pool.submit(context.run, call))

    def close(self) -> None:
        """Begin no further call; those that run are not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
