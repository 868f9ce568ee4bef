"""Sealed logs: files that nobody writes any more, named so that nothing else must be remembered.

    http-in.log                                     what is being written
    http-in.20261121T142825.123456Z-000007.log      sealed, then, as the seventh
    http-in.20261121T142825.123456Z-000007.json     what was settled about it later

Standard library only; the keeper makes them, daemons send and remove them.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_TIME = "%Y%m%dT%H%M%S.%fZ"
_NAME = re.compile(
    r"(?P<frontend>[a-z0-9][a-z0-9-]{0,39})\."
    r"(?P<time>\d{8}T\d{6}\.\d{6}Z)-(?P<number>\d{6,18})\.log",
    re.ASCII,
)


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """One sealed log. `time` is the moment of its rotation (UTC), `number` counts rotations."""

    directory: Path
    frontend: str
    time: datetime
    number: int

    @property
    def stamp(self) -> str:
        """The time and the number, as they name it here and in the store."""
        return f"{self.time.strftime(_TIME)}-{self.number:06}"

    @property
    def path(self) -> Path:
        """The log itself."""
        return self.directory / f"{self.frontend}.{self.stamp}.log"

    @property
    def note(self) -> Path:
        """What was settled about it; need not be there."""
        return self.path.with_suffix(".json")

    def remove(self) -> None:
        """Erase it; none there is no fault."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def current(directory: Path, frontend: str) -> Path:
    """The file that a frontend's lines are written to."""
    return directory / f"{frontend}.log"


def seal(directory: Path, frontend: str, *, now: float, number: int) -> Sealed:
    """Give the current file of a frontend its last name. Raises OSError.

    `now` is the time in seconds since 1970, `number` that of the rotation.
    """
    sealed = Sealed(
        directory=directory,
        frontend=frontend,
        time=datetime.fromtimestamp(now, UTC),
        number=number,
    )
    current(directory, frontend).rename(sealed.path)
    return sealed


def sealed_in(directory: Path) -> list[Sealed]:
    """Every sealed log of a directory, oldest first; none where there is no directory."""
    return sorted(_found(directory), key=lambda one: (one.number, one.time, one.frontend))


def _found(directory: Path) -> Iterator[Sealed]:
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            found = _NAME.fullmatch(path.name)
            if found:
                with contextlib.suppress(ValueError):
                    yield Sealed(
                        directory=directory,
                        frontend=found["frontend"],
                        time=datetime.fromisoformat(found["time"]),
                        number=int(found["number"]),
                    )
