"""Process 1 of a device: keeps its worker running. Standard library only.

It runs as the worker's own, ordinary user and has its own process ids (pid_namespaces(7)): when it
ends, however it ends, the kernel ends the worker, the keeper and HAProxy with it. It ends when
nobody holds the other end of its standard input any more, which is the guard's, and when the
worker cannot be kept running; its last line on standard error says why.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
import time

from libra_pool_mgm.clouds.local import kernel
from libra_pool_mgm.clouds.local.marks import INIT_BYTE

UP = b"up\n"
"""What it says on standard output once the worker was started."""

_MOST_FAILURES = 5
_STEADY_SECONDS = 10.0
_PAUSE_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8)


class Init:
    """Keeps one command running."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._worker = 0
        self._since = 0.0
        self._failures = 0
        self._start_at = 0.0
        self._last_end = ""

    def run(self) -> int:
        """Start the command, again when it ends; returns when that is of no use or not wanted."""
        woken, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        selector = selectors.DefaultSelector()
        selector.register(0, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        self._start()
        os.write(1, UP)
        while True:
            for key, _ in selector.select(self._patience()):
                if key.fd == 0:
                    return 0
                if signal.SIGTERM in os.read(woken, 512):
                    return 0
            self._reap()
            if self._failures >= _MOST_FAILURES:
                sys.stderr.write(f"the worker ended {self._failures} times: {self._last_end}\n")
                return 1
            if not self._worker and time.monotonic() >= self._start_at:
                self._start()

    def _patience(self) -> float | None:
        return None if self._worker else max(0.0, self._start_at - time.monotonic())

    def _start(self) -> None:
        self._since = time.monotonic()
        self._worker = os.posix_spawn(
            self._command[0],
            self._command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, 2, 1),
            ],
            setsid=True,
            setsigdef=[signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP],
        )

    def _reap(self) -> None:
        """Let every ended process go: the worker, and whatever lost its parent."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._worker:
                self._worker = 0
                self._last_end = f"exit code {os.waitstatus_to_exitcode(status)}"
                steady = time.monotonic() - self._since > _STEADY_SECONDS
                self._failures = 0 if steady else self._failures + 1
                pause = _PAUSE_SECONDS[min(self._failures, len(_PAUSE_SECONDS) - 1)]
                self._start_at = time.monotonic() + pause


def main(arguments: list[str]) -> int:
    """Be process 1: the lock file's descriptor, then the worker's command."""
    lock = int(arguments[0])
    os.set_inheritable(lock, False)
    kernel.hold(lock, INIT_BYTE)
    return Init(arguments[1:]).run()
