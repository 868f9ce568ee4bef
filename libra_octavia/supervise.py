"""The provider agent's entry point: Octavia's driver-agent starts it and tells it when to end.

It runs the daemon as a process of its own and starts it again when it dies: driver-agent itself
would not, and a fork of it is no good place for threads.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Protocol

from libra_octavia import PROG
from libra_octavia.daemon import LIFELINE
from libra_octavia.shared import CONFIG_VARIABLE

LOG = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
_FIRST, _MOST = 1.0, 10.0
"""Seconds before a daemon that died is started again; twice as many each time that it died soon."""
_SOON = 60.0
_KILL_SECONDS = 30.0
"""How long the daemon may take to end; Octavia gives us 60 s unless set otherwise."""


class Event(Protocol):
    """What driver-agent sets when everything is to end."""

    def wait(self, timeout: float) -> bool:
        """Whether it was set within this time."""


def provider_agent(exit_event: Event) -> None:
    """Keep the daemon running until `exit_event` is set. The entry point `libra_agent`."""
    named = os.environ.get(CONFIG_VARIABLE)
    options = ["--config-file", named] if named else []
    supervise([sys.executable, "-m", "libra_octavia.main", *options], exit_event)


def supervise(command: Sequence[str], exit_event: Event) -> None:
    """Run a command until the event is set, again each time that it ends before."""
    pause = 0.0
    while True:
        began = time.monotonic()
        if not _once(command, exit_event):
            return
        lasted = time.monotonic() - began > _SOON
        pause = _FIRST if lasted or not pause else min(pause * 2, _MOST)
        if exit_event.wait(pause):
            return


def _once(command: Sequence[str], exit_event: Event) -> bool:
    """Run it once; True where it ended by itself."""
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            pass_fds=[reading],
            env={
                **os.environ,
                LIFELINE: str(reading),
                # The same packages, however this process came to know them.
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            },
        )
        LOG.info("%s runs as process %d", PROG, process.pid)
        try:
            while not exit_event.wait(_LOOK_SECONDS):
                if process.poll() is not None:
                    LOG.error("%s ended with %d and is started again", PROG, process.returncode)
                    return True
            process.send_signal(signal.SIGTERM)
            process.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            LOG.error("%s did not end in %g s and is killed", PROG, _KILL_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        return False
    finally:
        os.close(reading)
        os.close(writing)
