"""Devices and addresses for the tests of decisions about them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from libra_pool_mgm.clouds.base import Address, Device, DeviceState, FixedIp, Port

KEY = "eaf1fef0-1584-11e3-b42b-02163e192df9"
NAME = f"libra-stg-haproxy-{KEY}"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def device(name: str = "libra-1", *, age: float = 0.0, **changes: Any) -> Device:
    fields: dict[str, Any] = {
        "id": f"id of {name}",
        "name": name,
        "key": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)),
        "state": DeviceState.ACTIVE,
        "address": "198.51.100.7",
        "image": "image",
        "az": "az",
        "created_at": NOW - timedelta(seconds=age),
        "delivered": False,
    }
    return Device(**(fields | changes))


def address(ip: str = "203.0.113.1", *, age: float = 0.0, **changes: Any) -> Address:
    fields: dict[str, Any] = {
        "id": f"id of {ip}",
        "ip": ip,
        "key": str(uuid.uuid5(uuid.NAMESPACE_DNS, ip)),
        "device": None,
        "created_at": NOW - timedelta(seconds=age),
        "delivered": False,
    }
    return Address(**(fields | changes))


def port(identity: str = "p", *, age: float = 0.0, **changes: Any) -> Port:
    fields: dict[str, Any] = {
        "id": identity,
        "key": f"key of {identity}",
        "device": "libra-1",
        "attached": True,
        "mac": "02:00:00:00:00:01",
        "mtu": 1450,
        "fixed_ips": (FixedIp(ip="198.51.100.9", cidr="198.51.100.0/24", gateway=None),),
        "addresses": (),
        "created_at": NOW - timedelta(seconds=age),
    }
    return Port(**(fields | changes))
