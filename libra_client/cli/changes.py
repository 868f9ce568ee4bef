"""The commands that change a node: update, rollback, suspend, enable, delete."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from libra_client.cli import files, options, output, sending
from libra_client.cli.errors import NotConfirmed
from libra_client.cli.exits import Exit
from libra_client.client import UPDATE_TIMEOUT, Result
from libra_messages.fold import ascii_lower
from libra_messages.worker import Delete, Enable, Rollback, Suspend, Update

_MOST = 2**53
"""The highest number of a generation or an entry."""


def add(commands: options.Commands) -> None:
    """Add this group's commands."""
    update = options.add_command(
        commands,
        "update",
        about="give a node its whole configuration",
        more="A load balancer that FILE leaves out goes away. The answer comes when the"
        " configuration is in force.",
        examples="  libra update web-1 shop.json\n"
        "  libra --server gearman-1:4730 update web-1 - < shop.json",
    )
    _node(update)
    update.add_argument(
        "file",
        metavar="FILE",
        help="the message as JSON, with or without hpcs_action, or - for standard input",
    )
    _generation(update)
    update.set_defaults(run=_update)
    _add_rollback(commands)
    _add_simple(commands, "suspend", Suspend.action, "refuse all traffic until enable")
    _add_simple(commands, "enable", Enable.action, "end a suspension")
    delete = _add_simple(
        commands,
        "delete",
        Delete.action,
        "erase a node's load balancers for good",
        more="Configuration, certificates and state are erased; it cannot be undone.",
        arguments=" --yes",
    )
    delete.add_argument(
        "--yes", action="store_true", help="do not ask; needed where there is no terminal to ask on"
    )
    delete.set_defaults(run=_delete)


def _add_rollback(commands: options.Commands) -> None:
    rollback = options.add_command(
        commands,
        "rollback",
        about="apply a configuration of a node's history once more",
        more="The whole configuration of the entry takes the place of the one in force, which"
        " stays in the history. Entries are numbered as libra history shows them.",
        examples="  libra rollback web-1 3\n  libra rollback web-1 3 --yes --generation 32",
    )
    _node(rollback)
    rollback.add_argument("entry", metavar="ENTRY", type=_number, help="the number of the entry")
    _generation(rollback)
    rollback.add_argument(
        "--yes", action="store_true", help="do not ask; needed where there is no terminal to ask on"
    )
    rollback.set_defaults(run=_rollback)


def _generation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--generation",
        metavar="N",
        type=_number,
        help="your own number of this configuration; the node refuses one older than it has",
    )


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= _MOST):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {_MOST}")
    return int(text)


def _add_simple(
    commands: options.Commands,
    name: str,
    action: str,
    about: str,
    *,
    more: str = "",
    arguments: str = "",
) -> argparse.ArgumentParser:
    """Add a command that sends nothing but its action."""
    parser = options.add_command(
        commands, name, about=about, more=more, examples=f"  libra {name} web-1{arguments}"
    )
    _node(parser)
    parser.set_defaults(run=_simple, action=action)
    return parser


def _node(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("node", metavar="NODE", help="the node's name, as its worker registers it")
    options.add_common(parser)


def _update(asked: argparse.Namespace) -> Exit:
    message = files.update_message(asked.file, files.read(asked.file))
    return _change(asked, Update.action, _numbered(asked, message))


def _numbered(asked: argparse.Namespace, message: dict[str, Any]) -> dict[str, Any]:
    """The message with the generation that was given, whatever it had before."""
    if asked.generation is None:
        return message
    kept = {name: value for name, value in message.items() if ascii_lower(name) != "generation"}
    return {**kept, "generation": asked.generation}


def _rollback(asked: argparse.Namespace) -> Exit:
    if not asked.yes:
        confirm(
            "rollback changes what is served",
            f"Put entry {asked.entry} of {output.plain(asked.node)}'s history into force?",
        )
    message = {"hpcs_action": Rollback.action, "entry": asked.entry}
    return _change(asked, Rollback.action, _numbered(asked, message))


def _simple(asked: argparse.Namespace) -> Exit:
    return _change(asked, asked.action, {"hpcs_action": asked.action})


def _delete(asked: argparse.Namespace) -> Exit:
    if not asked.yes:
        confirm(
            "delete cannot be undone",
            f"Erase the load balancers of {output.plain(asked.node)}? It cannot be undone.",
        )
    return _simple(asked)


def confirm(why: str, question: str) -> None:
    """Ask on the terminal; raises NotConfirmed."""
    if not sys.stdin.isatty():
        raise NotConfirmed(f"{why}: confirm it with --yes; nothing was sent")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise NotConfirmed("not confirmed; nothing was sent")


def _change(asked: argparse.Namespace, action: str, message: dict[str, Any]) -> Exit:
    result = sending.send(asked, message, timeout=UPDATE_TIMEOUT)
    if options.wants_json(asked):
        output.show_json(result.answer)
        return Exit.OK if result.ok else Exit.FAIL
    if not result.ok:
        return sending.refused(asked, result)
    output.say(f"{asked.node}: {action}", "PASS", *_status(result))
    totals = result.answer.get("totals")
    if isinstance(totals, list) and totals:
        names = ("protocol", "bytes_in", "bytes_out", "sessions")
        rows = [total for total in totals if isinstance(total, dict)]
        output.show_table(names, ([total.get(name) for name in names] for total in rows))
    return Exit.OK


def _status(result: Result) -> list[str]:
    status = result.answer.get("lb_status")
    return [status] if isinstance(status, str) else []
