"""A network of a test's own: a namespace in which only the loopback exists."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.need import missing, program

_SIOCSIFFLAGS = 0x8914  # netdevice(7)
_IFF_UP = 0x1


def bring_loopback_up() -> None:
    """Switch `lo` on in a namespace that was just made."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


def alone(module: str, *arguments: str) -> Any:
    """Run a module of the tests with no network but its own loopback; returns what it prints.

    Whatever it tries to reach beyond has no route, so that nothing leaves the machine.
    """
    if os.geteuid() != 0:
        missing("a network namespace of the test's own needs root")
    done = subprocess.run(
        [program("unshare"), "--net", "--", sys.executable, "-m", module, *arguments],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
