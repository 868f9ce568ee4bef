"""Files that are there whole or not at all, and outlive a power cut. Standard library only.

Everything here raises OSError; what that means is for the caller to say.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_ANEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


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
    try:
        file = os.open(path, _ANEW, mode)
    except FileExistsError:
        path.unlink()
        file = os.open(path, _ANEW, mode)
    try:
        try:
            if user is not None or group is not None:
                os.fchown(file, -1 if user is None else user, -1 if group is None else group)
            _write_all(file, data)
            if durable:
                os.fsync(file)
        finally:
            os.close(file)
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise


def _write_all(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


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
