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
    Setting(
        section="octavia",
        name="devices",
        kind=values.Text(words="name of a Python module"),
        default="",
        help=(
            "The dotted name of the Python module whose `make_devices` brings the devices that"
            " serve load balancers. The agent does not start without one; the driver needs none."
        ),
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="driver_agent_sockets",
        kind=values.FilePath(),
        default="/var/run/octavia",
        help=(
            "The folder of the sockets status.sock, stats.sock and get.sock of Octavia's"
            " driver-agent. The agent must run as the same user."
        ),
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="pid",
        kind=values.FilePath(),
        default="/run/libra/libra_octavia.pid",
        help="The pid file; its lock lets only one agent run with these settings.",
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="slots",
        kind=values.Number(minimum=1, maximum=256),
        default="16",
        help="How many load balancers are worked on at the same time.",
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="lease",
        kind=values.Number(minimum=5, maximum=3600),
        default="60",
        unit="seconds",
        help=(
            "How long an agent that does not answer any more keeps others from its load"
            " balancers. One that lives renews its leases long before."
        ),
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="commit_timeout",
        kind=values.Number(minimum=1, maximum=3600),
        default="30",
        unit="seconds",
        help=(
            "How long Octavia's API may take from its call of the driver to its commit; what it"
            " shows no trace of by then was rolled back, and is forgotten."
        ),
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="deadline",
        kind=values.Number(minimum=1, maximum=86400),
        default="900",
        unit="seconds",
        help="How long devices may take to do what was asked for, before it is reported as ERROR.",
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="stop_timeout",
        kind=values.Number(minimum=1, maximum=3600),
        default="20",
        unit="seconds",
        help=(
            "How long an agent asked to stop finishes what it is at. Must be less than Octavia's"
            " provider_agent_shutdown_timeout, which is 60 s unless set."
        ),
        daemons=_OCTAVIA,
    ),
)
"""Part of the table."""
