"""Loads modules of the running kernel with what they need, where no `modprobe` is installed."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path

_FINIT_MODULE = 313
_FOLDER = Path("/usr/lib/uml/modules") / os.uname().release
_PATHS = {path.stem.replace("-", "_"): path for path in _FOLDER.rglob("*.ko")}
_LIBC = ctypes.CDLL(None, use_errno=True)


def load(name: str, loaded: set[str]) -> None:
    if name in loaded or name not in _PATHS:
        return
    loaded.add(name)
    found = re.search(rb"\0depends=([^\0]*)\0", _PATHS[name].read_bytes())
    for other in found[1].decode().split(",") if found else ():
        load(other.replace("-", "_"), loaded)
    with _PATHS[name].open("rb") as file:
        if _LIBC.syscall(_FINIT_MODULE, file.fileno(), b"", 0):
            print(f"{name} is not loaded: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    done: set[str] = set()
    for wanted in sys.argv[1:]:
        load(wanted, done)
