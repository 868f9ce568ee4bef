"""The commands of `libra octavia`; `libra` finds them by the entry point libra.commands.

They look into the inventory themselves: they are for the machine, and the user, of an agent.
"""

from __future__ import annotations

import argparse
import functools
import importlib
from collections.abc import Callable

from libra_client.cli import options, output
from libra_client.cli.exits import Exit
from libra_common.errors import SettingsError
from libra_octavia.errors import OctaviaError

_NEEDS = "libra octavia needs what pip install 'libra[octavia]' brings: {}"


def add(commands: options.Commands) -> None:
    """Add this group's commands; nothing that only they need is imported yet."""
    group = options.add_command(
        commands,
        "octavia",
        about="look after the load balancers of the provider of Octavia",
        more="For the machines on which an agent of libra_octavia runs, with its settings: the"
        " inventory is asked, not a node. It must be readable for whoever asks.",
        examples="  libra octavia list\n  libra octavia sync",
    )
    inner = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listing = options.add_command(
        inner,
        "list",
        about="list the load balancers that are known",
        more="Who works on each just now, what waits, its devices and what went wrong last.",
        examples="  libra octavia list\n  libra octavia list --json",
    )
    _finish(listing, "listing", "list_all")
    show = options.add_command(
        inner,
        "show",
        about="show all that is known of a load balancer",
        examples="  libra octavia show 6e2bc8a0-2548-4fb7-a5f0-fb1ef4a696ce",
    )
    show.add_argument("balancer", metavar="LB", help="the load balancer's id")
    _finish(show, "listing", "show_one")
    sync = options.add_command(
        inner,
        "sync",
        about="have load balancers compared with what Octavia has, and served again",
        more="All that are known, or one. It is recorded, and the agents do it one after the other"
        " when nothing else is asked for; `libra octavia list` shows what waits. The agents do it"
        " by themselves whenever they start.",
        examples="  libra octavia sync\n  libra octavia sync 6e2bc8a0-2548-4fb7-a5f0-fb1ef4a696ce",
    )
    sync.add_argument("balancer", metavar="LB", nargs="?", help="one load balancer's id")
    _finish(sync, "syncing", "sync")
    rebuild = options.add_command(
        inner,
        "rebuild",
        about="fill an inventory that was lost from devices, pool manager and Octavia",
        more="Adds what is missing and changes nothing that is known, so it may be done again. Each"
        " load balancer that is found is then served anew; no device is built or deleted.",
        examples="  libra octavia rebuild",
    )
    _finish(rebuild, "rebuilding", "rebuild")
    downgrade = options.add_command(
        inner,
        "downgrade",
        about="give the inventory the form that an older release reads",
        more="With all agents and octavia-api stopped, before that release is installed. What the"
        " older form has no place for is dropped; FORM is in the older release's"
        " docs/operations.md. An agent of this release brings it up to date again.",
        examples="  libra octavia downgrade 0001 --yes",
    )
    downgrade.add_argument("form", metavar="FORM", help="the number of the form")
    downgrade.add_argument(
        "--yes", action="store_true", help="do not ask; needed where no terminal is there"
    )
    _finish(downgrade, "downgrading", "downgrade")


def _finish(parser: argparse.ArgumentParser, module: str, name: str) -> None:
    options.add_config_file(parser)
    options.add_json(parser, "print the result as JSON")
    parser.set_defaults(run=functools.partial(_run, module, name))


def _run(module: str, name: str, asked: argparse.Namespace) -> Exit:
    try:
        found = importlib.import_module(f"{__name__}.{module}")
    except ImportError as error:
        raise SettingsError(_NEEDS.format(error)) from error
    action: Callable[[argparse.Namespace], Exit] = getattr(found, name)
    try:
        return action(asked)
    except OctaviaError as error:
        # An inventory, a pool manager or an Octavia that does not answer.
        output.complain(str(error))
        return Exit.NO_ANSWER
