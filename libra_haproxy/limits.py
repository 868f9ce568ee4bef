"""How many connections fit into the open files that a process may have."""

from __future__ import annotations

from libra_haproxy.errors import TooFewFiles
from libra_haproxy.model import Model

FEWEST_CONNECTIONS = 64
"""Below this a load balancer is of no use, and is refused rather than started."""

_OWN_FILES = 128
"""What HAProxy opens for itself: sockets, pollers, pipes of its threads."""

_ROOM = 100
"""Servers are counted in so many at once, so that one that comes or goes changes no limit:
a process cannot change it, so that each would need a reload."""


def connections(model: Model, *, open_files: int, wanted: int) -> int:
    """The `maxconn` that fits: a connection takes two files, a health check one.

    `open_files` is the hard limit (RLIMIT_NOFILE) of the process to be started, `wanted` the most
    that is asked for. Files are left for servers to come where there are enough. Raises
    TooFewFiles where not even `FEWEST_CONNECTIONS` fit: `haproxy -c` would pass and the start
    would fail.
    """
    servers = sum(len(lb.servers) for lb in model.load_balancers)
    roomy = -(-servers // _ROOM) * _ROOM
    fitting = max(
        (open_files - _OWN_FILES - roomy) // 2,
        min(FEWEST_CONNECTIONS, (open_files - _OWN_FILES - servers) // 2),
    )
    if fitting < FEWEST_CONNECTIONS:
        needed = _OWN_FILES + servers + 2 * FEWEST_CONNECTIONS
        raise TooFewFiles(
            f"{servers} nodes need at least {needed} open files and the limit is {open_files}"
        )
    return min(wanted, fitting)
