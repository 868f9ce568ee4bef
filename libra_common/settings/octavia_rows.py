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
            "The dotted name of a Python module whose `make_devices` brings the devices that serve"
            " load balancers. Empty: they come from the pool manager."
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
    Setting(
        section="octavia",
        name="heartbeat_bind",
        kind=values.Endpoint(),
        default="0.0.0.0:5556",
        help=(
            "Where the agent listens for the heartbeats of devices, by UDP; not 5555, which is"
            " Octavia's own health manager's. They are received only where heartbeat_key is set."
        ),
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="heartbeat_key",
        kind=values.Text(words="text, any long and random one"),
        default="",
        help=(
            "What heartbeats are signed with; devices are given it when they are built, and all"
            " agents must have the same. Without one devices send no heartbeats, and Octavia"
            " shows neither health nor statistics."
        ),
        secret=True,
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="heartbeat_controllers",
        kind=values.Several(values.Endpoint(default_port=5556), optional=True),
        default="",
        help=(
            "Where devices send their heartbeats, one after the other: every agent as devices"
            " reach it."
        ),
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="heartbeat_silence",
        kind=values.Number(minimum=5, maximum=86400),
        default="60",
        unit="seconds",
        help=(
            "How long a device may be silent until its load balancer's operating status is ERROR;"
            " it sends a heartbeat every 10 s."
        ),
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="report_again",
        kind=values.Number(minimum=10, maximum=86400),
        default="300",
        unit="seconds",
        help=(
            "How often Octavia is told every operating status again, changed or not; changes are"
            " told at once."
        ),
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="controllers",
        kind=values.Number(minimum=1, maximum=256),
        default="1",
        help=(
            "On how many machines an agent or Octavia's API runs. More than one need an inventory"
            " in PostgreSQL, which --check-config then insists on."
        ),
        daemons=_OCTAVIA,
    ),
)
"""Part of the table."""
