"""Kernel settings that the documentation asks of nodes, for the time of a test session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.need import missing

_WANTED = {
    Path("/proc/sys/net/unix/max_dgram_qlen"): 4096,
    Path("/proc/sys/net/core/wmem_default"): 8388608,
}


@contextmanager
def long_log_queue() -> Iterator[None]:
    """What `etc/sysctl.d/60-libra.conf` sets; put back as it was."""
    with ExitStack() as stack:
        for path, wanted in _WANTED.items():
            try:
                before = path.read_text()
                if int(before) < wanted:
                    path.write_text(str(wanted))
                    stack.callback(path.write_text, before)
            except OSError:
                missing(f"{path} cannot be set; access logs need what etc/sysctl.d asks for")
        yield
