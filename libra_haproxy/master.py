"""A running HAProxy master, as its keeper holds it: by a pidfd, so it is never mistaken.

Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

_GONE_SECONDS = 2.0


class RunningMaster:
    """A master process, started here (`child`) or found.

    Raises OSError when there is no process `pid`.
    """

    def __init__(self, *, pid: int, child: subprocess.Popen[bytes] | None) -> None:
        self.pid = pid
        self.child = child
        self.pidfd = os.pidfd_open(pid)
        self.since = time.monotonic()

    @classmethod
    def start(cls, command: list[str]) -> RunningMaster:
        """Start HAProxy with an empty environment, in a process group of its own."""
        child = subprocess.Popen(
            command, env={}, cwd="/", stdin=subprocess.DEVNULL, start_new_session=True
        )
        return cls(pid=child.pid, child=child)

    @classmethod
    def behind(cls, master_socket: Path, *, seconds: float) -> RunningMaster:
        """Find whoever listens on the master socket; the kernel says which process that is."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(seconds)
            probe.connect(str(master_socket))
            size = struct.calcsize("3i")
            peer = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
            # The connection holds the process's name while the handle is taken.
            return cls(pid=struct.unpack("3i", peer)[0], child=None)

    def kill(self, number: signal.Signals) -> None:
        """Signal this very process; one that has ended already is no fault."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def kill_group(self) -> None:
        """Kill it with all its workers and wait until their ports are free.

        The group carries the master's pid as long as one of it lives.
        """
        deadline = time.monotonic() + _GONE_SECONDS
        with contextlib.suppress(ProcessLookupError, PermissionError):
            while _lives(self.pid) and time.monotonic() < deadline:
                os.killpg(self.pid, signal.SIGKILL)
                time.sleep(0.005)

    def wait(self, seconds: float) -> bool:
        """Whether it ended within `seconds`."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.pidfd, selectors.EVENT_READ)
            return bool(selector.select(seconds))

    def reap(self) -> str:
        """How it ended, in words; closes the handle."""
        os.close(self.pidfd)
        if self.child is None:
            return "it was adopted, so its exit status is unknown"
        status = self.child.wait()
        return f"signal {-status}" if status < 0 else f"exit status {status}"


def _lives(group: int) -> bool:
    """Whether a process of the group still runs; those that only wait to be reaped do not."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, of, *_ = stat.read_text().rpartition(")")[2].split()
            if int(of) == group and state not in "ZX":
                return True
    return False
