"""The root of every error that Libra raises on purpose."""

from __future__ import annotations

from typing import ClassVar

from libra_common.exits import Exit


class LibraError(Exception):
    """Something that a caller should be told in plain words.

    `code` is the stable word that answers carry in `hpcs_error_code` and that programs may
    compare; the exception's text is for people and may be bettered at any time. `exit_code` is
    what a daemon ends with when this stops it from starting.
    """

    code = "internal_error"
    exit_code: ClassVar[Exit] = Exit.UNAVAILABLE


class SettingsError(LibraError):
    """A setting is missing, malformed or contradicts another; names the setting and the reason.

    `faults` holds every fault found, one text each; the exception's own text is all of them,
    one a line.
    """

    code = "bad_settings"
    exit_code = Exit.CONFIG

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class AlreadyRunningError(LibraError):
    """Another living process holds the pid file's lock; `pid` names it where it is known."""

    code = "already_running"
    exit_code = Exit.ALREADY_RUNNING

    def __init__(self, message: str, *, pid: int | None) -> None:
        super().__init__(message)
        self.pid = pid


class PidFileError(LibraError):
    """The pid file can be neither read nor written, or holds something that is no pid."""

    code = "bad_pid_file"
    exit_code = Exit.BAD_PIDFILE
