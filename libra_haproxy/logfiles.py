"""Writes the access logs: one file for each frontend, sealed at a rotation. Standard library only.

There is one writer, so a rotation is a rename between two writes: no signal, no line lost, none
in two files. Lines are with the kernel when `append` returns; a power cut may lose the last ones.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from libra_haproxy.logbounds import Bounds
from libra_haproxy.sealed import current, seal, sealed_in

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_MOST_FRONTENDS = 64


@dataclass
class _Open:
    """A file that is being written: its size in bytes, and when it was begun."""

    file: int
    size: int
    since: float


class LogFiles:
    """The files of one directory. Not for several threads at once."""

    def __init__(self, directory: Path, bounds: Bounds) -> None:
        self.directory = directory
        self.bounds = bounds
        self.written = 0
        self.unwritten = 0
        self._open: dict[str, _Open] = {}
        self._number = os.open(directory / "number", _FLAGS & ~os.O_APPEND, 0o640)
        # A file from before this process goes on, and is sealed in its turn.
        for path in directory.glob("*.log"):
            if path.name.count(".") == 1:
                with contextlib.suppress(OSError):
                    self._opened(path.stem)

    def append(self, lines: Mapping[str, Sequence[bytes]]) -> None:
        """Write lines, each with its newline; those that find no room are counted, not raised."""
        for frontend, found in lines.items():
            try:
                file = self._opened(frontend)
                data = b"".join(found)
                done = os.write(file.file, data)
            except OSError:
                self.unwritten += len(found)
                continue
            if done < len(data):
                # The disk filled up on the way: what is left of the last line is taken back.
                data = data[:done]
                done = data.rfind(b"\n") + 1
                with contextlib.suppress(OSError):
                    os.ftruncate(file.file, file.size + done)
            whole = data.count(b"\n", 0, done)
            self.written += whole
            self.unwritten += len(found) - whole
            file.size += done

    def seal_full(self) -> bool:
        """Rotate what has grown large enough; whether there was any."""
        full = [name for name, file in self._open.items() if file.size >= self.bounds.seal_bytes]
        for frontend in full:
            with contextlib.suppress(OSError):
                self.seal(frontend)
        return bool(full)

    def seal(self, frontend: str) -> bool:
        """Rotate: what was written so far is sealed; False where there was nothing.

        Raises OSError; everything is as it was then.
        """
        file = self._open.get(frontend)
        if file is None or not file.size:
            return False
        try:
            seal(self.directory, frontend, now=time.time(), number=self._next_number())
        except FileNotFoundError:
            # Somebody has removed it under our hands: what was in it is gone, what comes is not.
            self._forget(frontend)
            return False
        self._forget(frontend)
        return True

    def seal_old(self, now: float) -> None:
        """Rotate what was begun too long before `now`, in seconds since 1970."""
        for frontend, file in list(self._open.items()):
            if file.size and now - file.since > self.bounds.seal_seconds:
                with contextlib.suppress(OSError):
                    self.seal(frontend)

    @property
    def sizes(self) -> dict[str, int]:
        """How many bytes each file has that is being written."""
        return {frontend: file.size for frontend, file in self._open.items()}

    def cut_back(self, sizes: Mapping[str, int]) -> None:
        """Take back what was written to the files beyond these sizes. Raises OSError."""
        for frontend, file in self._open.items():
            size = sizes.get(frontend, 0)
            if file.size > size:
                os.ftruncate(file.file, size)
                file.size = size

    def close(self) -> None:
        """Close every file."""
        for file in self._open.values():
            os.close(file.file)
        self._open.clear()

    def _forget(self, frontend: str) -> None:
        os.close(self._open.pop(frontend).file)

    def _opened(self, frontend: str) -> _Open:
        file = self._open.get(frontend)
        if file is None:
            if len(self._open) >= _MOST_FRONTENDS:
                raise OSError("too many frontends")
            descriptor = os.open(current(self.directory, frontend), _FLAGS, 0o640)
            status = os.fstat(descriptor)
            size = status.st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                # A kill in the middle of a line.
                size += os.write(descriptor, b"\n")
            since = status.st_mtime if status.st_size else time.time()
            file = self._open[frontend] = _Open(descriptor, size, since)
        return file

    def _next_number(self) -> int:
        """Count rotations, over restarts too; written in place, which a full disk allows."""
        said = os.pread(self._number, 32, 0).strip()
        last = int(said) if said.isdigit() else 0
        in_use = max((one.number for one in sealed_in(self.directory)), default=0)
        number = max(last, in_use) + 1
        with contextlib.suppress(OSError):
            os.pwrite(self._number, b"%018d\n" % number, 0)
        return number
