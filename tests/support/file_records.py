"""What a cloud of files keeps: a JSON file for each device, address and port."""

from __future__ import annotations

import contextlib
import fcntl
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from libra_pool_mgm.clouds.base import Address, Device, DeviceState

Record = dict[str, Any]


@dataclass(frozen=True)
class Records:
    """The records below `folder`, by their kind and name; many processes may share them."""

    folder: Path

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Have them for oneself."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def all(self, kind: str) -> list[Record]:
        """Every one of a kind, by their names."""
        place = self.folder / kind
        names = sorted(path.name for path in place.iterdir()) if place.exists() else []
        records = [self.read(kind, name) for name in names if not name.endswith(".new")]
        return [record for record in records if record is not None]

    def read(self, kind: str, name: str) -> Record | None:
        """One of a kind, None where there is none."""
        try:
            record: Record = json.loads((self.folder / kind / name).read_text())
        except FileNotFoundError:
            return None
        return record

    def write(self, kind: str, name: str, record: Record) -> None:
        """Keep one, in the place of what was there."""
        place = self.folder / kind
        place.mkdir(exist_ok=True)
        new = place / f"{name}.new"
        new.write_text(json.dumps(record))
        new.rename(place / name)


def device_of(record: Record) -> Device:
    """The device that a record stands for, as it is now."""
    words = record["words"]
    ready = time.time() >= record["ready_at"]
    failed = "fault" in record or (ready and ("fails" in words or "huge" in words))
    # One that is active for a second, and failed from then on.
    failed = failed or ("relapses" in words and time.time() >= record["ready_at"] + 1)
    active = DeviceState.ACTIVE if ready else DeviceState.BUILDING
    fault = record.get("fault", "no such luck" if "fails" in words else "no host is large enough")
    return Device(
        id=record["id"],
        name=record["name"],
        key=record["key"],
        state=DeviceState.FAILED if failed else active,
        address="198.51.100.7" if ready and not failed and "homeless" not in words else None,
        image=record["image"],
        az=record["az"],
        created_at=datetime.fromtimestamp(record["created_at"], UTC),
        delivered=record["delivered"],
        fault=fault if failed else None,
        out_of_room=failed and "huge" in words,
        amphora_id=record["amphora_id"],
    )


def address_of(record: Record) -> Address:
    """The floating IP that a record stands for."""
    return Address(
        id=record["id"],
        ip=record["ip"],
        key=record["key"],
        device=record["device"],
        created_at=datetime.fromtimestamp(record["created_at"], UTC),
        delivered=record["delivered"],
    )
