"""Receives HAProxy's access log, line by line, and has it written. Standard library only.

HAProxy never waits for its log: what does not fit into the socket's queue it drops and counts. So
one thread does nothing but empty the queue. How long it is the kernel says when the socket is made:
`net.unix.max_dgram_qlen`, ten unless it is told otherwise, which is too few.

A pipe as HAProxy's output holds 1 MiB without any setting, but then its threads drop lines when
they come to write at the same time; and `log ... sample` on several sockets writes some lines twice
for the same reason. Both were tried.

The socket is bound under another name and then renamed, so that there is no moment at which
processes that log find none.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections import defaultdict
from pathlib import Path

from libra_haproxy.accessline import split
from libra_haproxy.logfiles import LogFiles

NAME = "log.sock"
"""The socket, in an Instance's run directory."""

ENOUGH = 1024
"""Datagrams; a shorter queue loses lines under load."""

_QUEUE_BYTES = 64 << 20  # the kernel gives as much of it as net.core.rmem_max allows
_LINE_BYTES = 65536
_MOST_AT_ONCE = 1024
_IDLE_SECONDS = 1.0


def queue_length() -> int | None:
    """How many datagrams the kernel queues for a socket that is made now, if it says so."""
    with contextlib.suppress(OSError, ValueError):
        return int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
    return None


class LogSocket:
    """The socket at `path`, and the thread that empties it into `files`."""

    def __init__(self, path: Path, files: LogFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _QUEUE_BYTES)
        new = path.with_name(path.name + ".new")
        new.unlink(missing_ok=True)
        mask = os.umask(0o117)
        try:
            self._socket.bind(str(new))
        finally:
            os.umask(mask)
        new.rename(path)
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)

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
        poll.register(self._socket, select.POLLIN)
        while not self._ended.is_set():
            if poll.poll(_IDLE_SECONDS * 1000):
                with self._lock:
                    self._batch()

    def _empty(self) -> None:
        while self._batch():
            pass

    def _batch(self) -> bool:
        """Write what is there; whether there may be more."""
        lines: defaultdict[str, list[bytes]] = defaultdict(list)
        receive = self._socket.recv
        more = True
        try:
            for _ in range(_MOST_AT_ONCE):
                found = split(receive(_LINE_BYTES))
                if found:
                    lines[found[0]].append(found[1])
        except BlockingIOError:
            more = False
        self._files.append(lines)
        self._files.seal_full()
        return more
