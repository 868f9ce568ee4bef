"""What stops a command before, or instead of, an answer, and the exit code of each."""

from __future__ import annotations

from collections.abc import Iterable

from libra_client.cli.exits import Exit
from libra_client.client import BadAnswer
from libra_common.errors import LibraError, SettingsError
from libra_common.jobs import BadJob, JobError
from libra_messages.faults import Fault


class BadFile(LibraError):
    """A file that is not worth sending; `name` is the file, `faults` say why."""

    code = "bad_file"

    def __init__(self, name: str, faults: Iterable[Fault]) -> None:
        self.name = name
        self.faults = tuple(faults)
        super().__init__("\n".join(f"{name}: {fault}" for fault in self.faults))


class NotConfirmed(LibraError):
    """Something that cannot be undone was asked for and not confirmed; nothing was sent."""

    code = "not_confirmed"


class BadArgument(LibraError):
    """An argument that only the command itself could judge."""

    code = "bad_argument"


_BY_CODE = {
    "bad_authority": Exit.BAD_FILE,
    "refused_certificate": Exit.USAGE,
    "unknown_serial": Exit.USAGE,
}
"""The errors of `libra_common.authority`, which not every installation can import."""


def exit_of(error: LibraError) -> Exit:
    """The exit code with which a command that failed with `error` ends."""
    if isinstance(error, BadFile):
        return Exit.BAD_FILE
    if isinstance(error, SettingsError | BadJob | BadArgument | NotConfirmed):
        return Exit.USAGE
    if isinstance(error, JobError | BadAnswer):
        return Exit.NO_ANSWER
    return _BY_CODE.get(error.code, Exit.SOFTWARE)
