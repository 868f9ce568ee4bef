"""The rows of [octavia]: the provider driver in Octavia's API, and the agent behind it."""

from __future__ import annotations

from libra_common.settings import values
from libra_common.settings.sections import Setting

_OCTAVIA = frozenset({"libra_octavia"})

OCTAVIA_ROWS: tuple[Setting, ...] = (
    Setting(
        section="octavia",
        name="inventory",
        kind=values.Text(words="URL of a database, sqlite or postgresql+psycopg"),
        default="sqlite:////var/lib/libra/octavia/inventory.db",
        help=(
            "Where Libra keeps what Octavia asked for and which devices there are. The driver in"
            " Octavia's API and every agent must name the same one; SQLite serves where all of"
            " them are on one machine."
        ),
        secret=True,
        daemons=_OCTAVIA,
    ),
)
"""Part of the table."""
