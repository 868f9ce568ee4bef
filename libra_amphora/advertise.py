"""Telling the neighbours where an address is now: gratuitous ARP and unsolicited neighbour
advertisements, as RFC 5227 section 3 and RFC 4861 section 7.2.6 have them.
"""  # noqa: D205 - one sentence

from __future__ import annotations

import ipaddress
import socket
import struct

from libra_amphora.plugged import IPAddress

_BROADCAST = b"\xff" * 6
_ALL_NODES_MAC = bytes.fromhex("333300000001")
_ALL_NODES = ipaddress.IPv6Address("ff02::1").packed
_ARP, _IPV4, _IPV6 = 0x0806, 0x0800, 0x86DD
_ICMPV6 = 58
_SECONDS = 1.0


def announce(*, interface: str, mac: bytes, address: IPAddress) -> None:
    """Say on `interface` that `address` is at `mac`, in the calling thread's namespace.

    Raises OSError.
    """
    if isinstance(address, ipaddress.IPv4Address):
        frames = [(_ARP, frame) for frame in gratuitous_arp(mac, address)]
    else:
        frames = [(_IPV6, neighbour_advertisement(mac, address))]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.settimeout(_SECONDS)
        for protocol, frame in frames:
            sender.bind((interface, protocol))
            sender.send(frame)


def gratuitous_arp(mac: bytes, address: ipaddress.IPv4Address) -> tuple[bytes, bytes]:
    """A request and a reply, both about oneself: there are neighbours that heed only one kind."""

    def frame(operation: int, target: bytes) -> bytes:
        about = mac + address.packed + target + address.packed
        ethernet = _BROADCAST + mac + struct.pack("!H", _ARP)
        return ethernet + struct.pack("!HHBBH", 1, _IPV4, 6, 4, operation) + about

    return frame(1, bytes(6)), frame(2, _BROADCAST)


def neighbour_advertisement(mac: bytes, address: ipaddress.IPv6Address) -> bytes:
    """An advertisement to all nodes, with the override flag, as an Ethernet frame."""
    flags = 0x20000000  # override; neither solicited nor a router
    link_address = struct.pack("!BB", 2, 1) + mac
    message = struct.pack("!BBHI", 136, 0, 0, flags) + address.packed + link_address
    pseudo = address.packed + _ALL_NODES + struct.pack("!II", len(message), _ICMPV6)
    message = message[:2] + struct.pack("!H", checksum(pseudo + message)) + message[4:]
    header = struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, 255)
    ethernet = _ALL_NODES_MAC + mac + struct.pack("!H", _IPV6)
    return ethernet + header + address.packed + _ALL_NODES + message


def checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
