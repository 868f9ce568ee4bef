"""The local cloud: devices and floating IPs on this machine, as `clouds.base.Cloud` asks for."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path

from libra_common.crash import crash_point
from libra_pool_mgm.clouds.base import Address, Device, DeviceState, DeviceWish
from libra_pool_mgm.clouds.errors import (
    BadRequest,
    BuildFailed,
    CloudTimeout,
    CloudUnavailable,
    Conflict,
    NotFound,
)
from libra_pool_mgm.clouds.local import needs, network, ranges
from libra_pool_mgm.clouds.local.node import Node, NodeSettings
from libra_pool_mgm.clouds.local.outer import Outer
from libra_pool_mgm.clouds.local.records import AddressRecord, DeviceRecord, Records

ONLY = "local"
"""The one image, flavor and network there is."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_SETTLING_SECONDS = 15.0
"""How long a device that nobody seems to build yet counts as being built."""


class LocalCloud:
    """Devices as network namespaces; everything that is known of them is in `folder`.

    `addresses` is the range of floating IPs; `settings` hold the range of devices and what they
    run; `az` is the one zone. `deadline` is in seconds, for the cloud's lock. Several processes
    may use one folder.
    """

    def __init__(
        self,
        *,
        folder: Path,
        addresses: IPv4Network,
        settings: NodeSettings,
        az: str = ONLY,
        deadline: float = 30.0,
    ) -> None:
        self._folder = folder
        self._addresses_range = addresses
        self._settings = settings
        self._az = az
        self._deadline = deadline
        self._devices = Records(folder=folder / "devices", kind=DeviceRecord)
        self._addresses = Records(folder=folder / "addresses", kind=AddressRecord)
        self.outer = Outer(folder=folder, devices=settings.devices)

    def check(self) -> None:
        """Prove that devices can be made here: rights, kernel, programs, user, folder.

        Raises Unauthorized, CloudUnavailable or BadRequest, each naming what is missing.
        """
        needs.prove(changes_user=self._settings.account.changes)
        self._settings.account.prove(self._settings.haproxy)
        with self._locked():
            for records in (self._devices, self._addresses):
                records.all()

    def close(self) -> None:
        """Nothing is held; devices live on."""

    # -- devices ---------------------------------------------------------------------------

    def create_device(self, wish: DeviceWish) -> Device:
        """Make a device, or go on with the one of this key and name that an earlier try left.

        Returns when its worker was started, about half a second later. Raises BadRequest for what
        the local cloud does not have, NoCapacity, Conflict where the name belongs to another key,
        BuildFailed when it cannot be started.
        """
        self._refuse_unknown(wish)
        with self._locked(), _told():
            record = self._device_named(wish.name) or self._new_device(wish)
            if record.key != wish.key:
                raise Conflict(f"device {wish.name} is there already, made by another job")
            node = self._node(record)
            if record.up or record.deleting or node.being_built:
                return self._seen(record)
            crash_point("local_recorded")
            outer = self._open_outer()
        try:
            with _told():
                node.start(outer)
        finally:
            os.close(outer)
        with self._locked(), _told():
            current = self._device(record.id)
            if current is None:  # deleted meanwhile
                raise BuildFailed(f"device {wish.name} was deleted while it was built")
            return self._seen(self._devices.write(replace(current, up=True)))

    def devices(self) -> list[Device]:
        """Every device, the oldest first."""
        with _told():
            return [self._seen(record) for record in self._devices]

    def find_device(self, name: str) -> Device | None:
        """The device of that name, None where there is none."""
        with _told():
            record = self._device_named(name)
            return None if record is None else self._seen(record)

    def mark_delivered(self, device: Device) -> None:
        """Note that this device was answered with PASS. Raises NotFound when it is gone."""
        with self._locked(), _told():
            record = self._device(device.id)
            if record is None or record.deleting:
                raise NotFound(f"device {device.name} is gone")
            if not record.delivered:
                self._devices.write(replace(record, delivered=True))

    def delete_device(self, device: Device) -> None:
        """End a device and all that runs in it; its floating IPs stay, held by nobody."""
        with self._locked(), _told():
            record = self._device(device.id)
            if record is None:
                return
            self._devices.write(replace(record, deleting=True))
        crash_point("local_deleting")
        node = self._node(record)
        with _told():
            node.end()
        crash_point("local_ended")
        with self._locked(), _told():
            with self._opened_outer() as outer:
                network.unlink(outer, number=record.number)
                for held in self._held_by(record):
                    network.unroute(outer, None, ip=held.ip)
                    self._addresses.write(replace(held, device=None))
            node.erase()
            self._devices.remove(record)

    # -- floating IPs ----------------------------------------------------------------------

    def create_address(self, *, key: str) -> Address:
        """A floating IP that nobody holds, the same one again for the same key."""
        with self._locked(), _told():
            known = self._addresses.all()
            record = next((one for one in known if one.key == key), None)
            if record is None:
                record = AddressRecord(
                    ip=ranges.free_address(self._addresses_range, {one.ip for one in known}),
                    id=str(uuid.uuid4()),
                    key=key,
                    created_at=_now().isoformat(),
                )
                self._addresses.write(record)
            return self._shown(record)

    def addresses(self) -> list[Address]:
        """Every floating IP, the oldest first."""
        with _told():
            return [self._shown(record) for record in self._addresses]

    def find_address(self, ip: str) -> Address | None:
        """The floating IP that is `ip`, None where there is none."""
        with _told():
            record = self._address(ip)
            return None if record is None else self._shown(record)

    def mark_address_delivered(self, address: Address) -> None:
        """Note that this address was answered with PASS. Raises NotFound when it is gone."""
        with self._locked(), _told():
            record = self._known(address)
            if not record.delivered:
                self._addresses.write(replace(record, delivered=True))

    def assign_address(self, address: Address, device: Device) -> None:
        """Route an address into a device; once more is no fault.

        Raises NotFound, or Conflict where another device holds it or this one does not run.
        """
        with self._locked(), _told():
            record, holder = self._known(address), self._device(device.id)
            if holder is None or holder.deleting:
                raise NotFound(f"device {device.name} is gone")
            self._refuse_foreign(record, holder)
            node = self._node(holder)
            with self._opened_outer() as outer, node.opened() as inside:
                if inside is None:
                    raise Conflict(f"device {device.name} does not run")
                self._addresses.write(replace(record, device=holder.id))
                crash_point("local_assigning")
                network.route(outer, inside, ip=record.ip, via=node.address)

    def remove_address(self, address: Address, device: Device) -> None:
        """Route an address nowhere and keep it; held by nobody is no fault.

        Raises NotFound, or Conflict where another device holds it.
        """
        with self._locked(), _told():
            record, holder = self._known(address), self._device(device.id)
            if record.device is None:
                return
            self._refuse_foreign(record, holder)
            self._unroute(record, holder)
            crash_point("local_unrouted")
            self._addresses.write(replace(record, device=None))

    def delete_address(self, address: Address) -> None:
        """Give an address back, taken from whoever holds it; none there is no fault."""
        with self._locked(), _told():
            record = self._address(address.ip)
            if record is None or record.id != address.id:
                return
            if record.device is not None:
                self._unroute(record, self._device(record.device))
            self._addresses.remove(record)

    # -- the end ---------------------------------------------------------------------------

    def remove_everything(self) -> None:
        """End every device, give back every floating IP, and end the outer namespace.

        Raises CloudTimeout where something does not end. What is left of `folder` is its locks.
        """
        for device in self.devices():
            self.delete_device(device)
        for address in self.addresses():
            self.delete_address(address)
        if not self.outer.end():
            raise CloudTimeout("the outer namespace's holder does not end")

    # -- records ---------------------------------------------------------------------------

    def _refuse_unknown(self, wish: DeviceWish) -> None:
        """Raise BadRequest for a name that cannot be, or something that is not had here."""
        if not _NAME.fullmatch(wish.name):
            raise BadRequest(f"name {wish.name!r} may have letters, digits, '.', '_' and '-' only")
        for field, only in (("flavor", ONLY), ("image", ONLY), ("network", ONLY), ("az", self._az)):
            value = getattr(wish, field)
            if value not in (None, only):
                raise BadRequest(f"{field} {value!r}: the local cloud has only {only!r}")

    def _new_device(self, wish: DeviceWish) -> DeviceRecord:
        taken = {record.number for record in self._devices}
        return self._devices.write(
            DeviceRecord(
                number=ranges.free_number(self._settings.devices, taken),
                id=str(uuid.uuid4()),
                name=wish.name,
                key=wish.key,
                created_at=_now().isoformat(),
            )
        )

    def _device_named(self, name: str) -> DeviceRecord | None:
        return next((record for record in self._devices if record.name == name), None)

    def _device(self, identity: str) -> DeviceRecord | None:
        return next((record for record in self._devices if record.id == identity), None)

    def _address(self, ip: str) -> AddressRecord | None:
        return next((record for record in self._addresses if record.ip == ip), None)

    def _known(self, address: Address) -> AddressRecord:
        record = self._address(address.ip)
        if record is None or record.id != address.id:
            raise NotFound(f"floating IP {address.ip} is gone")
        return record

    def _held_by(self, device: DeviceRecord) -> list[AddressRecord]:
        return [record for record in self._addresses if record.device == device.id]

    def _refuse_foreign(self, record: AddressRecord, device: DeviceRecord | None) -> None:
        """Raise Conflict where another device, one that is still there, holds the address."""
        if record.device is None or (device is not None and record.device == device.id):
            return
        holder = self._device(record.device)
        if holder is not None:
            raise Conflict(f"floating IP {record.ip} is held by device {holder.name}")

    def _seen(self, record: DeviceRecord) -> Device:
        state, fault = self._state(record)
        return Device(
            id=record.id,
            name=record.name,
            key=record.key,
            state=state,
            address=str(self._node(record).address),
            image=ONLY,
            az=self._az,
            created_at=datetime.fromisoformat(record.created_at),
            delivered=record.delivered,
            fault=fault,
        )

    def _state(self, record: DeviceRecord) -> tuple[DeviceState, str | None]:
        """What the kernel says of a device's processes, and the record where there are none."""
        node = self._node(record)
        if record.deleting:
            return DeviceState.DELETING, None
        if node.running:
            return DeviceState.ACTIVE, None
        age = (_now() - datetime.fromisoformat(record.created_at)).total_seconds()
        if node.being_built or (not record.up and age < _SETTLING_SECONDS):
            return DeviceState.BUILDING, None
        return DeviceState.FAILED, node.last_words()

    def _shown(self, record: AddressRecord) -> Address:
        holder = None if record.device is None else self._device(record.device)
        return Address(
            id=record.id,
            ip=record.ip,
            key=record.key,
            device=None if holder is None else holder.name,
            created_at=datetime.fromisoformat(record.created_at),
            delivered=record.delivered,
        )

    # -- processes and routes --------------------------------------------------------------

    def _node(self, record: DeviceRecord) -> Node:
        return Node(
            number=record.number,
            name=record.name,
            folder=self._folder / "d" / str(record.number),
            settings=self._settings,
        )

    def _unroute(self, record: AddressRecord, device: DeviceRecord | None) -> None:
        with contextlib.ExitStack() as stack:
            outer = stack.enter_context(self._opened_outer())
            inside = None
            if device is not None:
                inside = stack.enter_context(self._node(device).opened())
            network.unroute(outer, inside, ip=record.ip)

    def _open_outer(self) -> int:
        return self.outer.open(self._node(record).lock for record in self._devices)

    @contextlib.contextmanager
    def _opened_outer(self) -> Iterator[int]:
        outer = self._open_outer()
        try:
            yield outer
        finally:
            os.close(outer)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Be the only one, of all threads and processes, who changes records and routes."""
        try:
            self._folder.mkdir(mode=0o711, parents=True, exist_ok=True)
            lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BadRequest(
                f"[mgm:local] folder: {self._folder} cannot be used: {error.strerror}"
            ) from error
        try:
            _lock(lock, deadline=time.monotonic() + self._deadline)
            yield
        finally:
            os.close(lock)


def _lock(descriptor: int, *, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise CloudTimeout("the local cloud is busy with something that hangs") from None
            time.sleep(0.005)
        else:
            return


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn the kernel's errors into the cloud's."""
    try:
        yield
    except OSError as error:
        raise CloudUnavailable(f"the local cloud failed: {error}") from error


def _now() -> datetime:
    return datetime.now(UTC)
