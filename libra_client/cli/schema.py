"""The command schema: the JSON Schema of a message, for developers of API servers."""

from __future__ import annotations

import argparse
from typing import Any

from libra_client.cli import options, output
from libra_client.cli.errors import BadArgument
from libra_client.cli.exits import Exit
from libra_messages import pool, worker
from libra_messages.actions import Actions
from libra_messages.faults import shown
from libra_messages.schema import schema

_FAMILIES: tuple[Actions[Any], ...] = (worker.FAMILY, pool.FAMILY)
_ACTIONS = tuple(name for family in _FAMILIES for name in family.names)


def add(commands: options.Commands) -> None:
    """Add this group's command."""
    parser = options.add_command(
        commands,
        "schema",
        about="print the JSON Schema of an action's message, or list the actions",
        examples="  libra schema\n  libra schema UPDATE > update.schema.json",
    )
    parser.add_argument("action", metavar="ACTION", nargs="?", help="an action, in any case")
    options.add_json(parser, "list the actions as JSON; a schema is always JSON")
    parser.set_defaults(run=_schema)


def _schema(asked: argparse.Namespace) -> Exit:
    if asked.action is not None:
        try:
            output.show_json(schema(asked.action, _family_of(asked.action)))
        except ValueError as error:
            raise BadArgument(str(error)) from error
    elif options.wants_json(asked):
        output.show_json(_ACTIONS)
    else:
        output.show_fields((action, about(action)) for action in _ACTIONS)
    return Exit.OK


def _family_of(action: str) -> Actions[Any]:
    """The messages that have an action, the worker's or the pool manager's."""
    for family in _FAMILIES:
        if action.upper() in family.names:
            return family
    raise ValueError(f"no such action: {shown(action)}; there are {', '.join(_ACTIONS)}")


def about(action: str) -> str:
    """What an action does, in a few words."""
    words = (_family_of(action).models[action].__doc__ or "").strip().rstrip(".")
    return words.removeprefix(f"{action}: ")
