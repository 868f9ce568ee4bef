"""Kernel settings that the documentation asks of nodes, for the time of a test session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.need import missing

_QUEUE = Path("/proc/sys/net/unix/max_dgram_qlen")


@contextmanager
def long_log_queue() -> Iterator[None]:
    """What `etc/sysctl.d/60-libra.conf` sets; put back as it was."""
    before = _QUEUE.read_text()
    if int(before) >= 4096:
        yield
        return
    try:
        _QUEUE.write_text("4096")
    except OSError:
        missing("net.unix.max_dgram_qlen is too low for access logs, see etc/sysctl.d")
    try:
        yield
    finally:
        _QUEUE.write_text(before)
