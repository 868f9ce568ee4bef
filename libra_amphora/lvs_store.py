"""What is kept of the UDP and SCTP listeners that a controller sent: one file each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from libra_amphora import files
from libra_haproxy.errors import DiskError, StateUnreadable

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Kept:
    """`uploaded` is the last text that was accepted; `running` the one in force, if any."""

    uploaded: str
    running: str | None = None


class LvsStore:
    """The files in `directory`, by the listeners' ids."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def save(self, id_: str, kept: Kept) -> None:
        """Store, on disk for sure. Raises DiskError."""
        body = {"schema": SCHEMA, "uploaded": kept.uploaded, "running": kept.running}
        files.replace(self._path(id_), json.dumps(body).encode())

    def forget(self, id_: str) -> None:
        """Keep it no longer."""
        self._path(id_).unlink(missing_ok=True)

    def ids(self) -> Iterator[str]:
        """Those that are kept."""
        for path in sorted(self._directory.glob("*.json")):
            yield path.stem

    def load(self, id_: str) -> Kept:
        """What is kept of one. Raises DiskError or StateUnreadable."""
        path = self._path(id_)
        try:
            stored = json.loads(path.read_bytes())
            if stored["schema"] != SCHEMA:
                raise StateUnreadable(f"{path} has schema {stored['schema']!r}")
            return Kept(uploaded=stored["uploaded"], running=stored["running"])
        except OSError as error:
            raise DiskError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise StateUnreadable(f"{path} is damaged: {error}") from error

    def _path(self, id_: str) -> Path:
        return self._directory / f"{id_}.json"
