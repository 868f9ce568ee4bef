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


def lack(prog: str, error: ModuleNotFoundError, *, extra: str) -> Exit:
    """Print that the command `prog` misses a package, and which `extra` of Libra's brings it.

    Returns the exit code that it ends with. A module of Libra's own that is missing is a fault of
    ours: `error` is raised again then.
    """
    if not error.name or error.name.startswith("libra"):
        raise error
    wanted = f"{prog}: needs the package {error.name}, which comes with the extra {extra!r}:"
    brings = f"make install EXTRAS={extra}, or pip install 'libra[{extra}]'"
    print(f"{wanted} {brings}", file=sys.stderr)  # noqa: T201 - that is what it is for
    return Exit.UNAVAILABLE
