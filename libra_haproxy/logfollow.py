"""Takes HAProxy's access log from a file that syslog writes. Standard library only.

What was taken is put down after each step, as the place in syslog's file and the sizes of ours; a
keeper that comes after a kill cuts ours back to it, so no line is lost and none is taken twice.
Syslog's file may be moved away or cut by logrotate at any time.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections import defaultdict
from pathlib import Path

from libra_haproxy.accessline import split
from libra_haproxy.logfiles import LogFiles

POSITION = "position"
"""The file beside the logs that says how far they go."""

_LOOK_SECONDS = 0.2
_READ_BYTES = 1 << 20


class LogFollower:
    """Follows the file `path` and has what is new in it written to `files`.

    What was in it before it was first followed is nobody's here. Raises OSError.
    """

    def __init__(self, path: Path, files: LogFiles) -> None:
        self._path = path
        self._files = files
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._position = files.directory / POSITION
        self._file: int | None = None
        self._inode = 0
        self._offset = 0
        self._begin()
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)

    def start(self) -> None:
        """Follow from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Take what is there, and end."""
        self._ended.set()
        self._thread.join()
        with self._lock:
            self._take()
            self._files.close()

    def seal(self, frontend: str) -> bool:
        """Rotate, with all that syslog has written until now. Raises OSError."""
        with self._lock:
            self._take()
            sealed = self._files.seal(frontend)
            self._put_down()
            return sealed

    def seal_old(self) -> None:
        """Rotate what was begun too long ago."""
        with self._lock:
            self._files.seal_old(time.time())
            self._put_down()

    def _run(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            with self._lock:
                self._take()

    def _begin(self) -> None:
        """Go on where the keeper before was, or begin at the end of the file."""
        try:
            found = json.loads(self._position.read_bytes())
            inode, offset = int(found["inode"]), int(found["offset"])
            sizes = {str(name): int(size) for name, size in found["sizes"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            with contextlib.suppress(OSError):
                self._open()
                self._offset = os.fstat(self._file).st_size if self._file is not None else 0
            self._put_down()
            return
        self._files.cut_back(sizes)
        with contextlib.suppress(OSError):
            self._open()
            if self._inode == inode:
                self._offset = offset

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        self._inode = os.fstat(self._file).st_ino
        self._offset = 0

    def _take(self) -> None:
        """Write what is new; then see whether there is another file under the name."""
        # Nothing there yet, or not readable at the moment: it is looked for again.
        with contextlib.suppress(OSError):
            if self._file is None:
                self._open()
            self._read_on()
            if self._path.stat().st_ino != self._inode:
                self._read_on()
                self._close()
                self._open()
                self._read_on()

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _read_on(self) -> None:
        file = self._file
        if file is None:
            return
        if os.fstat(file).st_size < self._offset:
            self._offset = 0
        while data := os.pread(file, _READ_BYTES, self._offset):
            end = data.rfind(b"\n") + 1
            if not end and len(data) < _READ_BYTES:
                return
            self._offset += end or len(data)
            self._write(data[:end])

    def _write(self, data: bytes) -> None:
        lines: defaultdict[str, list[bytes]] = defaultdict(list)
        for line in data.split(b"\n"):
            found = split(line)
            if found:
                lines[found[0]].append(found[1])
        self._files.append(lines)
        self._put_down()
        if self._files.seal_full():
            self._put_down()

    def _put_down(self) -> None:
        """By one write, which a kill does not divide; the rest of a longer one is blanks."""
        text = json.dumps(
            {"inode": self._inode, "offset": self._offset, "sizes": self._files.sizes}
        )
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            file = os.open(self._position, flags, 0o640)
            try:
                os.pwrite(file, text.encode("ascii").ljust(4095) + b"\n", 0)
            finally:
                os.close(file)
