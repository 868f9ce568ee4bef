"""The rows of [mgm:local]: devices and floating IPs on the pool manager's own machine."""

from __future__ import annotations

from libra_common.settings import values
from libra_common.settings.sections import Setting

_POOL = frozenset({"libra_pool_mgm"})
_FOLDER_LIMIT = 60
"""Bytes. A unix socket's path ends at 107, and a device's folder and HAProxy need the rest."""

LOCAL_ROWS: tuple[Setting, ...] = (
    Setting(
        section="mgm:local",
        name="folder",
        kind=values.FilePath(
            max_bytes=_FOLDER_LIMIT, why="the paths of unix sockets must stay below 100 bytes"
        ),
        default="/var/lib/libra/cloud",
        help=(
            "Where everything is kept that is known of the local cloud, and the files of its"
            " devices. The users that devices run as must be able to get in."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm:local",
        name="outer",
        kind=values.Choice("new", "own"),
        default="new",
        help=(
            "The network namespace that devices hang in: a new one, or the pool manager's own, so"
            " that what runs beside it there reaches them, and they it, directly. own puts a bridge"
            " there and switches IPv4 forwarding on."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm:local",
        name="devices",
        kind=values.Network(longest=29),
        default="198.18.0.0/15",
        help=(
            "The range of the devices' own addresses; the first is the outer namespace's. Nobody"
            " outside of it ever sees them."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm:local",
        name="addresses",
        kind=values.Network(longest=30),
        default="203.0.113.0/24",
        help="The range of floating IPs, which may not overlap that of devices.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm:local",
        name="ports",
        kind=values.Network(longest=28),
        default="198.19.0.0/16",
        help=(
            "The range of the addresses of ports (ATTACH_PORT); the first is the outer namespace's."
            " It may be a part of devices beyond its first 1024 addresses."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm:local",
        name="ports_ipv6",
        kind=values.NetworkV6(longest=120),
        default="2001:db8:18::/64",
        help="The same for ports with IPv6 addresses.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm:local",
        name="haproxy",
        kind=values.FilePath(),
        default="/usr/sbin/haproxy",
        help="The HAProxy program of devices.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm:local",
        name="user",
        kind=values.Account(words="name of a user"),
        default="haproxy",
        help=(
            "The user that everything in a device runs as when the pool manager runs as root; else"
            " the pool manager's own."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm:local",
        name="group",
        kind=values.Account(words="name of a group"),
        default="haproxy",
        help="The group to that user.",
        daemons=_POOL,
    ),
)
