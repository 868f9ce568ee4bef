"""Gives each server the number that HAProxy knows it by (`id N`).

The rule: a server that stays keeps its number; a new one gets a number that its backend never
used before. Explicit numbers make HAProxy's parsing of large backends linear, and numbers that
are never reused keep stick tables and counters from meaning another server (manual, 5.2 id).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from libra_haproxy.model import LoadBalancer, Model, Protocol, Server

Numbered = tuple[Model, dict[Protocol, int]]
"""A model whose servers all have a number and a node id, and the next free numbers."""


def assign(
    wanted: Model, *, previous: Model | None, next_numbers: Mapping[Protocol, int]
) -> Numbered:
    """Number `wanted`, keeping what `previous` gave to the same servers.

    The same server is the one with the same node id, or, where the owner gave none, the one at
    the same address and port.
    """
    free = dict(next_numbers)
    known = {lb.protocol: lb for lb in previous.load_balancers} if previous else {}
    numbered = []
    for lb in wanted.load_balancers:
        servers, free[lb.protocol] = _number(lb, known.get(lb.protocol), free.get(lb.protocol, 1))
        numbered.append(replace(lb, servers=servers))
    return Model(load_balancers=tuple(numbered)), free


def _number(
    lb: LoadBalancer, previous: LoadBalancer | None, next_number: int
) -> tuple[tuple[Server, ...], int]:
    """Number the servers of one load balancer; returns them and the next free number."""
    before = previous.servers if previous else ()
    by_id = {str(server.node_id): server for server in before}
    by_place = {(server.address, server.port): server for server in before}
    taken = {str(server.node_id) for server in lb.servers if server.node_id is not None}
    servers = []
    for server in lb.servers:
        node_id = server.node_id
        if node_id is not None:
            old = by_id.get(str(node_id))
        else:
            old = by_place.get((server.address, server.port))
            if old is not None and str(old.node_id) in taken:
                old = None
        number = old.number if old is not None else next_number
        next_number = max(next_number, number + 1)
        if node_id is None:
            node_id = old.node_id if old is not None else _free(number, taken)
            taken.add(str(node_id))
        servers.append(replace(server, node_id=node_id, number=number))
    return tuple(servers), next_number


def _free(start: int, taken: set[str]) -> int:
    """The first number from `start` on that no member is called by."""
    while str(start) in taken:
        start += 1
    return start
