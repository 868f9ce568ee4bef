"""How servers are, and how busy frontends, for a load balancer's owner. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from libra_haproxy.model import Model, Protocol
from libra_haproxy.readings import Activity


@dataclass(frozen=True, kw_only=True)
class ServerStatus:
    """One server as its owner is told of it; `status` is UP, DOWN, MAINT, DRAIN or NOLB."""

    node_id: int | str
    address: str
    port: int
    status: str


def server_statuses(model: Model, found: Activity, *, suspended: bool) -> list[ServerStatus]:
    """Every server of a model, by what HAProxy has told."""

    def status(backend: str, name: str) -> str:
        # A suspended load balancer has no rows: HAProxy knows only that it is disabled.
        return "MAINT" if suspended else _word(found.servers.get((backend, name), "DOWN"))

    return [
        ServerStatus(
            node_id="" if server.node_id is None else server.node_id,
            address=server.address,
            port=server.port,
            status=status(lb.backend, server.name),
        )
        for lb in model.load_balancers
        for server in lb.servers
    ]


def rates(model: Model, found: Activity) -> Mapping[Protocol, int]:
    """The requests of the last second to each load balancer, by what HAProxy has told."""
    return {lb.protocol: found.rates.get(lb.frontend, 0) for lb in model.load_balancers}


def _word(status: str) -> str:
    """HAProxy's status in one word: `UP 1/2` is up still, `MAINT (via ...)` is maintenance."""
    if status == "no check":
        return "UP"
    return status.split(" ", 1)[0]
