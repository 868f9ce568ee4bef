"""What the keeper says: on its standard error, which is its log. Standard library only."""

from __future__ import annotations

import contextlib
import os
import sys
import time

LOG_BYTES = 1 << 20
"""HAProxy's and the keeper's own output is kept up to this size, then begun anew."""


def say(text: str) -> None:
    """Write a line with the time."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    print(f"{now} keeper: {text}", file=sys.stderr, flush=True)  # noqa: T201 - its log is stderr


def bound_log() -> None:
    """Begin the log anew when it is full; it is opened for appending, so writers go on."""
    with contextlib.suppress(OSError):
        if os.fstat(2).st_size > LOG_BYTES:
            os.ftruncate(2, 0)
