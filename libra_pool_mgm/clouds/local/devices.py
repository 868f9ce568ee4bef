"""The devices of the local cloud: made, seen, delivered, deleted."""

from __future__ import annotations

import os
import re
import uuid
from dataclasses import replace
from datetime import datetime

from libra_common.crash import crash_point
from libra_pool_mgm.clouds.base import Device, DeviceState, DeviceWish
from libra_pool_mgm.clouds.errors import (
    BadRequest,
    BuildFailed,
    CloudTimeout,
    Conflict,
    NotFound,
)
from libra_pool_mgm.clouds.local import network, ranges
from libra_pool_mgm.clouds.local.books import Books, now, told
from libra_pool_mgm.clouds.local.machine import Machine
from libra_pool_mgm.clouds.local.ports import Ports
from libra_pool_mgm.clouds.local.records import DeviceRecord

ONLY = "local"
"""The one image, flavor and network there is."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_SETTLING_SECONDS = 15.0
"""How long a device that nobody seems to build yet counts as being built."""


class Devices:
    """The devices in `books`, on `machine`, with their `ports`; `az` is the one zone."""

    def __init__(self, *, books: Books, machine: Machine, ports: Ports, az: str) -> None:
        self._books = books
        self._machine = machine
        self._ports = ports
        self._az = az

    def create(self, wish: DeviceWish) -> Device:
        """Make a device, or go on with the one of this key and name that an earlier try left.

        Returns when its worker was started, about half a second later. Raises BadRequest for what
        the local cloud does not have, NoCapacity, Conflict where the name belongs to another key,
        BuildFailed when it cannot be started.
        """
        self._refuse_unknown(wish)
        with self._books.locked(), told():
            record = self._books.device_named(wish.name) or self._new_device(wish)
            if record.key != wish.key or record.amphora_id != _amphora_id(wish):
                raise Conflict(f"device {wish.name} is there already, made by another job")
        crash_point("local_recorded")
        # Whoever is at work on it right now goes on; it may be another process.
        with told(), self._books.at_work(record, wait=False) as alone:
            return self._begun(record, wish) if alone else self._seen(record)

    def all(self) -> list[Device]:
        """Every device, the oldest first."""
        with told():
            return [self._seen(record) for record in self._books.devices]

    def find(self, name: str) -> Device | None:
        """The device of that name, None where there is none."""
        with told():
            record = self._books.device_named(name)
            return None if record is None else self._seen(record)

    def mark_delivered(self, device: Device) -> None:
        """Note that this device was answered with PASS. Raises NotFound when it is gone."""
        with self._books.locked(), told():
            record = self._books.device(device.id)
            if record is None or record.deleting:
                raise NotFound(f"device {device.name} is gone")
            if not record.delivered:
                self._books.devices.write(replace(record, delivered=True))

    def delete(self, device: Device) -> None:
        """End a device and all that runs in it; its ports go, its floating IPs stay, nobody's."""
        with self._books.locked(), told():
            record = self._books.device(device.id)
            if record is None:
                return
            self._books.devices.write(replace(record, deleting=True))
        crash_point("local_deleting")
        with told(), self._books.at_work(record, wait=True) as alone:
            if not alone:
                raise CloudTimeout(f"device {device.name} is still being built or deleted")
            if self._books.device(record.id) is None:
                return  # another deletion came first, and its number may be a new device's
            node = self._machine.node(record)
            node.end()
            crash_point("local_ended")
            with self._books.locked():
                with self._machine.opened_outer() as outer:
                    network.unlink(outer, number=record.number)
                    for held in self._books.held_by(record):
                        network.unroute(outer, None, ip=held.ip)
                        self._books.addresses.write(replace(held, device=None))
                    for port in self._books.ports_of(record):
                        self._ports.give_back(outer, port)
                node.erase()
                self._books.devices.remove(record)

    def _begun(self, record: DeviceRecord, wish: DeviceWish) -> Device:
        """Start the device, unless that was done or is not wanted any more; what it is then."""
        with self._books.locked():
            current = self._books.device(record.id)
            if current is None:
                raise BuildFailed(f"device {record.name} was deleted while it was built")
            node = self._machine.node(current)
            if current.up or current.deleting or node.being_built:
                return self._seen(current)
            outer = self._machine.open_outer()
        try:
            node.start(outer, wish.agent)
        finally:
            os.close(outer)
        with self._books.locked():
            # It may be marked as deleting meanwhile, but is there as long as we are at work.
            latest = self._books.device(record.id) or current
            return self._seen(self._books.devices.write(replace(latest, up=True)))

    def _refuse_unknown(self, wish: DeviceWish) -> None:
        """Raise BadRequest for a name that cannot be, or something that is not had here."""
        if not _NAME.fullmatch(wish.name):
            raise BadRequest(f"name {wish.name!r} may have letters, digits, '.', '_' and '-' only")
        for field, only in (("flavor", ONLY), ("image", ONLY), ("network", ONLY), ("az", self._az)):
            value = getattr(wish, field)
            if value not in (None, only):
                raise BadRequest(f"{field} {value!r}: the local cloud has only {only!r}")

    def _new_device(self, wish: DeviceWish) -> DeviceRecord:
        taken = {record.number for record in self._books.devices}
        return self._books.devices.write(
            DeviceRecord(
                number=ranges.free_number(self._machine.settings.devices, taken),
                id=str(uuid.uuid4()),
                name=wish.name,
                key=wish.key,
                created_at=now().isoformat(),
                amphora_id=_amphora_id(wish),
            )
        )

    def _seen(self, record: DeviceRecord) -> Device:
        state, fault = self._state(record)
        return Device(
            id=record.id,
            name=record.name,
            key=record.key,
            state=state,
            address=str(self._machine.node(record).address),
            image=ONLY,
            az=self._az,
            created_at=datetime.fromisoformat(record.created_at),
            delivered=record.delivered,
            fault=fault,
            amphora_id=record.amphora_id,
        )

    def _state(self, record: DeviceRecord) -> tuple[DeviceState, str | None]:
        """What the kernel says of a device's processes, and the record where there are none."""
        node = self._machine.node(record)
        if record.deleting:
            return DeviceState.DELETING, None
        if node.running:
            return DeviceState.ACTIVE, None
        age = (now() - datetime.fromisoformat(record.created_at)).total_seconds()
        if node.being_built or (not record.up and age < _SETTLING_SECONDS):
            return DeviceState.BUILDING, None
        return DeviceState.FAILED, node.last_words()


def _amphora_id(wish: DeviceWish) -> str | None:
    return None if wish.agent is None else wish.agent.amphora_id
