"""An authority's directory: one user of it at a time, and errors that name the file."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from libra_common.authority.errors import AuthorityError


@contextlib.contextmanager
def reasons(path: Path, what: str) -> Iterator[None]:
    """Turn an OSError of the block into an AuthorityError."""
    try:
        yield
    except OSError as error:
        raise AuthorityError(f"{path}: {what}: {error.strerror or error}") from None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes and threads out of the block."""
    with reasons(folder / "lock", "cannot be locked"):
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        lock = os.open(folder / "lock", flags, 0o600)
    try:
        with reasons(folder / "lock", "cannot be locked"):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
