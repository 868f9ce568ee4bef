"""The command schema: the JSON Schema of a message, for developers of API servers."""

from __future__ import annotations

import argparse

from libra_client.cli import options, output
from libra_client.cli.errors import BadArgument
from libra_client.cli.exits import Exit
from libra_messages.schema import ACTIONS, schema
from libra_messages.worker import MODELS


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
            output.show_json(schema(asked.action))
        except ValueError as error:
            raise BadArgument(str(error)) from error
    elif options.wants_json(asked):
        output.show_json(ACTIONS)
    else:
        output.show_fields((action, about(action)) for action in ACTIONS)
    return Exit.OK


def about(action: str) -> str:
    """What an action does, in a few words."""
    words = (MODELS[action].__doc__ or "").strip().rstrip(".")
    return words.removeprefix(f"{action}: ")
