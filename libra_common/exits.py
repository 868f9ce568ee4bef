"""The exit codes of Libra's daemons: init scripts and people read them, so they never change.

The numbers are those of sysexits.h wherever it has a fitting one, because systemd and many
supervisors print its names beside the number.
"""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """Why a command ended; the docstring beside each member is the text of the manual page."""

    OK = 0
    """All went well; with --daemon: the stored state is served and the node is registered."""

    USAGE = 64
    """The command line is wrong: an unknown option, or an option without its value."""

    UNAVAILABLE = 69
    """Something the daemon cannot work without is not there, HAProxy for example; or, with
    --daemon, the stored state was not served in time (the message says whether it goes on)."""

    SOFTWARE = 70
    """A fault in Libra itself; the log has the traceback."""

    ALREADY_RUNNING = 73
    """Another process holds the pid file; it is named and nothing was changed."""

    BAD_PIDFILE = 74
    """The pid file cannot be used: not writable, or it holds what is no pid and is left alone."""

    NOT_READY = 75
    """With --daemon: the stored state is served, the registration is still missing after 10 s.
    A warning only, the daemon goes on and registers as soon as it can."""

    CONFIG = 78
    """The settings are wrong; every fault was printed."""

    HURRIED = 143
    """A second SIGTERM or SIGINT, or the end of the stop time: work may be left unfinished."""


def exit_code_of(error: BaseException) -> Exit:
    """Give the exit code with which a daemon that failed with `error` ends.

    An error says it by its own attribute `exit_code`; what does not is a fault of the program.
    """
    code = getattr(error, "exit_code", Exit.SOFTWARE)
    return code if isinstance(code, Exit) else Exit.SOFTWARE
