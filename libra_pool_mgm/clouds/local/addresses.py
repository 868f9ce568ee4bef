"""The floating IPs of the local cloud: made, routed to a device, taken away, given back."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from ipaddress import IPv4Network

from libra_common.crash import crash_point
from libra_pool_mgm.clouds.base import Address, Device
from libra_pool_mgm.clouds.errors import Conflict, NotFound
from libra_pool_mgm.clouds.local import network, ranges
from libra_pool_mgm.clouds.local.books import Books, now, told
from libra_pool_mgm.clouds.local.machine import Machine
from libra_pool_mgm.clouds.local.ports import Ports
from libra_pool_mgm.clouds.local.records import AddressRecord, DeviceRecord


class Addresses:
    """The floating IPs in `books`, routed on `machine`; new ones are of the range `of`.

    None of them is routed to a device that is an address of one of the `ports`.
    """

    def __init__(self, *, books: Books, machine: Machine, ports: Ports, of: IPv4Network) -> None:
        self._books = books
        self._machine = machine
        self._ports = ports
        self._range = of

    def create(self, *, key: str) -> Address:
        """A floating IP that nobody holds, the same one again for the same key."""
        with self._books.locked(), told():
            known = self._books.addresses.all()
            record = next((one for one in known if one.key == key), None)
            if record is None:
                record = AddressRecord(
                    ip=ranges.free_address(self._range, {one.ip for one in known}),
                    id=str(uuid.uuid4()),
                    key=key,
                    created_at=now().isoformat(),
                )
                self._books.addresses.write(record)
            return self._shown(record)

    def all(self) -> list[Address]:
        """Every floating IP, the oldest first."""
        with told():
            names = {record.id: record.name for record in self._books.devices}
            return [self._shown(record, names) for record in self._books.addresses]

    def find(self, ip: str) -> Address | None:
        """The floating IP that is `ip`, None where there is none."""
        with told():
            record = self._books.address(ip)
            return None if record is None else self._shown(record)

    def mark_delivered(self, address: Address) -> None:
        """Note that this address was answered with PASS. Raises NotFound when it is gone."""
        with self._books.locked(), told():
            record = self._books.known(address)
            if not record.delivered:
                self._books.addresses.write(replace(record, delivered=True))

    def assign(self, address: Address, device: Device) -> None:
        """Route an address into a device; once more is no fault.

        Raises NotFound, or Conflict where another device holds it or this one does not run.
        """
        with self._books.locked(), told():
            record, holder = self._books.known(address), self._books.device(device.id)
            if holder is None or holder.deleting:
                raise NotFound(f"device {device.name} is gone")
            self._refuse_foreign(record, holder)
            self._ports.refuse_if_led_to(record.ip)
            node = self._machine.node(holder)
            with self._machine.opened_outer() as outer, node.opened() as inside:
                if inside is None:
                    raise Conflict(f"device {device.name} does not run")
                self._books.addresses.write(replace(record, device=holder.id))
                crash_point("local_assigning")
                network.route(outer, inside, ip=record.ip, via=node.address)

    def remove(self, address: Address, device: Device) -> None:
        """Route an address nowhere and keep it; held by nobody is no fault.

        Raises NotFound, or Conflict where another device holds it.
        """
        with self._books.locked(), told():
            record, holder = self._books.known(address), self._books.device(device.id)
            if record.device is None:
                return
            self._refuse_foreign(record, holder)
            self._machine.unroute(record, holder)
            crash_point("local_unrouted")
            self._books.addresses.write(replace(record, device=None))

    def delete(self, address: Address) -> None:
        """Give an address back, taken from whoever holds it; none there is no fault."""
        with self._books.locked(), told():
            record = self._books.address(address.ip)
            if record is None or record.id != address.id:
                return
            if record.device is not None:
                self._machine.unroute(record, self._books.device(record.device))
            self._books.addresses.remove(record)

    def _refuse_foreign(self, record: AddressRecord, device: DeviceRecord | None) -> None:
        """Raise Conflict where another device, one that is still there, holds the address."""
        if record.device is None or (device is not None and record.device == device.id):
            return
        holder = self._books.device(record.device)
        if holder is not None:
            raise Conflict(f"floating IP {record.ip} is held by device {holder.name}")

    def _shown(self, record: AddressRecord, names: Mapping[str, str] | None = None) -> Address:
        """An address as others see it; `names` are the devices' by their ids."""
        if names is None:
            names = {one.id: one.name for one in self._books.devices}
        return Address(
            id=record.id,
            ip=record.ip,
            key=record.key,
            device=names.get(record.device or ""),
            created_at=datetime.fromisoformat(record.created_at),
            delivered=record.delivered,
        )
