"""The command line that all daemons have: one option for each setting, and a few actions."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from libra_common import version
from libra_common.exits import Exit
from libra_common.settings.sections import SECTIONS, Setting
from libra_common.settings.table import offered
from libra_common.settings.values import Switch

DEFAULT_FILE = Path("/etc/libra.cfg")
"""Read when no --config-file is given, if it exists."""

_EPILOG = """\
An option is stronger than a file, a later file stronger than an earlier one. Signals: SIGHUP
reads settings and certificates again, SIGTERM ends when running work is done, a second SIGTERM
at once. Exit codes: 0 all well, 64 wrong command line, 69 something needed is missing, 70 a
fault in Libra, 73 already running, 74 unusable pid file, 75 serving but not yet registered
(--daemon), 78 wrong settings.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandLine:
    """What was asked for: the files, the settings given as options, and at most one action."""

    files: tuple[Path, ...]
    given: dict[tuple[str, str], str]
    action: str


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage()
        self.exit(Exit.USAGE, f"{self.prog}: {message}\n")


def parse(argv: list[str], *, prog: str, flags: Mapping[str, str]) -> CommandLine:
    """Understand the command line `argv` (without the program's name) of the command `prog`.

    `flags` are options of this command alone, without a value, and what --help says of them.

    Ends the process by SystemExit for --help and --version, and with Exit.USAGE for a command
    line that cannot be understood.
    """
    parser = _Parser(
        prog=prog,
        description=f"{prog} of Libra, load balancers on HAProxy.",
        epilog=_EPILOG,
        allow_abbrev=False,
        argument_default=None,
    )
    parser.add_argument("--version", action="version", version=f"{prog} {version.RELEASE}")
    parser.add_argument(
        "--config-file",
        action="append",
        type=Path,
        default=[],
        metavar="PATH",
        help=f"settings file; may be given several times (default: {DEFAULT_FILE}, if it exists)",
    )
    actions = parser.add_mutually_exclusive_group()
    for flag, words in (
        ("--check-config", "check the settings and the files they name, then exit with 0 or 78"),
        ("--print-config", "print the settings in force, secrets masked, and exit"),
        ("--generate-sample-config", "print a settings file with every setting, and exit"),
    ):
        actions.add_argument(
            flag, dest="action", action="store_const", const=flag[2:], default="", help=words
        )
    for flag, words in flags.items():
        parser.add_argument(flag, dest=f"flag {flag}", action="store_true", help=words)
    settings = offered(prog)
    for section in SECTIONS.values():
        group = parser.add_argument_group(f"[{section.name}]", section.help)
        for setting in settings:
            if setting.section == section.name:
                _add(group, setting)
    found = parser.parse_args(argv)
    files = tuple(path.absolute() for path in found.config_file)
    if not files and DEFAULT_FILE.exists():
        files = (DEFAULT_FILE,)
    return CommandLine(
        files=files,
        given={
            (setting.section, setting.name): text
            for setting in settings
            if (text := getattr(found, _destination(setting))) is not None
        },
        action=found.action,
    )


def _add(group: argparse._ArgumentGroup, setting: Setting) -> None:
    default = setting.default_note or setting.default_text or "empty"
    unit = f" {setting.unit}" if setting.unit else ""
    words = f"{setting.help} ({setting.kind.describe()}; default: {default}{unit})"
    words = words.replace("%", "%%")
    if isinstance(setting.kind, Switch):
        group.add_argument(
            setting.option,
            dest=_destination(setting),
            action="store_const",
            const="true",
            help=words,
        )
        group.add_argument(
            "--no-" + setting.option[2:],
            dest=_destination(setting),
            action="store_const",
            const="false",
            help=f"the opposite of {setting.option}",
        )
        return
    group.add_argument(
        setting.option,
        dest=_destination(setting),
        metavar=(setting.unit or setting.name).upper(),
        help=words,
    )


def _destination(setting: Setting) -> str:
    return f"{setting.section}/{setting.name}"
