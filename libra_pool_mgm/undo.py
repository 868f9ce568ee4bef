"""What has to be undone if a story does not end well: registered before each act."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType

from libra_common.errors import LibraError

LOG = logging.getLogger(__name__)

Act = Callable[[], Awaitable[None]]


class Undo:
    """A context that undoes, last first, what was registered in it, unless all was forgotten.

    However the context is left (an error, a deadline, a stop), the acts run to their ends; one
    that fails is logged and left to the sweep, and does not keep the others from running.
    """

    def __init__(self) -> None:
        self._acts: list[tuple[str, Act]] = []

    def register(self, what: str, act: Act) -> None:
        """Have `act` run at the end; call this before the act that it undoes.

        It must do no harm where nothing is to be undone, and wait for nothing for long.
        """
        self._acts.append((what, act))

    def forget(self) -> None:
        """All is well: undo nothing of what was registered so far."""
        self._acts.clear()

    async def __aenter__(self) -> Undo:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._acts:
            # A task of its own: whoever cancels the story does not cancel its undoing.
            await asyncio.shield(asyncio.create_task(self._run()))

    async def _run(self) -> None:
        while self._acts:
            what, act = self._acts.pop()
            LOG.info("undoing: %s", what)
            try:
                await act()
            except LibraError as error:
                LOG.warning("%s could not be undone, the sweep will find it: %s", what, error)
            except Exception:
                LOG.exception("%s could not be undone, the sweep will find it", what)
