"""The command validate: what a node would say to a file, and make of it."""

from __future__ import annotations

import argparse
import sys

from libra_client.cli import files, options, output
from libra_client.cli.exits import Exit
from libra_client.cli.validation import Validation, Verdict, validate

_VERDICTS = {
    Verdict.PASSED: "good; HAProxy accepts the configuration",
    Verdict.REFUSED: "the message is good, but what it makes is not",
    Verdict.NOT_RUN: "the message is good, but HAProxy did not check the configuration",
}


def add(commands: options.Commands) -> None:
    """Add this group's command."""
    parser = options.add_command(
        commands,
        "validate",
        about="check a message without any node",
        more="Prints every fault with its path on standard error, or the haproxy.cfg that a new"
        " node would write on standard output, and what haproxy -c says of it. Nothing is sent"
        " and nothing applied. Limits, addresses and paths are those of the settings.",
        examples="  libra validate shop.json\n"
        "  libra validate shop.json --no-show\n"
        "  libra validate - --json --haproxy /opt/haproxy/sbin/haproxy < shop.json",
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        help="the message as JSON (UPDATE where it names no action), or - for standard input",
    )
    parser.add_argument(
        "--haproxy", metavar="PATH", help="the HAProxy program (default: the settings')"
    )
    parser.add_argument(
        "--show",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="print the haproxy.cfg of a good message (the default), or not",
    )
    options.add_config_file(parser)
    options.add_json(parser, "print valid, faults, haproxy_cfg and haproxy_check as JSON")
    parser.set_defaults(run=_validate)


def _validate(asked: argparse.Namespace) -> Exit:
    settings = options.settings(asked)
    found = validate(files.read(asked.file), settings=settings)
    if options.wants_json(asked):
        output.show_json(found.as_json())
    else:
        _tell(files.shown_name(asked.file), found, show=asked.show)
    return found.exit


def _tell(name: str, found: Validation, *, show: bool) -> None:
    """Faults and verdict on standard error, so that standard output is the file alone."""
    for fault in found.faults:
        output.note(f"{name}: {fault}")
    if found.faults:
        count = len(found.faults)
        output.note(f"{name}: {count} {'fault' if count == 1 else 'faults'}")
        return
    if found.haproxy_cfg is not None and show:
        sys.stdout.write(found.haproxy_cfg)
        sys.stdout.flush()
    if found.checked is None:
        output.note(f"{name}: good; only an UPDATE makes a configuration")
        return
    output.note(f"{name}: {_VERDICTS[found.checked.result]}")
    if found.checked.message:
        output.note(f"{name}: {found.checked.message}")
