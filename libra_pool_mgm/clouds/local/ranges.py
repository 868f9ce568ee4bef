"""Which number and which address comes next. Pure.

A device is known by a number: the place of its address in the range of devices. The first address
of that range is the outer namespace's own, the devices' gateway; so it is in the ranges of ports.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from libra_pool_mgm.clouds.errors import NoCapacity

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

GATEWAY = 1
"""The place of the outer namespace's own address in the range of devices."""

MOST_DEVICES = 1000
"""A bridge of Linux has 1023 ports at most."""


def gateway(devices: IPv4Network) -> IPv4Address:
    """The outer namespace's address among the devices."""
    return devices[GATEWAY]


def gateway_of_ports(ports: Network) -> Address:
    """The outer namespace's address among the ports of a range."""
    return ports[GATEWAY]


def free_number(devices: IPv4Network, taken: Collection[int]) -> int:
    """The lowest number that no device has. Raises NoCapacity when there is none."""
    last = devices.num_addresses - 2
    number = next((n for n in range(GATEWAY + 1, last + 1) if n not in taken), None)
    if number is None or len(taken) >= MOST_DEVICES:
        raise NoCapacity(f"no room for another device: {len(taken)} are there, all in {devices}")
    return number


def free_address(addresses: Network, taken: Collection[str]) -> str:
    """The lowest address that nobody has. Raises NoCapacity when there is none."""
    usable = map(str, itertools.islice(addresses.hosts(), len(taken) + 1))
    found = next((ip for ip in usable if ip not in taken), None)
    if found is None:
        raise NoCapacity(f"every address of {addresses} is in use")
    return found
