"""What is written down of a device, a floating IP, a port: one JSON file each, the cloud's truth.

A file is whole or not there: written beside its place, synced, then renamed. `schema` is the number
of its form; a file of another number is refused by name and left as it is.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from libra_common import durable
from libra_pool_mgm.clouds.errors import CloudUnavailable

SCHEMA = 2
"""The newest form. What has nothing that came with it is written in the form before, which earlier
releases read."""


@dataclass(frozen=True, kw_only=True)
class DeviceRecord:
    """A device as its file tells it.

    `number` is its place in the range, `up` whether it once was up, `deleting` whether it is being
    removed; `created_at` is ISO 8601 in UTC. `amphora_id` is that of its agent.
    """

    number: int
    id: str
    name: str
    key: str
    created_at: str
    delivered: bool = False
    up: bool = False
    deleting: bool = False
    amphora_id: str | None = None

    @property
    def schema(self) -> int:
        """The number of the oldest form that can say all of it."""
        return 1 if self.amphora_id is None else 2

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        return str(self.number)


@dataclass(frozen=True, kw_only=True)
class AddressRecord:
    """A floating IP as its file tells it; `device` is the id of its holder."""

    ip: str
    id: str
    key: str
    created_at: str
    device: str | None = None
    delivered: bool = False

    @property
    def schema(self) -> int:
        """The number of the oldest form that can say all of it."""
        return 1

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        return self.ip


@dataclass(frozen=True, kw_only=True)
class PortRecord:
    """A port as its file tells it.

    `device` is the id of the device it was made for, `ips` its own addresses, the one that was
    asked for first, `addresses` what it may have besides.
    """

    id: str
    key: str
    device: str
    mac: str
    ips: tuple[str, ...]
    addresses: tuple[str, ...]
    created_at: str

    @property
    def schema(self) -> int:
        """The number of the oldest form that can say all of it."""
        return 2

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        return self.id


Record = TypeVar("Record", DeviceRecord, AddressRecord, PortRecord)


class Records(Generic[Record]):
    """All records of one kind, in one folder. Whoever changes one holds the cloud's lock."""

    def __init__(self, *, folder: Path, kind: type[Record]) -> None:
        self._folder = folder
        self._kind: type[Record] = kind

    def all(self) -> list[Record]:
        """Every record, the oldest first. Raises CloudUnavailable for a file it cannot read."""
        found = []
        for path in sorted(self._folder.glob("*.json")):
            with contextlib.suppress(FileNotFoundError):  # removed in between
                found.append(self._read(path))
        return sorted(found, key=lambda record: record.created_at)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.all())

    def write(self, record: Record) -> Record:
        """Write a record in the place of the one before, and return it."""
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        text = json.dumps({"schema": record.schema, **_said(record)}, indent=2) + "\n"
        durable.replace(self._path(record), text.encode("ascii"), mode=0o644)
        return record

    def remove(self, record: Record) -> None:
        """Remove a record; one that is gone is no fault."""
        self._path(record).unlink(missing_ok=True)
        durable.sync(self._folder)

    def _path(self, record: Record) -> Path:
        return self._folder / f"{record.stem}.json"

    def _read(self, path: Path) -> Record:
        try:
            said = json.loads(path.read_text())
            return _made(self._kind, said)
        except (ValueError, TypeError, KeyError) as error:
            raise CloudUnavailable(f"{path} cannot be understood: {error}") from error


def _said(record: DeviceRecord | AddressRecord | PortRecord) -> dict[str, Any]:
    fields = asdict(record)
    if isinstance(record, DeviceRecord) and record.amphora_id is None:
        del fields["amphora_id"]
    return fields


def _made(kind: type[Record], said: Mapping[str, Any]) -> Record:
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in said.items()
    }
    schema = fields.pop("schema")
    if schema not in range(1, SCHEMA + 1):
        raise ValueError(f"its schema is {schema!r}, this release reads {SCHEMA}")
    datetime.fromisoformat(fields["created_at"])
    made: Record = kind(**fields)
    return made
