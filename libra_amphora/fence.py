"""Keeps controllers whose time is over from changing anything: the fence.

Whoever takes a load balancer over has a higher number than all before, and sends it with each
change. A controller that was paused meanwhile wakes up with its old number and is refused. One
that sends none (Octavia's own) is not looked at.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from libra_amphora import files
from libra_amphora.errors import AmphoraError
from libra_haproxy.errors import StateUnreadable

HEADER = "X-Libra-Fence"
"""The header of a request that names its sender's number, and of answers with the highest seen."""

SCHEMA = 1
"""The number of the stored form; a higher one is refused, a lower one would be translated."""

_MOST = 2**63 - 1
_SECONDS = 120.0


class OlderFence(AmphoraError):
    """The number is lower than one that was seen; says both."""

    code = "older_fence"


class StillBusy(AmphoraError):
    """A change of an older number goes on and on; this one was not begun."""

    code = "busy"


def number(text: str) -> int:
    """The number that a header holds. Raises ValueError."""
    if not text.isascii() or not text.isdecimal() or not 0 <= int(text) <= _MOST:
        raise ValueError(f"{HEADER} must be a number from 0 to {_MOST}")
    return int(text)


class Fence:
    """The highest number seen, in the file `path`.

    It is on disk before anything is changed in its name, and what older ones have begun has ended.
    `seconds` is how long is waited for that.
    """

    def __init__(self, *, path: Path, seconds: float = _SECONDS) -> None:
        self._path = path
        self._seconds = seconds
        self._condition = threading.Condition()
        self._highest: int | None = None
        self._running: dict[int, int] = {}

    @property
    def highest(self) -> int | None:
        """The highest number seen; None before the first."""
        return self._highest

    def open(self) -> None:
        """Read what was stored. Raises StateUnreadable: without it nobody could be trusted."""
        try:
            stored = json.loads(self._path.read_bytes())
            if stored["schema"] != SCHEMA:
                raise StateUnreadable(
                    f"{self._path} has schema {stored['schema']!r}, this release reads {SCHEMA}"
                )
            self._highest = int(stored["highest"])
        except FileNotFoundError:
            self._highest = None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StateUnreadable(f"{self._path} cannot be read: {error}") from error

    @contextmanager
    def passed(self, sent: int) -> Iterator[None]:
        """Make a change in the name of a number.

        Raises OlderFence, StillBusy or DiskError, in which case it must not be made.
        """
        with self._condition:
            self._refuse_older(sent)
            if self._highest is None or sent > self._highest:
                text = json.dumps({"schema": SCHEMA, "highest": sent}) + "\n"
                files.replace(self._path, text.encode())
                self._highest = sent
            if not self._condition.wait_for(lambda: not self._older(sent), self._seconds):
                raise StillBusy(f"a change of an older fence than {sent} has not ended")
            self._refuse_older(sent)
            self._running[sent] = self._running.get(sent, 0) + 1
        try:
            yield
        finally:
            with self._condition:
                self._running[sent] -= 1
                if not self._running[sent]:
                    del self._running[sent]
                self._condition.notify_all()

    def _older(self, sent: int) -> bool:
        return any(other < sent for other in self._running)

    def _refuse_older(self, sent: int) -> None:
        if self._highest is not None and sent < self._highest:
            raise OlderFence(f"the fence {sent} is older than {self._highest}, which was seen here")
