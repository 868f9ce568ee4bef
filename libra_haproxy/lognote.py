"""What was settled about a sealed log: whose it is after a DELETE, and its name in the store.

The name is settled before the first upload, and an upload that is done again, after whatever
became of the first, goes under the same name: so each line is in one object.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from libra_common import durable
from libra_haproxy.errors import DiskError

SCHEMA = 1
"""The number of the stored form."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """`target` is its name in the store, once settled.

    `deleted` is when its load balancer was deleted, in seconds since 1970; None while there is
    one. `label` is the id that this load balancer then had, if any.
    """

    target: str | None = None
    deleted: float | None = None
    label: str | None = None


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The load balancer that there is now: its id, where it has one. No `Owner`: it was deleted."""

    label: str | None


def chosen(
    notes: Iterable[tuple[str, Note]], *, asked: str | None, owner: Owner | None
) -> list[str]:
    """The logs that a message means, which names a load balancer by the id `asked`, or by none.

    `notes` are pairs of a log and its note. A load balancer's lines are given out under no
    other's id: once there is a new one, those of a deleted one are had by its own id alone.
    """
    found = list(notes)
    last = max((note.deleted for _, note in found if note.deleted is not None), default=None)

    def meant(note: Note) -> bool:
        if note.deleted is None:
            return owner is not None and (None in (asked, owner.label) or asked == owner.label)
        if note.label is None:
            return owner is None and note.deleted == last
        if asked is None:
            return owner is None and note.deleted == last
        return asked == note.label

    return [log for log, note in found if meant(note)]


def read(path: Path) -> Note:
    """The note at `path`; an empty one where there is none that can be read."""
    try:
        stored = json.loads(path.read_bytes())
        if stored.pop("schema") != SCHEMA:
            return Note()
        return Note(**stored)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Note()


def write(path: Path, note: Note) -> None:
    """Put a note down, on disk for sure. Raises DiskError."""
    try:
        durable.replace(
            path, json.dumps({"schema": SCHEMA, **asdict(note)}).encode("ascii"), mode=0o640
        )
    except OSError as error:
        raise DiskError(f"cannot write {path}: {error.strerror}") from error
