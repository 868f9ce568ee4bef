"""The kernel's side of a layout, by netlink: what an interface has, and making it have another.

Works in the network namespace of the calling thread; `Namespace.run` chooses that. pyroute2 is
imported where it is used: that takes as long as a fifth of the agent's start, and an agent with
nothing plugged is there without it.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from libra_amphora.layout import RULE_PRIORITY, Interface, Layout, Route, Rule
from libra_amphora.network_errors import PlugFailed
from libra_amphora.plugged import IPAddress, IPNetwork

if TYPE_CHECKING:
    from pyroute2 import IPRoute

LOG = logging.getLogger(__name__)

_UP = 1  # IFF_UP
_NO_DAD = 0x02  # IFA_F_NODAD: Neutron gives an address once, and tentative ones cannot be bound
_GONE = frozenset({errno.ENOENT, errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENODEV})


@dataclass(frozen=True, kw_only=True)
class Link:
    """An interface as the kernel knows it; the counters are bytes since it came up."""

    index: int
    name: str
    mac: str
    mtu: int
    up: bool
    rx_bytes: int
    tx_bytes: int


class Links:
    """The interfaces of one namespace. Every method raises PlugFailed with the kernel's words."""

    def __init__(self, route: IPRoute) -> None:
        self._ip = route

    @classmethod
    @contextmanager
    def here(cls) -> Iterator[Links]:
        """Open those of the calling thread's namespace."""
        from pyroute2 import IPRoute

        with _saying("asking the kernel"), IPRoute() as route:
            yield cls(route)

    def all(self) -> list[Link]:
        """Every interface."""
        return [_link(message) for message in self._ip.get_links()]

    def by_mac(self, mac: str) -> Link | None:
        """The interface with a hardware address.

        A bridge or a VLAN has the address of a port of its own: one that is down, as a port that
        was just added is, comes first, then the older.
        """
        found = [link for link in self.all() if link.mac == mac]
        return min(found, key=lambda link: (link.up, link.index), default=None)

    def by_name(self, name: str) -> Link | None:
        """The interface of that name."""
        return next((link for link in self.all() if link.name == name), None)

    def holder(self, address: IPAddress) -> Link | None:
        """The interface that has `address` now."""
        family = _family(address)
        for message in self._ip.get_addr(family=family):
            if ipaddress.ip_address(_address_of(message)) == address:
                return next((link for link in self.all() if link.index == message["index"]), None)
        return None

    def move(self, link: Link, *, namespace: int, name: str) -> None:
        """Put an interface into another namespace, given as an open file, under a new name."""
        with _saying(f"moving {link.name}"):
            self._ip.link("set", index=link.index, net_ns_fd=namespace, ifname=name)

    def set_up(self, index: int, *, up: bool = True, mtu: int | None = None) -> None:
        """Bring an interface up or down, with an MTU in bytes where one is given."""
        wanted: dict[str, Any] = {"state": "up" if up else "down"}
        if mtu is not None:
            wanted["mtu"] = mtu
        with _saying(f"bringing the interface {wanted['state']}"):
            self._ip.link("set", index=index, **wanted)

    def arrange(self, index: int, *, old: Layout, new: Layout) -> None:
        """Give the interface what `new` has, and take away what only `old` had.

        What others put there (keepalived, the kernel, an operator) stays.
        """
        for rule in set(old.rules) - set(new.rules):
            self._tolerating(_GONE, self._ip.rule, "del", **_rule(rule))
        for route in set(old.routes) - set(new.routes):
            self._tolerating(_GONE, self._ip.route, "del", **_route(index, route))
        for address in set(old.addresses) - set(new.addresses):
            self._tolerating(_GONE, self._ip.addr, "del", **_address(index, address))
        # Asked after the removals: with an address the kernel removes others and their routes.
        present = self.addresses(index)
        for address in new.addresses:
            if address not in present:
                self._add("address", address, self._ip.addr, **_address(index, address))
        for route in new.routes:
            self._add_route(index, route)
        for rule in new.rules:
            self._add("rule", rule.source, self._ip.rule, **_rule(rule))

    def addresses(self, index: int) -> frozenset[Interface]:
        """The addresses of an interface."""
        return frozenset(
            ipaddress.ip_interface(f"{_address_of(message)}/{message['prefixlen']}")
            for message in self._ip.get_addr(index=index)
        )

    def take(self, index: int, address: IPAddress) -> None:
        """Remove an address whatever its prefix; none there is no fault."""
        for found in self.addresses(index):
            if found.ip == address:
                self._tolerating(_GONE, self._ip.addr, "del", **_address(index, found))

    def _add_route(self, index: int, route: Route) -> None:
        what = f"{route.destination} via {route.gateway}" if route.gateway else route.destination
        try:
            self._add("route", what, self._ip.route, **_route(index, route))
        except PlugFailed as error:
            if not route.optional:
                raise
            LOG.warning("a host route of the subnet is left out: %s", error)

    def _add(self, kind: str, what: object, method: Callable[..., Any], **wanted: Any) -> None:
        with _saying(f"adding {kind} {what}"):
            self._tolerating(frozenset({errno.EEXIST}), method, "add", **wanted)

    def _tolerating(
        self, codes: frozenset[int], method: Callable[..., Any], command: str, **wanted: Any
    ) -> None:
        from pyroute2.netlink.exceptions import NetlinkError

        try:
            method(command, **wanted)
        except NetlinkError as error:
            if error.code not in codes:
                raise


@contextmanager
def _saying(what: str) -> Iterator[None]:
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        yield
    except NetlinkError as error:
        raise PlugFailed(f"{what}: {os.strerror(error.code)}") from error


def _link(message: Any) -> Link:
    counters = message.get_attr("IFLA_STATS64") or {}
    return Link(
        index=message["index"],
        name=message.get_attr("IFLA_IFNAME"),
        mac=(message.get_attr("IFLA_ADDRESS") or "").lower(),
        mtu=message.get_attr("IFLA_MTU") or 0,
        up=bool(message["flags"] & _UP),
        rx_bytes=counters.get("rx_bytes", 0),
        tx_bytes=counters.get("tx_bytes", 0),
    )


def _address_of(message: Any) -> str:
    # Of a point-to-point pair IFA_LOCAL is this end; IPv6 knows only IFA_ADDRESS.
    return str(message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS"))


def _address(index: int, address: Interface) -> Mapping[str, Any]:
    wanted = {
        "index": index,
        "family": _family(address.ip),
        "address": str(address.ip),
        "prefixlen": address.network.prefixlen,
    }
    return wanted | ({"flags": _NO_DAD} if address.version == 6 else {})


def _route(index: int, route: Route) -> Mapping[str, Any]:
    wanted: dict[str, Any] = {
        "oif": index,
        "family": _family(route.destination),
        "dst": str(route.destination),
        "table": route.table,
        "proto": "static",
    }
    if route.source is not None:
        wanted["prefsrc"] = str(route.source)
    if route.gateway is not None:
        # A gateway need not be in the subnet: fe80:: ones never are.
        return wanted | {"gateway": str(route.gateway), "flags": ["onlink"]}
    return wanted | ({"scope": "link"} if route.destination.version == 4 else {})


def _rule(rule: Rule) -> Mapping[str, Any]:
    return {
        "family": _family(rule.source),
        "src": str(rule.source.network_address),
        "src_len": rule.source.prefixlen,
        "table": rule.table,
        "priority": RULE_PRIORITY,
    }


def _family(address: IPAddress | IPNetwork) -> int:
    return socket.AF_INET6 if address.version == 6 else socket.AF_INET
