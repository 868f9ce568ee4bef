"""What is kept of a controller's text: one record, which is the truth, and HAProxy's file from it.

    text.json     the texts and what is wanted      haproxy.cfg        what HAProxy starts from
    refused.cfg   the last text that was refused    ledger/, owner     as for every Instance

The rename of `text.json` is the moment of a change; HAProxy's file is made again from it.
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from libra_common.crash import crash_point
from libra_common.durable import sync, write
from libra_haproxy.errors import DiskError, StateUnreadable

SCHEMA = 1


class Wanted(enum.StrEnum):
    """What shall be: never started yet, running, stopped, or on its way out."""

    NEW = "new"
    STARTED = "started"
    STOPPED = "stopped"
    DELETED = "deleted"


@dataclass(frozen=True, kw_only=True)
class Record:
    """The truth of one Instance.

    `uploaded` is the last text that was accepted, `running` the one that was last brought into
    force, `peer` this node's name among HAProxy's peers.
    """

    uploaded: str
    running: str | None = None
    peer: str = ""
    wanted: Wanted = Wanted.NEW


class TextStore:
    """The files of one Instance in `directory`; `group` may read HAProxy's file."""

    def __init__(self, *, directory: Path, group: int | None = None) -> None:
        self._directory = directory
        self._group = group
        self.config = directory / "haproxy.cfg"
        self._record = directory / "text.json"

    def load(self) -> Record | None:
        """The stored truth, None where there is none. Raises StateUnreadable."""
        try:
            stored: Any = json.loads(self._record.read_bytes())
            if stored["schema"] != SCHEMA:
                raise StateUnreadable(
                    f"{self._record} has schema {stored['schema']!r}, this release reads {SCHEMA}"
                )
            record = dict(stored["record"])
            return Record(**{**record, "wanted": Wanted(record["wanted"])})
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateUnreadable(f"cannot read {self._record}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise StateUnreadable(f"{self._record} is damaged: {error}") from error

    def save(self, record: Record) -> None:
        """Make `record` the truth, on disk for sure. Raises DiskError."""
        body = json.dumps({"schema": SCHEMA, "record": asdict(record)})
        crash_point("before_text")
        self._replace(self._record, body.encode(), mode=0o600)
        crash_point("after_text")

    def stage(self, text: str) -> Path:
        """Write HAProxy's next file beside the present one; gives its place."""
        new = self.config.with_name("haproxy.cfg.new")
        # On disk for sure only when it is the one: most are just looked at.
        self._write(new, text.encode(), mode=0o640, durable=False)
        return new

    def commit(self) -> None:
        """Make the staged file the one that HAProxy starts from."""
        new = self.config.with_name("haproxy.cfg.new")
        try:
            with new.open("rb") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise DiskError(f"cannot write {new}: {error.strerror}") from error
        self._rename(new, self.config)

    def put_aside(self, text: str) -> None:
        """Keep a refused text for whoever looks into it; failing that does no harm."""
        with contextlib.suppress(DiskError):
            self._replace(self._directory / "refused.cfg", text.encode(), mode=0o600)

    def erase(self) -> None:
        """Remove the directory and all that is in it."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _replace(self, path: Path, data: bytes, *, mode: int) -> None:
        new = path.with_name(path.name + ".new")
        self._write(new, data, mode=mode)
        self._rename(new, path)

    def _write(self, path: Path, data: bytes, *, mode: int, durable: bool = True) -> None:
        try:
            write(path, data, mode=mode, group=self._group, durable=durable)
        except OSError as error:
            raise DiskError(f"cannot write {path}: {error.strerror}") from error

    def _rename(self, old: Path, new: Path) -> None:
        try:
            old.rename(new)
            sync(self._directory)
        except OSError as error:
            raise DiskError(f"cannot write in {self._directory}: {error.strerror}") from error
