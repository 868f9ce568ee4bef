"""What the node serves at one moment, for whoever reports it: heartbeat, details, listeners.

Frozen values without a way back to what they came from. Names and words are HAProxy's and
Octavia's own, so that a reporter translates nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What went through a listener since it came to this node, over all HAProxy processes.

    `connections` is how many there are now; the others only grow.
    """

    bytes_in: int = 0
    bytes_out: int = 0
    connections: int = 0
    total_connections: int = 0
    request_errors: int = 0


@dataclass(frozen=True, kw_only=True)
class Member:
    """A server of a pool; `status` is HAProxy's word: `UP`, `UP 1/2`, `DOWN`, `DRAIN`, `MAINT`...

    A server of weight 0 that is up is `DRAIN`.
    """

    id: str
    status: str


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A pool as one listener uses it; `status` is HAProxy's word for the backend: `UP`, `DOWN`.

    `backend` is its name in the configuration, `<pool>:<listener>` when Octavia wrote it;
    `listener_id` is empty where the name has no listener in it.
    """

    id: str
    listener_id: str
    backend: str
    status: str
    members: tuple[Member, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Listener:
    """A frontend; `status` is HAProxy's word, `OPEN` or `FULL`; `STOP` or empty when not serving.

    `type` is TCP, HTTP, TERMINATED_HTTPS or PROMETHEUS. Listeners that a controller disabled are
    not in its configuration, and so are not here.
    """

    id: str
    loadbalancer_id: str
    type: str
    status: str
    traffic: Traffic = Traffic()


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All of the node's listeners and pools at one moment.

    `complete` is False when a HAProxy that should run did not answer: what it serves is then
    known from its configuration, its statuses are empty. `haproxy_count` counts those that run.
    """

    listeners: tuple[Listener, ...] = ()
    pools: tuple[Pool, ...] = ()
    haproxy_count: int = 0
    complete: bool = True
