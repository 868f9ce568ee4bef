"""Process 1 of a device: keeps its worker and its agent running. Standard library only.

It runs as the worker's own, ordinary user and has its own process ids (pid_namespaces(7)): when it
ends, however it ends, the kernel ends the worker, the keeper and HAProxy with it. It ends when
nobody holds the other end of its standard input any more, which is the guard's, and when the
worker cannot be kept running; its last line on standard error says why.

Where the device has an agent, it is that user in a user namespace that owns the device's network
and nothing else, with what the agent needs there: CAP_NET_ADMIN and CAP_NET_RAW.
"""

from __future__ import annotations

import argparse
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterable

from libra_pool_mgm.clouds.local import kernel
from libra_pool_mgm.clouds.local.marks import INIT_BYTE, NEXT

UP = b"up\n"
"""What it says on standard output once everything was started."""

_MOST_FAILURES = 5
_STEADY_SECONDS = 10.0
_PAUSE_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)


class Service:
    """One command that is kept running; `name` is it in words.

    A `lasting` one that was steady once is started again for ever: what it left serves meanwhile.
    `clock` is monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        command: list[str],
        *,
        lasting: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._command = command
        self._lasting = lasting
        self._clock = clock
        self._since = 0.0
        self._failures = 0
        self._last_end = ""
        self._was_steady = False
        self.process = 0
        self.start_at = 0.0

    def start(self) -> None:
        """Start it."""
        self._since = self._clock()
        self.process = os.posix_spawn(
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

    def ended(self, status: int) -> None:
        """Note that it has ended, as waitpid(2) tells."""
        self.process = 0
        self._last_end = f"exit code {os.waitstatus_to_exitcode(status)}"
        steady = self._clock() - self._since > _STEADY_SECONDS
        self._was_steady |= steady
        self._failures = 0 if steady else self._failures + 1
        pause = _PAUSE_SECONDS[min(self._failures, len(_PAUSE_SECONDS) - 1)]
        self.start_at = self._clock() + pause

    @property
    def given_up(self) -> str:
        """Why it is not started any more; empty while it is."""
        if self._failures < _MOST_FAILURES or (self._lasting and self._was_steady):
            return ""
        return f"the {self._name} ended {self._failures} times: {self._last_end}"


class Init:
    """Keeps services running."""

    def __init__(self, services: Iterable[Service]) -> None:
        self._services = tuple(services)

    def run(self) -> int:
        """Start them, again when one ends; returns when that is of no use or not wanted."""
        woken, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        selector = selectors.DefaultSelector()
        selector.register(0, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        for service in self._services:
            service.start()
        os.write(1, UP)
        while True:
            for key, _ in selector.select(self._patience()):
                if key.fd == 0:
                    return 0
                if signal.SIGTERM in os.read(woken, 512):
                    return 0
            self._reap()
            for service in self._services:
                if reason := service.given_up:
                    sys.stderr.write(f"{reason}\n")
                    return 1
                if not service.process and time.monotonic() >= service.start_at:
                    service.start()

    def _patience(self) -> float | None:
        waiting = [service.start_at for service in self._services if not service.process]
        return max(0.0, min(waiting) - time.monotonic()) if waiting else None

    def _reap(self) -> None:
        """Let every ended process go: a service, and whatever lost its parent."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for service in self._services:
                if pid == service.process:
                    service.ended(status)


def main(arguments: list[str]) -> int:
    """Be process 1: options, the lock file's descriptor, the commands of worker and agent."""
    parser = argparse.ArgumentParser(
        prog="libra_init", description="a local device's first process"
    )
    parser.add_argument("--user-namespace", type=int, help="descriptor of the one to enter")
    parser.add_argument("--uid", type=int, help="whom to be there")
    parser.add_argument("--gid", type=int)
    parser.add_argument("--keep-groups", action="store_true")
    parser.add_argument("lock", type=int, help="descriptor of its lock file")
    parser.add_argument("commands", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    os.set_inheritable(given.lock, False)
    kernel.hold(given.lock, INIT_BYTE)
    if given.user_namespace is not None:
        kernel.become(
            namespace=given.user_namespace,
            uid=given.uid,
            gid=given.gid,
            regroups=not given.keep_groups,
            keeping=(kernel.NET_ADMIN, kernel.NET_RAW),
        )
        os.close(given.user_namespace)
    return Init(_services(given.commands)).run()


def _services(words: list[str]) -> list[Service]:
    commands: list[list[str]] = [[]]
    for word in words:
        if word == NEXT:
            commands.append([])
        else:
            commands[-1].append(word)
    names = ("worker", "agent")
    return [
        Service(name, command, lasting=name == "agent")
        for name, command in zip(names, commands, strict=False)
    ]
