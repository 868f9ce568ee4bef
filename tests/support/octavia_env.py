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

from tests.support.need import missing

RELEASE = "19.0.0"
UNDECLARED = ("pyroute2",)
"""What its driver imports and its package does not ask for."""

CONSTRAINTS = Path(__file__).with_name("octavia-constraints.txt")
ROOT = Path(__file__).parents[2]
BUILD_SECONDS = 540.0


def python() -> Path:
    """The interpreter that can import octavia; builds the environment where there is none."""
    folder = ROOT / ".venv-octavia"
    found = folder / "bin" / "python"
    stamp = folder / ".libra-built"
    wanted = hashlib.sha256(CONSTRAINTS.read_bytes() + sys.version.encode()).hexdigest()
    if not os.access(ROOT, os.W_OK):
        missing(f"octavia's environment would be built in {ROOT}, where this user may not write")
    lock = os.open(ROOT, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            _run(sys.executable, "-m", "venv", "--clear", str(folder))
            _run(
                str(found), "-m", "pip", "install", "--quiet", "--no-input",
                "--disable-pip-version-check", "--constraint", str(CONSTRAINTS),
                f"octavia=={RELEASE}", *UNDECLARED,
            )  # fmt: skip
            stamp.write_text(wanted)
    finally:
        os.close(lock)
    return found


def _run(*command: str) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        missing(f"octavia {RELEASE} could not be installed in {BUILD_SECONDS:g} s")
    if done.returncode:
        missing(f"octavia {RELEASE} cannot be installed: {done.stderr.strip()[-500:]}")
