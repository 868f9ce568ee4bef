"""OpenStack Octavia's own code in an environment of its own, beside this checkout's.

Its requirements would fight with ours, so it never comes into `.venv`. Built once, from releases
that are known to go together; a checkout keeps it until the list of those changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import need

NEWEST = "19.0.0"
OLDEST = "12.0.0"
"""The oldest release whose requirements still build for today's Python."""

UNDECLARED = ("pyroute2", "setuptools")
"""What its driver imports and its package does not ask for."""

ROOT = Path(__file__).parents[2]
BUILD_SECONDS = 540.0


def python(release: str = NEWEST) -> Path:
    """The interpreter that can import octavia; builds the environment where there is none."""
    major = release.partition(".")[0]
    constraints = Path(__file__).with_name(f"octavia-{major}.txt")
    folder = ROOT / ".venv-octavia" / major
    found = folder / "bin" / "python"
    stamp = folder / ".libra-built"
    wanted = hashlib.sha256(constraints.read_bytes() + sys.version.encode()).hexdigest()
    if not os.access(ROOT, os.W_OK):
        need.missing(
            f"octavia's environment would be built in {ROOT}, where this user may not write"
        )
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            _run(release, sys.executable, "-m", "venv", "--clear", str(folder))
            _run(
                release, str(found), "-m", "pip", "install", "--quiet", "--no-input",
                "--disable-pip-version-check", "--constraint", str(constraints),
                f"octavia=={release}", *UNDECLARED,
            )  # fmt: skip
            stamp.write_text(wanted)
    finally:
        os.close(lock)
    return found


def _run(release: str, *command: str) -> None:
    # The oldest is built in part, which may need what this machine has not got.
    missing = need.missing if release == NEWEST else pytest.skip
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        missing(f"octavia {release} could not be installed in {BUILD_SECONDS:g} s")
    if done.returncode:
        missing(f"octavia {release} cannot be installed: {done.stderr.strip()[-500:]}")
