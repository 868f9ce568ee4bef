"""Files that are replaced whole, for one's own eyes only."""

from __future__ import annotations

import os
from pathlib import Path

from libra_common import durable
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
    try:
        durable.replace(path, data, mode=0o600, user=user, group=group)
    except OSError as error:
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
