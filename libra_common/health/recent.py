"""What takes long to ask, asked beside: whoever wants to know is told what was found last."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from libra_common.errors import LibraError

LOG = logging.getLogger(__name__)

Found = TypeVar("Found")


class Recent(Generic[Found]):
    """The last answer to a question; one older than `seconds` is asked for anew, in a thread."""

    def __init__(
        self,
        *,
        what: str,
        ask: Callable[[], Found],
        seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._ask = ask
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._asking = False
        self._asked: float | None = None
        self._found: Found | None = None

    def get(self) -> Found | None:
        """What was found last, at once; None where nothing is known, or not any more."""
        with self._lock:
            old = self._asked is None or self._clock() - self._asked > self._seconds
            if old and not self._asking:
                self._asking = True
                threading.Thread(target=self._renew, name=self._what, daemon=True).start()
            return self._found

    def _renew(self) -> None:
        found: Found | None = None
        try:
            found = self._ask()
        except LibraError as error:
            LOG.warning("%s is not known now: %s", self._what, error)
        except Exception:
            LOG.exception("%s is not known now", self._what)
        finally:
            with self._lock:
                self._asking, self._asked, self._found = False, self._clock(), found
