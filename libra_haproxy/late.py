"""Has HAProxy check the file after changes at run time, when nobody waits for it any more.

A change at run time is served at once; the file it leaves behind must pass `haproxy -c` all the
same, or the next start fails. It always should, since tokens make it. If not, somebody must know.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from libra_haproxy.errors import ConfigRefused, EngineError

LOG = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.3
"""Changes that come close together are checked together."""


class LateCheck:
    """Calls `check` soon after each `due`, and `refused` when HAProxy does not like the file."""

    def __init__(
        self, *, check: Callable[[], None], refused: Callable[[ConfigRefused], None]
    ) -> None:
        self._check = check
        self._refused = refused
        self._due = threading.Event()
        self._thread: threading.Thread | None = None

    def due(self) -> None:
        """There is a new file to be checked; returns at once."""
        self._due.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="late check", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while self._due.wait():
            time.sleep(_PAUSE_SECONDS)
            self._due.clear()
            try:
                self._check()
            except ConfigRefused as error:
                self._refused(error)
            except EngineError as error:
                LOG.warning("the file could not be checked: %s", error)
