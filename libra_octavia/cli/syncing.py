"""libra octavia sync: asks the agents to compare and serve again."""

from __future__ import annotations

import argparse
import json
import uuid

from libra_client.cli import options, output
from libra_client.cli.errors import BadArgument
from libra_client.cli.exits import Exit
from libra_common.jobs import JobError
from libra_common.settings import Settings
from libra_octavia.clients import job_client
from libra_octavia.inventory import Database
from libra_octavia.inventory.sync import sync_all, sync_one
from libra_octavia.waker import FUNCTION


def sync(asked: argparse.Namespace) -> Exit:
    """Record it, for one or for all, and hint the agents."""
    settings = options.settings(asked)
    database = Database(settings.octavia.inventory)
    if asked.balancer is None:
        found = list(sync_all(database))
    else:
        found = [_id(asked.balancer)]
        sync_one(database, found[0])
    hint(settings)
    if options.wants_json(asked):
        output.show_json({"load_balancers": found})
    else:
        output.say(f"{len(found)} load balancer(s) will be compared with Octavia and served again")
    return Exit.OK


def hint(settings: Settings) -> None:
    """Tell the agents that there is something to do; without gearmand they see it before long."""
    try:
        job_client(settings).background(FUNCTION, json.dumps({}).encode(), None, timeout=5.0)
    except JobError as error:
        output.note(f"libra: the agents were not told, and find it by themselves: {error}")


def _id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise BadArgument(f"{output.plain(text)}: is no id of a load balancer") from None
