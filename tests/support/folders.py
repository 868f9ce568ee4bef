"""Folders for nodes: with short names, since unix sockets live in them, and open for HAProxy.

Not pytest's own: another run of pytest on the machine would shut those for HAProxy's user.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from pathlib import Path

_NUMBERS = itertools.count()
_BASE = Path(tempfile.mkdtemp(prefix="libra-"))
_BASE.chmod(0o711)
_MAKER = os.getpid()

BASE = str(_BASE)
"""Below this are all of this run's; a process that names it on its command line is ours."""


def folder() -> Path:
    """A new one."""
    path = _BASE / f"n{next(_NUMBERS)}"
    path.mkdir(parents=True)
    path.chmod(0o711)
    return path


def remove_all() -> None:
    """Remove every folder of this run."""
    if os.getpid() == _MAKER:
        shutil.rmtree(_BASE, ignore_errors=True)
