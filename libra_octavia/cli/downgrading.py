"""libra octavia downgrade: the inventory as an older release reads it."""

from __future__ import annotations

import argparse

from libra_client.cli import options, output
from libra_client.cli.changes import confirm
from libra_client.cli.exits import Exit
from libra_common.errors import SettingsError
from libra_common.pidfile import is_held
from libra_octavia.inventory import Database
from libra_octavia.inventory.migrate import form, take_back


def downgrade(asked: argparse.Namespace) -> Exit:
    """Do it, unless an agent runs that would bring the tables up to date again."""
    settings = options.settings(asked)
    if is_held(settings.octavia.pid):
        raise SettingsError("an agent of this inventory runs here: stop it, and octavia-api, first")
    database = Database(settings.octavia.inventory)
    before = form(database)
    if not asked.yes:
        confirm(
            "what only the newer form can hold is lost",
            f"Take the inventory back from form {before or 'none'} to {output.plain(asked.form)}?",
        )
    take_back(database, asked.form)
    if options.wants_json(asked):
        output.show_json({"before": before, "form": asked.form})
    else:
        output.say(f"the inventory has the form {asked.form}; before, it had {before}")
    return Exit.OK
