"""What an archive needs of an object store, and what can go wrong with one.

A second kind of store is one more class beside `swift.SwiftStore` and a word in `stores.py`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from libra_common.errors import LibraError


class ArchiveError(LibraError):
    """The root: a log was not archived and is still on this node, for the next ARCHIVE."""

    code = "archive_failed"


class StoreTypeUnknown(ArchiveError):
    """No such kind of store; named."""

    code = "not_supported"


class StoreUnauthorized(ArchiveError):
    """The store does not accept the token, or could not have it checked."""

    code = "store_unauthorized"


class StoreForbidden(ArchiveError):
    """The token is good, and has no right to write there."""

    code = "store_forbidden"


class StoreFull(ArchiveError):
    """A quota, or the store itself, is full."""

    code = "store_full"


class StoreFault(ArchiveError):
    """The store failed, or answered what it should not; the text has its status."""

    code = "store_error"


class StoreUnreachable(ArchiveError):
    """There was no connection, or it was cut."""

    code = "store_unreachable"


class StoreUntrusted(ArchiveError):
    """The certificate of the store could not be verified."""

    code = "store_untrusted"


class StoreTimeout(ArchiveError):
    """The store was too slow."""

    code = "store_timeout"


class ChecksumMismatch(ArchiveError):
    """What the store has is not what was sent."""

    code = "checksum_mismatch"


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a message wants its logs: the URL of an account, a container, and a token for both."""

    endpoint: str
    container: str
    token: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One object that the store has confirmed; `size` is that of the object, in bytes."""

    name: str
    size: int
    lines: int


class Store(Protocol):
    """One account and container, for the time of one ARCHIVE."""

    def put(self, name: str, log: BinaryIO) -> Stored:
        """Store the whole of a log, gzipped, as the object `name`; one of this name is replaced.

        Returns once the store has confirmed it by checksum. Raises an `ArchiveError`.
        """

    def close(self) -> None:
        """Let go of the store."""


class Log(Protocol):
    """A log that waits to be archived."""

    @property
    def stamp(self) -> str:
        """Its moment and number, no other's of this node."""

    def settle(self, name: str) -> str:
        """Its name in the store: `name`, unless one was settled by an earlier attempt."""

    def open(self) -> BinaryIO:
        """Open it, to be read."""

    def remove(self) -> None:
        """Erase it."""


class TimeLimit:
    """How long an ARCHIVE may take in all, from now on."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds; 0 once the time is up."""
        return max(0.0, self._ends - time.monotonic())

    def check(self) -> None:
        """Raise StoreTimeout once the time is up."""
        if not self.left:
            raise StoreTimeout("the time for one ARCHIVE is up ([archive] deadline)")
