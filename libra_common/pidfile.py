"""One instance only: a pid file whose lock is held for as long as the process lives.

The lock is the truth, the number in the file only tells people whom to look for. The kernel
drops the lock when the process ends in any way, so a pid file left by kill -9 or by a reboot,
or whose number meanwhile belongs to a stranger, is simply taken over, and no other process is
ever looked at or signalled.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import stat
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from libra_common.errors import AlreadyRunningError, PidFileError

LOG = logging.getLogger(__name__)

_PID = re.compile(rb"[ \t]*[1-9][0-9]{0,9}[ \t]*\n?")
_MORE_THAN_A_PID = 64
"""Bytes read of a pid file: enough to see that it holds something else."""
_TRIES = 10
"""How often the file may vanish under our lock before we give up; each needs a new loser."""


class PidFile:
    """The pid file at `path`, as a context manager or by `acquire` and `release`."""

    def __init__(self, *, path: Path) -> None:
        self.path = path
        self._fd: int | None = None
        self._owner = 0

    def acquire(self) -> None:
        """Take the lock and write our pid.

        Raises AlreadyRunningError if a living process holds the lock, PidFileError if the file
        cannot be used: a wrong path in the settings must never overwrite somebody's file.
        """
        for _ in range(_TRIES):
            fd = self._open()
            try:
                self._lock(fd)
                if self._is_current(fd):
                    self._write(fd)
                    self._fd, self._owner = fd, os.getpid()
                    return
            except BaseException:
                os.close(fd)
                raise
            # An instance that left unlinked the file between our open and our lock: what we
            # locked has no name any more, and a third instance could lock the new one.
            os.close(fd)
        raise PidFileError(f"{self.path}: the pid file keeps vanishing, who removes it?")

    def release(self) -> None:
        """Remove the file and drop the lock; does nothing in a forked child or when not held."""
        if self._fd is None or self._owner != os.getpid():
            return
        # Removed while still locked: a waiting instance then finds that its file has no name.
        with contextlib.suppress(OSError):
            if self._is_current(self._fd):
                self.path.unlink()
        os.close(self._fd)
        self._fd = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            # /run is empty after a reboot, so the directory may have to be made again.
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.path, flags, 0o644)
        except OSError as error:
            raise PidFileError(f"{self.path}: cannot open the pid file: {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise PidFileError(f"{self.path}: the pid file is not an ordinary file")
        return fd

    def _lock(self, fd: int) -> None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = self._holder(fd)
            who = f"process {pid}" if pid else "a process that has not written its pid yet"
            raise AlreadyRunningError(f"{self.path}: already running as {who}", pid=pid) from None
        except OSError as error:
            raise PidFileError(f"{self.path}: cannot lock: {error.strerror}") from None

    def _is_current(self, fd: int) -> bool:
        ours = os.fstat(fd)
        try:
            named = self.path.lstat()
        except FileNotFoundError:
            return False
        return (ours.st_dev, ours.st_ino) == (named.st_dev, named.st_ino)

    def _write(self, fd: int) -> None:
        old = os.pread(fd, _MORE_THAN_A_PID, 0)
        if old.strip() and not _PID.fullmatch(old):
            raise PidFileError(
                f"{self.path}: holds something that is no pid and is left as it is;"
                " is the path of the pid file right?"
            )
        if old.strip():
            LOG.info("%s: taking over the stale pid file of process %d", self.path, int(old))
        try:
            # Emptied first: a crash in between leaves an empty file, which is as good as none,
            # where a short pid over a longer one would leave garbage.
            os.ftruncate(fd, 0)
            # Whoever asks for the status may read it, whatever umask the daemon lives by.
            with contextlib.suppress(OSError):  # somebody else made it
                os.fchmod(fd, 0o644)
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        except OSError as error:
            raise PidFileError(f"{self.path}: cannot write: {error.strerror}") from None

    @staticmethod
    def _holder(fd: int) -> int | None:
        # The holder locks first and writes right after; it is given a moment for that.
        for _ in range(20):
            text = os.pread(fd, _MORE_THAN_A_PID, 0)
            if _PID.fullmatch(text):
                return int(text)
            time.sleep(0.02)
        return None


def is_held(path: Path) -> bool:
    """Whether a living process holds the pid file at `path`; one that cannot be read is nobody's.

    Changes nothing, and makes no file where there is none.
    """
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
