"""Which releases of other programs are here; asked of the program once for each file it was."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from pathlib import Path

_SECONDS = 5.0


def haproxy_version(program: Path) -> str:
    """HAProxy's release, `2.6.12-1+deb12u4`; empty where it cannot be run."""
    try:
        found = program.stat()
    except OSError:
        return ""
    return _asked(str(program), found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=4)
def _asked(program: str, mtime: int, size: int) -> str:  # noqa: ARG001 - they are the key
    try:
        done = subprocess.run(
            [program, "-v"],
            env={},
            cwd=os.sep,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(rb"^HAProxy version (\S+)", done.stdout, re.MULTILINE)
    return match[1].decode("ascii", "replace") if match else ""
