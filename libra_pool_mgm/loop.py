"""An event loop in a thread of its own, for tasks that other threads hand over."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

R = TypeVar("R")


class LoopThread:
    """Runs until `stop`; `start` must come first."""

    def __init__(self, *, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        # A daemon thread: it must not keep a second SIGTERM from ending the process.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to run what is handed over."""
        self._thread.start()

    def submit(self, task: Coroutine[Any, Any, R]) -> Future[R]:
        """Have a task run in the loop; the future is its outcome."""
        return asyncio.run_coroutine_threadsafe(task, self.loop)

    def stop(self, timeout: float) -> None:
        """End the loop, whatever runs in it; waits at most `timeout` seconds."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
