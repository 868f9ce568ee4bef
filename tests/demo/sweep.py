"""Finding and ending all that runs in one folder, by the folder's name on the command line."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

_PATIENCE = 5.0  # seconds for a process to end by itself after SIGTERM

_ORDER = (
    b"libra_pool_mgm.main",
    b"clouds.local.guard",
    b"libra_worker",
    b"libra_haproxy.keeper",
    b"",
)
"""Who goes first: whatever would start the next one again. All match the last."""


def processes(folder: Path, word: bytes = b"") -> list[int]:
    """Every living process whose command line names a file in `folder`, and has `word` in it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # gone meanwhile
            command = (entry / "cmdline").read_bytes()
            if f"{folder}/".encode() in command and word in command:
                found.append(int(entry.name))
    return [pid for pid in found if pid != os.getpid()]


def end(folder: Path) -> None:
    """End the processes of `folder`, politely at first; none is left when this returns."""
    for word in _ORDER:
        _signal(processes(folder, word), signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE
        while left := processes(folder, word):
            if time.monotonic() > deadline:
                _signal(left, signal.SIGKILL)
            time.sleep(0.02)


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
