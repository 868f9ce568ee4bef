"""Named places at which a test may have this very process killed, or stopped for a while."""

from __future__ import annotations

import os
import signal

_TARGET = os.environ.get("LIBRA_CRASH_AT", "")
"""Read once: a place passed a million times must cost a comparison, not a look-up."""

_PAUSE = os.environ.pop("LIBRA_STOP_AT", "")
"""Of this process alone: what it starts must not stop too."""


def crash_point(name: str) -> None:
    """Kill this process with SIGKILL if LIBRA_CRASH_AT names this place; else do nothing.

    With LIBRA_STOP_AT it stops here by SIGSTOP, until somebody has it go on.

    This is in the product because what it proves can be proved nowhere else: that the files on
    disk at exactly this step, left by the real process with its real buffers and locks, let the
    next start converge. A patched function or a raised exception would still run `finally`
    blocks and exit handlers, which a power cut or the kernel's OOM killer never does.

    `name` is the step just done, such as "after_rename"; the names are part of the tests'
    interface and unique within a daemon. Without the variable this has no effect whatsoever.
    """
    if _TARGET and name == _TARGET:
        os.kill(os.getpid(), signal.SIGKILL)
    if _PAUSE and name == _PAUSE:
        os.kill(os.getpid(), signal.SIGSTOP)
