"""How much of the logs is kept: pure decisions, and the hand that carries them out.

Standard library only. The oldest goes first, and never more than has to.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from libra_haproxy.sealed import Sealed, sealed_in

_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How long and how much logs are kept that nobody has archived.

    `most_bytes` of all logs of an Instance, `most_seconds` of age, `free_percent` of the file
    system that is left to others; at `file_bytes` a file is sealed and another begun.
    """

    most_bytes: int = 4 << 30
    most_seconds: int = 7 * 86400
    free_percent: int = 5
    file_bytes: int = 256 << 20

    @property
    def seal_bytes(self) -> int:
        """A file this large is sealed: a single one must never be most of what is kept."""
        return max(1, min(self.file_bytes, self.most_bytes // 4))

    @property
    def seal_seconds(self) -> int:
        """A file this old is sealed, or the age of what is in it would not be known."""
        return min(86400, self.most_seconds)


@dataclass(frozen=True)
class Kept:
    """A sealed log as the bounds see it: its size in bytes, its age in seconds."""

    log: Sealed
    size: int
    age: float


def too_much(kept: Sequence[Kept], *, open_bytes: int, room: int, bounds: Bounds) -> list[Kept]:
    """Which of `kept`, oldest first, have to go.

    `open_bytes` are those of files that are still written, `room` the bytes that the file system
    has left beside what others are promised, negative where it has too few.
    """
    gone = [one for one in kept if one.age > bounds.most_seconds]
    total = open_bytes + sum(one.size for one in kept)
    allowed = min(bounds.most_bytes, total + room)
    total -= sum(one.size for one in gone)
    for one in kept:
        if total <= allowed:
            break
        if one not in gone:
            gone.append(one)
            total -= one.size
    return gone


def tidy(directory: Path, *, bounds: Bounds, now: float) -> tuple[int, int]:
    """Remove what is too much; returns how many files and lines that were.

    `now` is the time in seconds since 1970. Raises nothing: what cannot be removed is tried again.
    """
    kept, open_bytes, room = _look(directory, bounds, now)
    files = lines = 0
    for one in too_much(kept, open_bytes=open_bytes, room=room, bounds=bounds):
        with contextlib.suppress(OSError):
            counted = lines_of(one.log.path)
            one.log.remove()
            files, lines = files + 1, lines + counted
    return files, lines


def lines_of(path: Path) -> int:
    """How many lines a file has. Raises OSError."""
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_CHUNK), b""))


def _look(directory: Path, bounds: Bounds, now: float) -> tuple[list[Kept], int, int]:
    kept = []
    for log in sealed_in(directory):
        with contextlib.suppress(OSError):
            kept.append(Kept(log, log.path.stat().st_size, now - log.time.timestamp()))
    open_bytes = room = 0
    with contextlib.suppress(OSError):
        everything = sum(path.stat().st_size for path in directory.glob("*.log"))
        open_bytes = everything - sum(one.size for one in kept)
        disk = os.statvfs(directory)
        reserve = disk.f_blocks * disk.f_frsize * bounds.free_percent // 100
        room = disk.f_bavail * disk.f_frsize - reserve
    return kept, open_bytes, room
