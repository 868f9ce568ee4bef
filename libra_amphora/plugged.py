"""What a controller has plugged into this node, as values, and where that is kept.

What is kept is what was asked for, not what was made of it: after a change of topology the same
request has another `layout`.
"""

from __future__ import annotations

import functools
import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from libra_amphora.network_errors import PlugFailed, PlugsUnreadable
from libra_common import durable

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

SINGLE = "SINGLE"
ACTIVE_STANDBY = "ACTIVE-STANDBY"

SCHEMA = 1
"""The number of the stored form; a higher one is refused, a lower one would be translated."""


@dataclass(frozen=True, kw_only=True)
class HostRoute:
    """A route that the owner of a subnet gave to it."""

    destination: IPNetwork
    nexthop: IPAddress


@dataclass(frozen=True, kw_only=True)
class Home:
    """An address, the subnet it is in, and how to leave that; `gateway` None: there is no way."""

    address: IPAddress
    subnet: IPNetwork
    gateway: IPAddress | None = None
    host_routes: tuple[HostRoute, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """Traffic that an interface lets in: a protocol (TCP, UDP, SCTP, VRRP) from `source`.

    `source` None is everywhere; `port` counts for all but VRRP.
    """

    protocol: str
    source: IPNetwork | None
    port: int


@dataclass(frozen=True, kw_only=True)
class Plug:
    """One interface as a controller wants it; `mtu` in bytes, None leaves it alone.

    `vips` are the load balancer's addresses, the first being the one it was plugged for, and
    `vrrp_ip` the node's own among them; both are empty for an interface towards members, which
    has `fixed_ips`. `allowed` None lets everything in.
    """

    mac: str
    name: str = ""
    mtu: int | None = None
    vips: tuple[Home, ...] = ()
    vrrp_ip: IPAddress | None = None
    fixed_ips: tuple[Home, ...] = ()
    allowed: tuple[Allowed, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Plugged:
    """All interfaces of the node, and the topology that they are laid out for."""

    topology: str = SINGLE
    plugs: tuple[Plug, ...] = ()

    def find(self, mac: str) -> Plug | None:
        """The plug of a hardware address."""
        return next((plug for plug in self.plugs if plug.mac == mac), None)

    def plugs_with(self, plug: Plug) -> tuple[Plug, ...]:
        """The plugs, this one in place of the one that had its hardware address."""
        if self.find(plug.mac) is None:
            return (*self.plugs, plug)
        return tuple(plug if other.mac == plug.mac else other for other in self.plugs)


def vips(plugs: Iterable[Plug]) -> frozenset[IPAddress]:
    """The load balancer's addresses among `plugs`."""
    return frozenset(home.address for plug in plugs for home in plug.vips)


@functools.cache
def _adapter() -> pydantic.TypeAdapter[Plugged]:
    return pydantic.TypeAdapter(Plugged)


def encode(plugged: Plugged) -> bytes:
    """The stored form: JSON with a schema number."""
    body = _adapter().dump_python(plugged, mode="json")
    return (json.dumps({"schema": SCHEMA, "plugged": body}, indent=1) + "\n").encode()


def decode(data: bytes) -> Plugged:
    """Read the stored form. Raises PlugsUnreadable on damage or a newer schema."""
    try:
        stored: Any = json.loads(data)
        if stored["schema"] != SCHEMA:
            raise PlugsUnreadable(
                f"the stored interfaces have schema {stored['schema']!r} and this release"
                f" reads {SCHEMA}"
            )
        return _adapter().validate_python(stored["plugged"])
    except (ValueError, KeyError, TypeError) as error:
        raise PlugsUnreadable(f"the stored interfaces are damaged: {error}") from error


class PlugStore:
    """`interfaces.json` in a directory: written beside, synced, renamed."""

    def __init__(self, *, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "interfaces.json"

    def load(self) -> Plugged:
        """What was stored last; nothing plugged where there is none. Raises PlugsUnreadable."""
        try:
            return decode(self._path.read_bytes())
        except FileNotFoundError:
            return Plugged()
        except OSError as error:
            raise PlugsUnreadable(f"cannot read {self._path}: {error.strerror}") from error

    def save(self, plugged: Plugged) -> None:
        """Store, on disk for sure. Raises PlugFailed; the previous one is kept then."""
        try:
            self._directory.mkdir(mode=0o750, parents=True, exist_ok=True)
            durable.replace(self._path, encode(plugged), mode=0o644)
        except OSError as error:
            raise PlugFailed(f"cannot write {self._path}: {error.strerror}") from error
