"""A daemon's side of the access logs: rotate, hand out what waits to be archived, set it aside."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from libra_haproxy import lognote
from libra_haproxy.deadline import Deadline
from libra_haproxy.errors import Busy, DiskError
from libra_haproxy.logbounds import Bounds, tidy
from libra_haproxy.logfollow import POSITION
from libra_haproxy.lognote import Note, Owner
from libra_haproxy.sealed import Sealed, current, seal, sealed_in

LOG = logging.getLogger(__name__)

_TIDY_SECONDS = 60.0
_POLL_SECONDS = 0.05


class LogShelf:
    """The logs in `directory`, which the keeper writes; `seal` has it rotate a frontend's."""

    def __init__(self, directory: Path, *, seal: Callable[[str], bool], bounds: Bounds) -> None:
        self.directory = directory
        self._seal = seal
        self._bounds = bounds
        self._tidied = time.monotonic()

    @contextmanager
    def take(
        self, frontend: str, *, asked: str | None, owner: Callable[[], Owner | None], seconds: float
    ) -> Iterator[list[Sealed]]:
        """Rotate, and give the logs that a message means, oldest first, to this caller alone.

        `asked` is the id in the message, `owner` tells the load balancer of that time. Raises
        Busy where another has them for longer than `seconds`, or what `seal` raises.
        """
        with self._alone(frontend, Deadline.after(seconds)):
            now = owner()
            if now is not None:
                self._seal(frontend)
            sealed = {
                one.path.name: one for one in sealed_in(self.directory) if one.frontend == frontend
            }
            notes = [(name, lognote.read(one.note)) for name, one in sealed.items()]
            yield [sealed[name] for name in lognote.chosen(notes, asked=asked, owner=now)]

    @staticmethod
    def target(log: Sealed, proposed: str) -> str:
        """The name of a log in the store: `proposed`, unless one was settled before.

        Settled for good when this returns. Raises DiskError.
        """
        note = lognote.read(log.note)
        if note.target is None:
            note = replace(note, target=proposed)
            lognote.write(log.note, note)
        return str(note.target)

    def leave(self, labels: Mapping[str, str | None]) -> None:
        """Remember the ids of load balancers, by frontend, that are about to be deleted."""
        for frontend, label in labels.items():
            # The same form as a note, so that one reader will do.
            with contextlib.suppress(DiskError):
                lognote.write(self._leaving(frontend), Note(label=label))

    def set_aside(self) -> None:
        """Keep what is left of load balancers that are no more, apart from those to come.

        To be called while no keeper writes. Raises nothing: what cannot be kept is erased.
        """
        now = time.time()
        for path in self.directory.glob("*.log"):
            if path.name.count(".") == 1:
                self._seal_left_over(path.stem, now)
        for one in sealed_in(self.directory):
            note = lognote.read(one.note)
            if note.deleted is None:
                label = lognote.read(self._leaving(one.frontend)).label
                try:
                    lognote.write(one.note, replace(note, deleted=now, label=label))
                except DiskError as error:
                    LOG.error("an access log is lost, for it cannot be kept apart: %s", error)
                    with contextlib.suppress(OSError):
                        one.remove()
        for path in [*self.directory.glob("*.leaving"), self.directory / POSITION]:
            path.unlink(missing_ok=True)

    def look(self) -> None:
        """Keep to the bounds where no keeper does; to be called now and then."""
        if time.monotonic() - self._tidied < _TIDY_SECONDS:
            return
        self._tidied = time.monotonic()
        files, lines = tidy(self.directory, bounds=self._bounds, now=time.time())
        if files:
            LOG.warning(
                "%d access log(s) with %d lines of deleted load balancers removed", files, lines
            )

    def _leaving(self, frontend: str) -> Path:
        return self.directory / f"{frontend}.leaving"

    def _seal_left_over(self, frontend: str, now: float) -> None:
        last = max((one.number for one in sealed_in(self.directory)), default=0)
        path = current(self.directory, frontend)
        with contextlib.suppress(OSError):
            if path.stat().st_size:
                seal(self.directory, frontend, now=now, number=last + 1)
            else:
                path.unlink()

    @contextmanager
    def _alone(self, frontend: str, deadline: Deadline) -> Iterator[None]:
        """Hold the lock of a frontend's logs; it ends with the process, however that ends."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            lock = os.open(self.directory / f"{frontend}.lock", flags, 0o640)
        except OSError as error:
            raise DiskError(f"cannot use {self.directory}: {error.strerror}") from error
        try:
            while True:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                if deadline.passed:
                    raise Busy("another message has these logs in hand")
                time.sleep(_POLL_SECONDS)
            yield
        finally:
            os.close(lock)


def opened(log: Sealed) -> BinaryIO:
    """A sealed log, to be read. Raises DiskError.

    Whoever runs HAProxy can put other things under its name: links are not followed.
    """
    try:
        file = os.fdopen(os.open(log.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb")
    except OSError as error:
        raise DiskError(f"cannot read {log.path}: {error.strerror}") from error
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        file.close()
        raise DiskError(f"{log.path} is not a plain file of its own")
    return file
