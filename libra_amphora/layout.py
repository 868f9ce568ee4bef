"""What an interface has to have for what was plugged: addresses, routes and rules. Pure.

A load balancer's address has a routing table of its own (1), chosen by the source address, so
that answers leave by the way the question came, whatever the other interfaces' routes say. Where
two nodes share the addresses, keepalived brings and takes them together with that table.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from libra_amphora.plugged import ACTIVE_STANDBY, Home, IPAddress, IPNetwork, Plug

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface

MAIN = 254
VIP_TABLE = 1
RULE_PRIORITY = 100


@dataclass(frozen=True, kw_only=True)
class Route:
    """A route by an interface; without a `gateway` its destination is on the link.

    An `optional` one comes from a subnet's owner: where the kernel refuses it, the rest goes on.
    """

    destination: IPNetwork
    gateway: IPAddress | None = None
    source: IPAddress | None = None
    table: int = MAIN
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Packets from `source` look into `table` first."""

    source: IPNetwork
    table: int = VIP_TABLE


@dataclass(frozen=True, kw_only=True)
class Layout:
    """All that one interface has to have. Of two routes to one place in a table the first is."""

    addresses: tuple[Interface, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()


def layout(plug: Plug, topology: str) -> Layout:
    """The layout of a plug where the node stands alone or shares its addresses."""
    shared = topology == ACTIVE_STANDBY
    addresses: list[Interface] = []
    routes: list[Route] = []
    rules: list[Rule] = []
    if plug.vrrp_ip is not None and plug.vips:
        addresses.append(_with_prefix(plug.vrrp_ip, _subnet_of(plug.vrrp_ip, plug.vips)))
    for home in plug.fixed_ips:
        addresses.append(_with_prefix(home.address, home.subnet))
        if plug.vips:
            routes += _default(home)
        routes += _host_routes(home)
    for home in plug.vips:
        if not shared:
            addresses.append(_alone(home.address))
            rules.append(Rule(source=ipaddress.ip_network(home.address)))
            routes += _default(home, table=VIP_TABLE)
            routes.append(Route(destination=home.subnet, source=home.address, table=VIP_TABLE))
            routes += _host_routes(home, table=VIP_TABLE)
            if not any(own.network == home.subnet for own in addresses):
                routes.append(Route(destination=home.subnet, source=home.address))
        routes += _default(home)
        routes += _host_routes(home)
    return Layout(
        addresses=tuple(dict.fromkeys(addresses)),
        routes=_first_of_each(routes),
        rules=tuple(dict.fromkeys(rules)),
    )


def _default(home: Home, *, table: int = MAIN) -> list[Route]:
    if home.gateway is None:
        return []
    everywhere = ipaddress.ip_network("::/0" if home.subnet.version == 6 else "0.0.0.0/0")
    return [Route(destination=everywhere, gateway=home.gateway, table=table)]


def _host_routes(home: Home, *, table: int = MAIN) -> list[Route]:
    return [
        Route(destination=route.destination, gateway=route.nexthop, table=table, optional=True)
        for route in home.host_routes
    ]


def _first_of_each(routes: list[Route]) -> tuple[Route, ...]:
    """The kernel keeps one route to a place in a table; links come before what is behind them."""
    found: dict[tuple[IPNetwork, int], Route] = {}
    for route in sorted(routes, key=lambda route: route.gateway is not None):
        found.setdefault((route.destination, route.table), route)
    return tuple(found.values())


def _subnet_of(address: IPAddress, homes: tuple[Home, ...]) -> IPNetwork:
    for home in homes:
        if address in home.subnet:
            return home.subnet
    return homes[0].subnet


def _with_prefix(address: IPAddress, subnet: IPNetwork) -> Interface:
    return ipaddress.ip_interface(f"{address}/{subnet.prefixlen}")


def _alone(address: IPAddress) -> Interface:
    return ipaddress.ip_interface(address)
