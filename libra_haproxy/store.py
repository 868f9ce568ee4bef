"""The truth on disk: a state and HAProxy's file made from it, never half, never lost.

    state.json       the truth          haproxy.cfg        what HAProxy starts from
    state.json.good  the last that was  haproxy.cfg.good
                     proved in force    ledger/            the keeper's own: bytes that went through
                                        history.json       the last configurations, for a rollback
                                        reports.json       what METRICS has reported
                                        certificates/      with their keys (`certificates.py`)

The rule: the rename of `state.json` is the moment of a change. Before it, a crash leaves the old
state; after it, the new one; `haproxy.cfg` is made again from the truth, and HAProxy brought back
to it, where they do not fit (`Instance.open`). So HAProxy may be told before the truth is, and
only the truth must be on disk for sure before a change is acknowledged. A state that could not be
brought into force is replaced by the good pair.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
from pathlib import Path
from typing import Any

import pydantic

from libra_common.crash import crash_point
from libra_common.durable import flush, sync, write
from libra_haproxy import reports
from libra_haproxy.certificates import Certificates, named_by
from libra_haproxy.errors import DiskError, InstanceInUse, StateUnreadable
from libra_haproxy.model import State

SCHEMA = 2
"""The number of the stored form; a higher one is refused. 2 is 1 with TLS, and written only where
there is some: a release that knows 1 alone reads all that it could serve."""


@functools.cache
def _adapter() -> pydantic.TypeAdapter[State]:
    # Made at its first use, which the amphora agent never has.
    return pydantic.TypeAdapter(State)


def encode(state: State) -> bytes:
    """The stored form of a state: JSON with a schema number."""
    body = _adapter().dump_python(state, mode="json")
    schema = 2 if state.model is not None and named_by(state.model) else 1
    # Without an indent: that would be ten times slower, and 10,000 servers are a megabyte.
    return (json.dumps({"schema": schema, "state": body}) + "\n").encode("ascii")


def decode(data: bytes) -> State:
    """Read the stored form. Raises StateUnreadable on damage or a newer schema."""
    try:
        stored: Any = json.loads(data)
        schema = stored["schema"]
        if schema not in range(1, SCHEMA + 1):
            raise StateUnreadable(
                f"the stored state has schema {schema!r} and this release reads {SCHEMA}"
            )
        return _adapter().validate_python(stored["state"])
    except (ValueError, KeyError, TypeError) as error:
        raise StateUnreadable(f"the stored state is damaged: {error}") from error


class Store:
    """The files of one Instance in one directory, written by one process at a time.

    `group` is the id of the group that may read HAProxy's file, or None for the process's own.
    """

    def __init__(self, *, directory: Path, group: int | None = None) -> None:
        self._directory = directory
        self._group = group
        self._owner: int | None = None
        self.config = directory / "haproxy.cfg"
        self.ledger = directory / "ledger" / "ledger.json"
        self._state = directory / "state.json"
        self._history = directory / "history.json"
        self.certificates = Certificates(
            directory / "certificates", group=group, mentioned=self._mention
        )

    def lock(self, door: str) -> None:
        """Own the directory until this process ends, in the name of `door`.

        Raises InstanceInUse naming the owner, and DiskError where the directory cannot be used.
        """
        try:
            self._directory.mkdir(mode=0o750, parents=True, exist_ok=True)
            if self._group is not None:
                os.chown(self._directory, -1, self._group)
                self._directory.chmod(0o750)
            owner = os.open(self._directory / "owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise DiskError(f"cannot use {self._directory}: {error.strerror}") from error
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            who = os.read(owner, 200).decode("utf-8", "replace").strip()
            os.close(owner)
            raise InstanceInUse(f"{self._directory} belongs to {who}") from error
        os.ftruncate(owner, 0)
        os.pwrite(owner, f"{door}, process {os.getpid()}\n".encode(), 0)
        self._owner = owner

    def unlock(self) -> None:
        """Give the directory up."""
        if self._owner is not None:
            os.close(self._owner)
            self._owner = None

    def load(self) -> State:
        """The stored truth; an empty state where nothing was ever stored."""
        data = self._read(self._state)
        return State() if data is None else decode(data)

    def pending(self) -> bool:
        """Whether the stored truth was never proved in force."""
        return self._read(self._state) != self._read(_good(self._state))

    def text(self) -> str | None:
        """HAProxy's file as it stands."""
        data = self._read(self.config)
        return None if data is None else data.decode("utf-8", "replace")

    def stage(self, state: State, text: str) -> Path:
        """Write both files beside the present ones; returns HAProxy's."""
        crash_point("before_write")
        self._write(_new(self.config), text.encode("ascii"), durable=False)
        self._write(_new(self._state), encode(state), durable=False)
        crash_point("after_write")
        return _new(self.config)

    def offer(self) -> None:
        """Make the staged file the one that HAProxy starts from. Raises DiskError."""
        try:
            _new(self.config).rename(self.config)
        except OSError as error:
            raise DiskError(f"cannot rename in {self._directory}: {error.strerror}") from error
        crash_point("after_text_rename")

    def commit(self) -> None:
        """Make the staged state the truth, on disk for sure. Raises DiskError."""
        try:
            # Before its name: else a power cut could leave the name with nothing behind it.
            flush(_new(self._state))
            _new(self._state).rename(self._state)
            crash_point("after_state_rename")
            self._sync()
        except OSError as error:
            raise DiskError(f"cannot write in {self._directory}: {error.strerror}") from error
        crash_point("after_rename")

    def discard(self) -> None:
        """Forget what was staged and never committed."""
        for path in (self._state, self.config, self._history):
            _new(path).unlink(missing_ok=True)

    def confirm(self) -> None:
        """Keep the present state as the last one that was proved in force. Raises DiskError.

        The name is not waited for: after a power cut it is only proved once more.
        """
        try:
            _keep(self._state)
        except OSError as error:
            raise DiskError(f"cannot write in {self._directory}: {error.strerror}") from error

    def keep_text(self) -> None:
        """Keep HAProxy's file of that state beside it, on disk for sure. Raises DiskError."""
        try:
            flush(self.config)
            _keep(self.config)
        except OSError as error:
            raise DiskError(f"cannot write in {self._directory}: {error.strerror}") from error

    def restore(self) -> bool:
        """Put the last good pair back; without one, nothing is left. Returns which it was."""
        found = _good(self._state).exists()
        for path in (self._state, self.config):
            data = self._read(_good(path))
            if data is None:
                path.unlink(missing_ok=True)
            else:
                self._write(_new(path), data)
                _new(path).rename(path)
        self._sync()
        return found

    def entomb(self, state: State) -> None:
        """Store a state without a load balancer, and only then erase all that was one."""
        self._write(_new(self._state), encode(state))
        try:
            _new(self._state).rename(self._state)
            self._sync()
        except OSError as error:
            raise DiskError(f"cannot rename in {self._directory}: {error.strerror}") from error
        crash_point("after_entomb")

    def erase(self) -> None:
        """Remove every file of a load balancer that is no more; the stored state stays."""
        self.discard()
        for path in (self.config, _good(self.config), _good(self._state)):
            path.unlink(missing_ok=True)
        for path in (self.ledger, self._history):
            path.unlink(missing_ok=True)
        self.config.with_name(reports.NAME).unlink(missing_ok=True)
        self._sync()

    def history(self) -> bytes | None:
        """The history as it is kept, if there is one. Raises StateUnreadable."""
        return self._read(self._history)

    def keep_history(self, data: bytes) -> None:
        """Keep a history in place of the one before. Raises DiskError.

        The file is on disk for sure, its name need not be: a power cut may lose this entry.
        """
        self._write(_new(self._history), data)
        try:
            _new(self._history).rename(self._history)
        except OSError as error:
            raise DiskError(f"cannot rename in {self._directory}: {error.strerror}") from error

    def _mention(self, name: str) -> bool:
        """Whether any of the files names a certificate; in one that cannot be read, it may be."""
        files = [*map(_new, self._named), *map(_good, self._named), *self._named]
        try:
            return any(name.encode("ascii") in (self._read(file) or b"") for file in files)
        except StateUnreadable:
            return True

    @property
    def _named(self) -> tuple[Path, ...]:
        return self._state, self.config, self._history

    def _read(self, path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateUnreadable(f"cannot read {path}: {error.strerror}") from error

    def _write(self, path: Path, data: bytes, *, durable: bool = True) -> None:
        """Write a file anew and, where it shall be `durable`, wait until it is on disk."""
        try:
            write(path, data, mode=0o640, group=self._group, durable=durable)
        except OSError as error:
            raise DiskError(f"cannot write {path}: {error.strerror}") from error

    def _sync(self) -> None:
        """Wait until the renames are on disk too."""
        sync(self._directory)


@functools.lru_cache(maxsize=64)
def _new(path: Path) -> Path:
    return path.with_name(path.name + ".new")


@functools.lru_cache(maxsize=64)
def _good(path: Path) -> Path:
    return path.with_name(path.name + ".good")


def _keep(path: Path) -> None:
    """Give a file a second name; that is enough, since files here are never written into."""
    _new(path).unlink(missing_ok=True)
    os.link(path, _new(path))
    _new(path).rename(_good(path))
    # Between two names of one file a rename does nothing.
    _new(path).unlink(missing_ok=True)
