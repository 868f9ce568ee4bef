"""Receives HAProxy's access log, line by line, and has it written. Standard library only.

HAProxy never waits for its log: what finds no room it drops and counts. So one thread does nothing
but make room. HAProxy's standard output is a named pipe, which the kernel lets hold 1 MiB, some
4000 lines, without any setting (`fs.pipe-max-size` allows more); a datagram socket holds ten, or
some 250 with `net.unix.max_dgram_qlen` raised. And it outlives the keeper: each HAProxy holds both
ends open, so what is logged while there is no keeper waits in it for the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import stat
import threading
import time
from collections import defaultdict
from pathlib import Path

from libra_haproxy.accessline import split
from libra_haproxy.logfiles import LogFiles

_PIPE_BYTES = (1 << 24, 1 << 22, 1 << 20)  # as much of it as the kernel allows
_READ_BYTES = 1 << 18
_LONGEST_LINE = 1 << 16
_IDLE_SECONDS = 0.5


class LogPipe:
    """The pipe at `path`, and the thread that empties it into `files`. Raises OSError."""

    def __init__(self, path: Path, files: LogFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._rest = b""
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        # For both: so it has a reader and a writer whoever else comes and goes.
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        if not stat.S_ISFIFO(os.fstat(self._pipe).st_mode):
            os.close(self._pipe)
            raise FileExistsError(0, "there is something else in the place of the log's pipe")
        for size in _PIPE_BYTES:
            with contextlib.suppress(OSError):
                fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, size)
                break
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)

    def fileno(self) -> int:
        """What HAProxy is to write to."""
        return self._pipe

    def start(self) -> None:
        """Receive from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Write what has come so far, and end."""
        self._ended.set()
        self._thread.join()
        with self._lock:
            self._empty()
            self._files.close()

    def seal(self, frontend: str) -> bool:
        """Rotate, with all that HAProxy has logged until now. Raises OSError."""
        with self._lock:
            self._empty()
            return self._files.seal(frontend)

    def seal_old(self) -> None:
        """Rotate what was begun too long ago."""
        with self._lock:
            self._files.seal_old(time.time())

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        while not self._ended.is_set():
            if poll.poll(_IDLE_SECONDS * 1000):
                with self._lock:
                    self._batch()

    def _empty(self) -> None:
        while self._batch():
            pass

    def _batch(self) -> bool:
        """Write what is there; whether there may be more."""
        try:
            data = os.read(self._pipe, _READ_BYTES)
        except BlockingIOError:
            return False
        # HAProxy writes a line at once or not at all; a read may end within one nevertheless.
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            self._rest = b""
        lines: defaultdict[str, list[bytes]] = defaultdict(list)
        for line in whole:
            found = split(line)
            if found:
                lines[found[0]].append(found[1])
        self._files.append(lines)
        return True
