"""The keeper's access log: a source of lines, their files, the bounds. Standard library only."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Protocol

from libra_haproxy import logsocket
from libra_haproxy.keeperlog import say
from libra_haproxy.logbounds import Bounds, tidy
from libra_haproxy.logfiles import LogFiles
from libra_haproxy.logfollow import LogFollower

_LOOK_SECONDS = 1.0


class Source(Protocol):
    """Where lines come from; it writes them to the files that it was made with."""

    def start(self) -> None:
        """Read in the background from now on."""

    def stop(self) -> None:
        """Write what has come so far, and end."""

    def seal(self, frontend: str) -> bool:
        """Rotate a frontend's file, with all that has come until now. Raises OSError."""

    def seal_old(self) -> None:
        """Rotate what was begun too long ago."""


class AccessLog:
    """The logs of one Instance: received by `source`, kept within the bounds of `files`."""

    def __init__(self, source: Source, files: LogFiles) -> None:
        self._source = source
        self._files = files
        self._dropped = files.directory / "dropped"
        self._before = _number_in(self._dropped)
        self._removed = 0
        self._told = self.dropped
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_after, name="log bounds", daemon=True)

    @property
    def dropped(self) -> int:
        """Lines that were lost here: no room to write them, or removed before they were sent."""
        return self._before + self._files.unwritten + self._removed

    @property
    def written(self) -> int:
        """Lines that were written since this keeper began."""
        return self._files.written

    def start(self) -> None:
        """Receive, and see to the bounds, from now on."""
        self._source.start()
        self._thread.start()

    def stop(self) -> None:
        """Write what has come so far, and end."""
        self._ended.set()
        self._thread.join()
        self._source.stop()
        self._tell()

    def seal(self, frontend: str) -> bool:
        """Rotate a frontend's file; False where there was nothing in it. Raises OSError."""
        return self._source.seal(frontend)

    def rebound(self, bounds: Bounds) -> None:
        """Keep to other bounds from now on."""
        self._files.bounds = bounds

    def _look_after(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            self._source.seal_old()
            directory, bounds = self._files.directory, self._files.bounds
            files, lines = tidy(directory, bounds=bounds, now=time.time())
            if files:
                self._removed += lines
                say(f"{files} access log(s) with {lines} lines removed: too old or too many")
            self._tell()

    def _tell(self) -> None:
        """Say, and put down, how many lines were lost."""
        dropped = self.dropped
        if dropped == self._told:
            return
        say(f"{dropped} access log lines lost so far")
        self._told = dropped
        with contextlib.suppress(OSError):
            file = os.open(self._dropped, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o640)
            try:
                os.pwrite(file, b"%018d\n" % dropped, 0)
            finally:
                os.close(file)


def _number_in(path: Path) -> int:
    try:
        return int(path.read_bytes())
    except (OSError, ValueError):
        return 0


def access_log(
    directory: Path, *, run_dir: Path, bounds: Bounds, logfile: Path | None
) -> AccessLog | None:
    """The log in `directory`, of what HAProxy sends or of what syslog writes to `logfile`.

    None where it is not possible, since traffic matters more; it is said then.
    """
    queue = None if logfile else logsocket.queue_length()
    if queue is not None and queue < logsocket.ENOUGH:
        say(f"access log lines may be lost under load: net.unix.max_dgram_qlen is {queue}")
    try:
        files = LogFiles(directory, bounds)
        if logfile:
            return AccessLog(LogFollower(logfile, files), files)
        return AccessLog(logsocket.LogSocket(run_dir / logsocket.NAME, files), files)
    except OSError as error:
        say(f"there will be no access logs: {directory}: {error.strerror}")
        return None
