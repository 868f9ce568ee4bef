"""The rows of [octavia] about devices: where they come from, and how they are reached."""

from __future__ import annotations

from libra_common.settings import values
from libra_common.settings.sections import Setting

_OCTAVIA = frozenset({"libra_octavia"})

OCTAVIA_DEVICE_ROWS: tuple[Setting, ...] = (
    Setting(
        section="octavia",
        name="pool_function",
        kind=values.FunctionName(),
        default="libra_pool_mgm",
        help="The gearman function of the pool manager that devices come from.",
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="pool_build_timeout",
        kind=values.Number(minimum=10, maximum=86400),
        default="660",
        unit="seconds",
        help="How long the pool manager may take to build a device: a minute more than it gives.",
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="pool_timeout",
        kind=values.Number(minimum=5, maximum=3600),
        default="120",
        unit="seconds",
        help="How long the pool manager may take for everything else.",
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="ca_dir",
        kind=values.FilePath(),
        default="/var/lib/libra/octavia/ca",
        help=(
            "The folder of the authority that devices and agents trust, made at the first start"
            " where there is none. Agents on several machines need the same one; whoever can read"
            " it can be a controller."
        ),
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="certificate_days",
        kind=values.Number(minimum=1, maximum=3650),
        default="90",
        unit="days",
        help=(
            "How long certificates of devices are good. A device gets a new one when a third of"
            " this is left."
        ),
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="device_port",
        kind=values.Number(minimum=1, maximum=65535),
        default="9443",
        help="The port of devices' API; it stays as it is while there are devices.",
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="device_connect_timeout",
        kind=values.Number(minimum=1, maximum=600),
        default="10",
        unit="seconds",
        help="How long a device may take to accept a connection.",
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="device_timeout",
        kind=values.Number(minimum=1, maximum=3600),
        default="60",
        unit="seconds",
        help="How long a device may take to answer a request, and to show that it is in force.",
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="device_boot_timeout",
        kind=values.Number(minimum=1, maximum=86400),
        default="300",
        unit="seconds",
        help="How long a device that was built may take until its API answers.",
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="vip",
        kind=values.Choice("octavia", "floating"),
        default="octavia",
        help=(
            "Where a load balancer's address comes from: Octavia's own port, which devices carry"
            " by ports beside it, or a floating IP of the pool manager."
        ),
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="ip_vs",
        kind=values.Switch(),
        default="false",
        help=(
            "Whether the kernels of devices have IP_VS, by which keepalived serves UDP and SCTP."
            " Where they have none both are refused when they are asked for. The driver reads"
            " this; what is there already is served whatever it says."
        ),
        daemons=_OCTAVIA,
    ),
    Setting(
        section="octavia",
        name="security_groups",
        kind=values.Several(values.Text(words="name or id"), optional=True),
        default="",
        help=(
            "The security groups of the ports that devices have in the subnets of load balancers"
            " and members, name or id; empty: what the pool manager gives. They must let in what"
            " listeners listen to."
        ),
        daemons=_OCTAVIA,
    ),
)
"""Part of the table."""
