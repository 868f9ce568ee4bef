"""What a daemon that cannot start says, while there is no log yet."""

from __future__ import annotations

import sys

from libra_common.errors import LibraError, SettingsError
from libra_common.exits import Exit, exit_code_of


def complain(prog: str, error: LibraError) -> Exit:
    """Print why the command `prog` does not start, a line each fault, on standard error.

    Returns the exit code that it ends with.
    """
    faults = error.faults if isinstance(error, SettingsError) else (str(error),)
    for fault in faults:
        print(f"{prog}: {fault}", file=sys.stderr)  # noqa: T201 - that is what it is for
    return exit_code_of(error)
