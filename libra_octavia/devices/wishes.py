"""What one device has to have for a load balancer: ports, interfaces, a text. Pure."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from libra_octavia.agent.devices import Wanted
from libra_octavia.inventory import Port
from libra_octavia.render import Place, render

_FILE = "# File "
_PEERS_PORT = 1025
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - a floating IP leads to whatever address the device has


@dataclass(frozen=True, kw_only=True)
class PortWish:
    """A port in a subnet (empty: none is named), and the load balancer's addresses it carries."""

    subnet: str
    network: str | None = None
    addresses: tuple[str, ...] = ()


def port_wishes(wanted: Wanted, *, floating: bool = False) -> tuple[PortWish, ...]:
    """Give one port for each subnet: of the load balancer's addresses first, then of members.

    With `floating` addresses need no port: they are led to the device.
    """
    carried: dict[str, list[str]] = {}
    network = wanted.vip.get("vip_network_id")
    if not floating:
        homes = {
            _plain(one.get("ip_address")): str(one.get("subnet_id") or "")
            for one in wanted.vip.get("additional_vips") or ()
        }
        first = str(wanted.vip.get("vip_subnet_id") or "")
        for address in wanted.balancer.addresses:
            carried.setdefault(homes.get(_plain(address), first), []).append(address)
    subnets = {
        member.subnet for pool in wanted.balancer.pools for member in pool.members if member.subnet
    }
    return (
        *(
            PortWish(subnet=subnet, network=network, addresses=tuple(addresses))
            for subnet, addresses in carried.items()
        ),
        *(PortWish(subnet=subnet) for subnet in sorted(subnets - carried.keys())),
    )


def port_key(amphora_id: str, subnet: str) -> str:
    """Give the word by which the pool manager knows a port: the same one each time."""
    return str(uuid.uuid5(uuid.UUID(amphora_id), subnet))


def settled(wishes: Sequence[PortWish], ports: Sequence[Port]) -> bool:
    """Whether the device was seen to have all ports that are wished for, and as they are."""
    there = {port.subnet: port for port in ports}
    return all(
        wish.subnet in there
        and there[wish.subnet].plugged
        and tuple(there[wish.subnet].addresses) == wish.addresses
        for wish in wishes
    )


def plug_body(port: Port) -> dict[str, Any]:
    """Give what a device is told of a port, as POST plug/network takes it.

    An address that is in none of the port's subnets is a network of its own behind the port.
    """
    said = port.port or {}
    homes = [_home(one["ip"], one) for one in said.get("fixed_ips") or [said]]
    body: dict[str, Any] = {"mac_address": said["mac"], "fixed_ips": homes}
    if said.get("mtu"):
        body["mtu"] = said["mtu"]
    if port.addresses:
        first, *others = (_carried(address, homes) for address in port.addresses)
        body["vip_net_info"] = {
            **{name: value for name, value in first.items() if name != "ip_address"},
            "vip": first["ip_address"],
            "additional_vips": others,
        }
    return body


def text_of(
    wanted: Wanted, amphora_id: str, files: Mapping[str, bytes], *, floating: bool = False
) -> str:
    """Give HAProxy's file for a device; empty where nothing listens.

    It ends with the names and digests of its `files`, so that the text is another where one of them
    is, and tells later which there were.
    """
    balancer = wanted.balancer
    if floating:
        balancer = replace(balancer, addresses=(_EVERYWHERE,))
    text = render(balancer, Place(peer=(peer_name(amphora_id), "127.0.0.1", _PEERS_PORT)))
    if not text:
        return text
    return text + "".join(
        f"{_FILE}{name} {hashlib.sha256(files[name]).hexdigest()}\n" for name in sorted(files)
    )


def files_of(text: str) -> frozenset[str]:
    """Give the names of the files that a text was sent with."""
    lines = (line for line in text.splitlines() if line.startswith(_FILE))
    return frozenset(line.removeprefix(_FILE).partition(" ")[0] for line in lines)


def md5(data: bytes) -> str:
    """Give the digest by which the amphora API names texts and files."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def peer_name(amphora_id: str) -> str:
    """Give what a device's HAProxy is called among peers (as Octavia's amphorae are)."""
    digest = hashlib.sha1(amphora_id.encode(), usedforsecurity=False).digest()
    name = base64.b64encode(digest, altchars=b"_-").decode("ascii").rstrip("=")
    return re.sub(r"^-", "x", name)


def _plain(address: object) -> str:
    return str(ipaddress.ip_address(str(address)))


def _home(address: str, one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "ip_address": address,
        "subnet_cidr": one["cidr"],
        "gateway": one.get("gateway"),
        "host_routes": list(one.get("host_routes") or ()),
    }


def _carried(address: str, homes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = ipaddress.ip_address(address)
    of_family = [
        home
        for home in homes
        if ipaddress.ip_network(home["subnet_cidr"], strict=False).version == found.version
    ]
    for home in of_family:
        if found in ipaddress.ip_network(home["subnet_cidr"], strict=False):
            return {**home, "ip_address": address}
    gateway = of_family[0]["gateway"] if of_family else None
    return {
        "ip_address": address,
        "subnet_cidr": str(ipaddress.ip_network(found)),
        "gateway": gateway,
        "host_routes": [],
    }
