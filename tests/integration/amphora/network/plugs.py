"""Plugs of an agent's interfaces, and whether what they bring is reached."""

from __future__ import annotations

import ipaddress
import socket

from libra_amphora.namespace import Namespace
from libra_amphora.plugged import Home, Plug
from tests.integration.amphora.network.conftest import Wire

ADDRESS = ipaddress.ip_address
NETWORK = ipaddress.ip_network

VIP = ADDRESS("203.0.113.2")
VIP6 = ADDRESS("fd00:18::2")
VRRP = ADDRESS("203.0.113.10")
SUBNET = NETWORK("203.0.113.0/24")
SUBNET6 = NETWORK("fd00:18::/64")


def home(
    address: str = str(VIP), subnet: str = str(SUBNET), gateway: str | None = "203.0.113.1"
) -> Home:
    return Home(
        address=ADDRESS(address),
        subnet=NETWORK(subnet),
        gateway=None if gateway is None else ADDRESS(gateway),
    )


def vip_plug(wire: Wire, *more: Home, mtu: int | None = None, vrrp: bool = True) -> Plug:
    return Plug(mac=wire.mac, mtu=mtu, vips=(home(), *more), vrrp_ip=VRRP if vrrp else None)


def reaches(
    namespace: str, source: str, target: str, port: int = 8080, *, seconds: float = 5.0
) -> bool:
    """Whether a TCP connection from `source` in a namespace comes to `target` and back."""

    def connect() -> bool:
        try:
            with socket.create_connection((target, port), seconds, source_address=(source, 0)):
                return True
        except OSError:
            return False

    return Namespace(namespace).run(connect)


def listening(namespace: str, address: str, port: int = 8080) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    def opened() -> socket.socket:
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(16)
        return listener

    return Namespace(namespace).run(opened)
