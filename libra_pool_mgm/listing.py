"""What is answered of devices and ports, as JSON objects. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from libra_pool_mgm.clouds.base import Device, Port

Fields = dict[str, Any]


def devices_shown(devices: Iterable[Device], ports: Sequence[Port]) -> list[Fields]:
    """Every device with its ports, for LIST_DEVICES."""
    of_device: dict[str, list[Fields]] = {}
    for port in ports:
        if port.device is not None:
            of_device.setdefault(port.device, []).append(port_shown(port) | {"key": port.key})
    return [_device_shown(one) | {"ports": of_device.get(one.name, [])} for one in devices]


def port_shown(port: Port) -> Fields:
    """A port, for ATTACH_PORT; what is said of its first address stands beside all of them too."""
    every = [
        asdict(one) | {"host_routes": list(map(asdict, one.host_routes))} for one in port.fixed_ips
    ]
    return {
        "port": port.id,
        "mac": port.mac,
        "mtu": port.mtu,
        **(every[0] if every else {}),
        "fixed_ips": every,
        "addresses": list(port.addresses),
    }


def _device_shown(device: Device) -> Fields:
    shown: Fields = {
        "name": device.name,
        "id": device.id,
        "addr": device.address or "",
        "state": str(device.state),
        "delivered": device.delivered,
        "az": device.az,
        "created_at": device.created_at.isoformat(),
    }
    if device.fault is not None:
        shown["fault"] = device.fault
    return shown | ({"amphora_id": device.amphora_id} if device.amphora_id else {})
