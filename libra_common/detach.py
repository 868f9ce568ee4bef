"""Leave the terminal, and let the command that did it wait until the daemon is ready.

The command forks; the child detaches with python-daemon and becomes the daemon; the command
stays and reads a pipe on which the daemon says how far it got. So init scripts and people get
an exit code that means something: not "a process was started" but "it serves".
"""

from __future__ import annotations

import contextlib
import enum
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from libra_common.exits import Exit

REGISTRATION_SECONDS = 10.0
"""How long the command waits for the registration once the stored state is served."""
SERVING_SECONDS = 60.0
"""How long the command waits for the stored state to be served."""

_LONGEST = 65536
"""Bytes of a report; settings can have many faults, but not this many."""


class Readiness(enum.IntEnum):
    """How far a daemon got; each step includes the one before."""

    STARTING = 0
    """The stored state is not served yet."""
    SERVING = 1
    """The stored state is served; messages cannot come in, as no job server knows us."""
    READY = 2
    """Served and registered."""


class Reporter:
    """The daemon's end of the pipe; the same calls do nothing in a daemon of the foreground."""

    def __init__(self, *, fd: int | None) -> None:
        self._fd = fd
        self._said = Readiness.STARTING

    @property
    def pending(self) -> bool:
        """Tell whether somebody still waits to hear that the daemon is ready."""
        return self._fd is not None

    def progress(self, readiness: Readiness) -> None:
        """Say how far we got; ready is the last thing said."""
        if self._fd is not None and readiness > self._said:
            self._said = readiness
            self._say(f"{readiness.name} {os.getpid()}")
            if readiness is Readiness.READY:
                self.close()

    def failed(self, code: Exit, message: str) -> None:
        """Say that the daemon ends, and why."""
        if self._fd is not None:
            self._say(f"FAILED {code.value} {message}")
            self.close()

    def close(self) -> None:
        """Say no more."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _say(self, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")[:_LONGEST]
        # The command may have given up waiting and closed its end.
        with contextlib.suppress(OSError):
            os.write(self._fd if self._fd is not None else -1, data + b"\0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the waiting command says and ends with."""

    code: Exit
    message: str


def detached(body: Callable[[Reporter], int], *, prog: str) -> int:
    """Run `body` in a detached process; give the exit code of whichever process this is.

    In the process that called, that is the daemon's state after at most SERVING_SECONDS (a
    warning or the error is printed to standard error); in the daemon what `body` returned.
    Nothing may run in threads yet, a fork would lose them.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        os.close(writing)
        os.waitpid(child, 0)  # it ends at once, python-daemon forks twice more
        try:
            verdict = judge(_reports(reading))
        finally:
            os.close(reading)
        if verdict.message:
            sys.stderr.write(f"{prog}: {verdict.message}\n")
        return verdict.code
    os.close(reading)
    reporter = Reporter(fd=writing)
    try:
        _leave_terminal(keep=writing)
    except Exception as error:  # noqa: BLE001 - whatever it is, the command must hear of it
        reporter.failed(Exit.SOFTWARE, f"cannot detach: {error}")
        os._exit(Exit.SOFTWARE)
    return body(reporter)


def judge(
    reports: Callable[[float], str | None], *, clock: Callable[[], float] = time.monotonic
) -> Verdict:
    """Follow the daemon's reports until there is something to say about its start.

    `reports(seconds)` gives the next one, "" if none came in time and None if the daemon's end
    was closed.
    """
    deadline = clock() + SERVING_SECONDS
    serving, pid = False, ""
    while True:
        report = reports(max(0.0, deadline - clock()))
        if report is None:
            return Verdict(
                code=Exit.SOFTWARE, message="the daemon ended without a word; see its log"
            )
        word, _, rest = report.partition(" ")
        if word == Readiness.READY.name:
            return Verdict(code=Exit.OK, message="")
        if word == "FAILED":
            number, _, message = rest.partition(" ")
            return Verdict(code=Exit(int(number)), message=message)
        if word == Readiness.SERVING.name:
            serving, pid = True, rest
            deadline = clock() + REGISTRATION_SECONDS
        elif serving and clock() >= deadline:
            return Verdict(
                code=Exit.NOT_READY,
                message=(
                    f"warning: serving, but not registered with any job server yet; process {pid}"
                    " goes on trying"
                ),
            )
        elif clock() >= deadline:
            return Verdict(
                code=Exit.UNAVAILABLE,
                message=(
                    f"the stored state is not served after {SERVING_SECONDS:.0f} s; the daemon"
                    " goes on trying, see its log"
                ),
            )


def _reports(fd: int) -> Callable[[float], str | None]:
    buffer = bytearray()

    def following() -> Iterator[bytes]:
        while b"\0" in buffer:
            report, _, rest = bytes(buffer).partition(b"\0")
            buffer[:] = rest
            yield report

    def next_report(seconds: float) -> str | None:
        deadline = time.monotonic() + seconds
        while True:
            for report in following():
                return report.decode()
            ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return ""
            data = os.read(fd, _LONGEST)
            if not data:
                return None
            buffer.extend(data)

    return next_report


def _leave_terminal(*, keep: int) -> None:
    # Imported here: a daemon of the foreground, the usual one, has no need of it.
    from daemon import DaemonContext

    context = DaemonContext(
        detach_process=True,
        files_preserve=[keep],
        # Paths given relative to this directory stay right when SIGHUP reads them again.
        working_directory=str(Path.cwd()),
        umask=0o027,
        signal_map={signal.SIGTSTP: None, signal.SIGTTIN: None, signal.SIGTTOU: None},
    )
    context.open()
