"""Floating addresses of load balancers, where Octavia makes no ports (`vip = floating`)."""

from __future__ import annotations

import logging
import uuid
from contextlib import suppress

from libra_common.crash import crash_point
from libra_octavia.devices.pool import NotThere, Pool
from libra_octavia.inventory import Addresses, Device

LOG = logging.getLogger(__name__)

FLOATING = "floating"
"""The value of [octavia] vip by which addresses come from the pool manager."""

_KEYS = uuid.UUID("c3a8e3d6-2a7e-5f2d-9c4d-0f2a5b7e9d31")
"""The namespace of the keys of addresses: each load balancer's is the same each time."""


class Floating:
    """Makes addresses, leads them to devices and gives them back.

    Every method may be called again after any failure; raises DeviceAway, DeviceRefused and
    InventoryAway.
    """

    def __init__(self, *, addresses: Addresses, pool: Pool) -> None:
        self._addresses = addresses
        self._pool = pool

    def make(self, load_balancer_id: str, *, timeout: float | None = None) -> str:
        """Give the address of a load balancer, made where it has none; `timeout` in seconds."""
        there = self._addresses.of(load_balancer_id)
        if there is not None:
            return there
        self._addresses.begin(load_balancer_id)
        crash_point("octavia_address_noted")
        ip = self._pool.build_ip(key(load_balancer_id), timeout=timeout)
        self._addresses.made(load_balancer_id, ip)
        return ip

    def has(self, load_balancer_id: str) -> bool:
        """Whether the load balancer's address is a floating one."""
        return self._addresses.known(load_balancer_id)

    def lead(self, load_balancer_id: str, device: Device) -> None:
        """Have the address lead to a device, which may be so already."""
        ip = self._addresses.of(load_balancer_id)
        if ip is not None and self._addresses.leads_to(load_balancer_id) != device.name:
            before = self._addresses.leads_to(load_balancer_id)
            if before is not None:
                self._take(ip, before)
            self._pool.assign_ip(ip, device.name)
            self._addresses.led(load_balancer_id, device.name)

    def leave(self, load_balancer_id: str, device: Device) -> None:
        """Have the address not lead to a device any more."""
        ip = self._addresses.of(load_balancer_id)
        if ip is not None and self._addresses.leads_to(load_balancer_id) == device.name:
            self._take(ip, device.name)
            self._addresses.led(load_balancer_id, None)

    def give_back(self, load_balancer_id: str) -> None:
        """Give the address of a load balancer back; none is no fault."""
        if not self._addresses.known(load_balancer_id):
            return
        # One that was asked for, and whose answer nobody saw, is told by asking again.
        ip = self._addresses.of(load_balancer_id) or self._pool.build_ip(key(load_balancer_id))
        self._pool.delete_ip(ip)
        self._addresses.remove(load_balancer_id)
        LOG.info("the floating address %s is given back", ip)

    def _take(self, ip: str, name: str) -> None:
        with suppress(NotThere):  # with a device that is gone its addresses are free
            self._pool.remove_ip(ip, name)


def key(load_balancer_id: str) -> str:
    """Give the key of the job that makes a load balancer's address."""
    return str(uuid.uuid5(_KEYS, load_balancer_id))
