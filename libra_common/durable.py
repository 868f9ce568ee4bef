"""Files that are there whole or not at all, and outlive a power cut. Standard library only.

Everything here raises OSError; what that means is for the caller to say.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write(
    path: Path,
    data: bytes,
    *,
    mode: int,
    user: int | None = None,
    group: int | None = None,
    durable: bool = True,
) -> None:
    """Write a file anew and, where it shall be `durable`, wait until it is on disk.

    Never through a link, and nothing is left where it fails. `user` and `group` are ids of other
    owners than the process's own.
    """
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(path, flags, mode), "wb") as file:
            if user is not None or group is not None:
                owner = (-1 if one is None else one for one in (user, group))
                os.fchown(file.fileno(), *owner)
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise


def flush(path: Path) -> None:
    """Wait until the content of a file is on disk."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def sync(directory: Path) -> None:
    """Wait until the names in a directory are on disk too."""
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def replace(
    path: Path, data: bytes, *, mode: int, user: int | None = None, group: int | None = None
) -> None:
    """Put `data` in the place of a file, all or nothing, and wait until that is on disk."""
    new = path.with_name(path.name + ".new")
    write(new, data, mode=mode, user=user, group=group)
    new.rename(path)
    sync(path.parent)
