"""Kernel settings that the documentation asks of nodes, while test sessions need them."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.need import missing

_WANTED = {
    "/proc/sys/net/unix/max_dgram_qlen": 4096,
    "/proc/sys/net/core/wmem_default": 8388608,
}
_BEFORE = Path(tempfile.gettempdir()) / f"libra-tests-kernel-{os.getuid()}"
"""What they were before the first session came; whoever reads or writes it has it locked."""

_USERS = _BEFORE.with_suffix(".users")
"""Locked, together, by all sessions that need them."""


@contextmanager
def long_log_queue() -> Iterator[None]:
    """What `etc/sysctl.d/60-libra.conf` sets; the last session that leaves puts it back."""
    with _USERS.open("a") as users:
        with _before() as kept:
            fcntl.flock(users, fcntl.LOCK_SH)
            try:
                for path, wanted in _WANTED.items():
                    value = Path(path).read_text()
                    if int(value) < wanted:
                        Path(path).write_text(str(wanted))
                        kept.setdefault(path, value)
            except OSError as error:
                missing(f"{error.filename} cannot be set; logs need what etc/sysctl.d asks for")
        yield
        with _before() as kept:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            for path in list(kept):
                Path(path).write_text(kept.pop(path))


@contextmanager
def _before() -> Iterator[dict[str, str]]:
    """Have the kept values to oneself; what is changed in them is kept."""
    with _BEFORE.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        kept: dict[str, str] = json.loads(file.read() or "{}")
        yield kept
        file.truncate(0)
        file.write(json.dumps(kept))
