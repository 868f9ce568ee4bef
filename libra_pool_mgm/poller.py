"""One question asked again and again on behalf of all that wait for its answer to change."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from libra_common.errors import LibraError

LOG = logging.getLogger(__name__)

FASTEST = 0.5
"""Seconds from one question to the next while somebody has begun to wait just now."""

SLOWEST = 5.0
"""Seconds from one question to the next when all have waited for long, or it fails."""

_PATIENCE = 20  # one who has waited for so many seconds is not hurt by another one
_AT_WORK = 4  # questions take at most a quarter of the time, however slow they are

T = TypeVar("T")
R = TypeVar("R")


def pause(*, youngest: float, took: float, failures: int) -> float:
    """Seconds between the beginnings of two questions.

    `youngest` is for how long the last who came has waited, `took` how long the last question
    took, both in seconds; `failures` counts those in a row that were not answered. How many wait
    does not matter.
    """
    wanted = min(SLOWEST, max(FASTEST, youngest / _PATIENCE))
    wanted = min(SLOWEST, wanted * 2.0 ** min(failures, 10))
    return max(wanted, _AT_WORK * took)


@dataclass(frozen=True)
class _Waiter:
    look: Callable[[Any], Any]
    since: float
    patient: bool
    future: asyncio.Future[Any]


class Poller(Generic[T]):
    """Asks `ask` while anybody waits, each answer for all of them; for tasks of one loop.

    `what` names the question in the log. `clock` is monotonic seconds.
    """

    def __init__(
        self,
        *,
        what: str,
        ask: Callable[[], Awaitable[T]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._ask = ask
        self._clock = clock
        self._waiters: set[_Waiter] = set()
        self._joined = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._began = float("-inf")
        self._took = 0.0
        self._failures = 0
        self.trouble: LibraError | None = None
        """Why the last question was not answered; None where it was."""

    async def wait(self, look: Callable[[T], R | None], *, patient: bool = False) -> R:
        """Return what `look` makes of an answer, the first time that it is not None.

        `look` sees only answers to questions that were asked after this call; what it raises is
        raised here. For one who is `patient` nothing is asked sooner. Has no deadline of its own.
        """
        waiter = _Waiter(look, self._clock(), patient, asyncio.get_running_loop().create_future())
        self._waiters.add(waiter)
        self._joined.set()
        if self._task is None or self._task.done():
            # In an empty context: its log lines belong to no job.
            self._task = asyncio.create_task(self._run(), context=contextvars.Context())
        try:
            found: R = await waiter.future
            return found
        finally:
            self._waiters.discard(waiter)

    async def _run(self) -> None:
        while self._waiters:
            while (left := self._began + self._pause() - self._clock()) > 0:
                self._joined.clear()
                try:
                    async with asyncio.timeout(left):
                        await self._joined.wait()
                except TimeoutError:
                    break
            if self._waiters:
                await self._ask_once()

    def _pause(self) -> float:
        now = self._clock()
        hurried = [waiter.since for waiter in self._waiters if not waiter.patient]
        youngest = now - max(hurried, default=float("-inf"))
        return pause(youngest=youngest, took=self._took, failures=self._failures)

    async def _ask_once(self) -> None:
        self._began = began = self._clock()
        try:
            answer = await self._ask()
        except LibraError as error:
            if self.trouble is None:
                LOG.warning("%s cannot be asked for: %s", self._what, error)
            self.trouble = error
            self._failures += 1
        except Exception as error:  # noqa: BLE001 - those who wait must hear of a fault of ours
            for waiter in self._waiters:
                if not waiter.future.done():
                    waiter.future.set_exception(error)
        else:
            if self.trouble is not None:
                LOG.info("%s can be asked for again", self._what)
            self.trouble = None
            self._failures = 0
            self._tell(answer, began)
        self._took = self._clock() - began

    def _tell(self, answer: T, began: float) -> None:
        for waiter in list(self._waiters):
            if waiter.since > began or waiter.future.done():
                continue
            try:
                found = waiter.look(answer)
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                waiter.future.set_exception(error)
            else:
                if found is not None:
                    waiter.future.set_result(found)
