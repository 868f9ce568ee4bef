"""Files that are replaced whole, for one's own eyes only."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from libra_haproxy.errors import DiskError


def private(directory: Path, *, user: int | None = None, group: int | None = None) -> Path:
    """Make a directory (and those above it) that only its owner may enter. Raises DiskError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        if user is not None and group is not None:
            os.chown(directory, user, group)
    except OSError as error:
        raise DiskError(f"cannot use {directory}: {error.strerror}") from error
    return directory


def replace(path: Path, data: bytes, *, user: int | None = None, group: int | None = None) -> None:
    """Put `data` in a file's place, 0600 in a 0700 directory, on disk for sure; all or nothing.

    Raises DiskError.
    """
    if not path.parent.is_dir():
        private(path.parent)
    new = path.with_name(path.name + ".new")
    try:
        new.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
            if user is not None and group is not None:
                os.fchown(file.fileno(), user, group)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise DiskError(f"cannot write {path}: {error.strerror}") from error


def in_memory(path: Path) -> bool:
    """Whether a path lies on a file system that ends with the machine."""
    best, kind = "", ""
    real = str(path.resolve())
    with Path("/proc/self/mounts").open() as mounts:
        for line in mounts:
            _, place, type_, *_ = line.split(" ")
            inside = real == place or real.startswith(place.rstrip("/") + "/")
            if inside and len(place) >= len(best):
                best, kind = place, type_
    return kind in ("tmpfs", "ramfs")
