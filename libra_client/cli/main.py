"""The `libra` command, from its arguments to its exit code."""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points

from libra_client.cli import (
    archive,
    ca,
    changes,
    options,
    output,
    pool,
    questions,
    schema,
    status,
    validate,
)
from libra_client.cli.errors import exit_of
from libra_client.cli.exits import Exit, table
from libra_common.errors import LibraError
from libra_common.version import RELEASE

LOG = logging.getLogger(__name__)

COMMANDS = "libra.commands"
"""The entry points of command groups that other parts bring: functions that add theirs."""

_EXAMPLES = """\
examples:
  libra validate shop.json
  libra --server gearman-1:4730 update web-1 shop.json
  libra --config-file /etc/libra.cfg stats web-1
  libra schema UPDATE

Options stand before or after the command; the later one counts. Standard output carries results,
standard error what went wrong; colours are for terminals, and off where NO_COLOR is set.
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    made = argparse.ArgumentParser(
        prog="libra",
        description="Speaks to the load balancer nodes of Libra through gearman, and checks"
        " messages for them.",
        epilog=f"{_EXAMPLES}\nexit codes:\n{table()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("--version", action="version", version=f"libra {RELEASE}")
    options.add_common(made)
    commands = made.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for group in (changes, questions, status, archive, pool, ca, validate, schema):
        group.add(commands)
    for found in sorted(entry_points(group=COMMANDS), key=lambda one: one.name):
        found.load()(commands)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line asks for (the process's own where `argv` is None).

    Returns the exit code; raises nothing.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal of another encoding gets an escape, never a traceback.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(argv)
        sys.stdout.flush()
    except OSError as error:
        # Files and sockets have had their say: this is standard output itself.
        with contextlib.suppress(OSError):
            if not isinstance(error, BrokenPipeError):
                output.complain(f"cannot write the output: {error.strerror or error}")
        _leave_stdout()
        return Exit.NO_OUTPUT
    return code


def _run(argv: Sequence[str] | None) -> int:
    try:
        asked = parser().parse_args(argv)
        return int(asked.run(asked))
    except SystemExit as leaving:  # argparse has printed the help, the version or an error
        return leaving.code if isinstance(leaving.code, int) else Exit.OK
    except LibraError as error:
        for line in str(error).splitlines():
            output.complain(line)
        return exit_of(error)
    except KeyboardInterrupt:
        output.complain("interrupted; what was sent may still be carried out")
        return Exit.INTERRUPTED
    except OSError:
        raise
    except Exception:
        LOG.exception("libra: a fault in Libra itself")
        return Exit.SOFTWARE


def _leave_stdout() -> None:
    """Give the interpreter's last flush nothing more to fail on."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
