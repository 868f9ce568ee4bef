"""The devices of load balancers, and where their certificates are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import delete, insert, select, update

from libra_octavia.inventory.database import Database, now
from libra_octavia.inventory.tables import certificates, devices, ports

BUILDING, READY, LEAVING, FAILED = "building", "ready", "leaving", "failed"
"""The states of a device: on its way to serve, serving, to be taken away after it has served or
without that it ever has."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device: its name in the pool, whose it is, and how far it got.

    `state` is `building`, `ready`, `leaving` or `failed`. `load_balancer_id` is None for one that
    serves nobody. `amphora_id` is its id in heartbeats and the key of the job that builds it; until
    the pool has told its name it is the `name` too. `address` is where its API is.
    """

    name: str
    state: str
    load_balancer_id: str | None = None
    amphora_id: str | None = None
    address: str | None = None


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A certificate that was issued for a device; `reference` is where it and its key are.

    `not_after` is in seconds since 1970.
    """

    serial: str
    device: str
    reference: str
    not_after: float


class Devices:
    """The devices of a database. Every method raises InventoryAway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, device: Device) -> None:
        """Add a device, or bring what is known of it up to date."""
        values = asdict(device)
        with self._database.write() as connection:
            found = update(devices).where(devices.c.name == device.name).values(**values)
            if not connection.execute(found).rowcount:
                connection.execute(insert(devices).values(created=now(), **values))

    def named(self, device: Device, name: str) -> Device:
        """Give a device the name that the pool has told, for all that is known of it."""
        if device.name == name:
            return device
        renamed = replace(device, name=name)
        with self._database.write() as connection:
            there = connection.scalar(select(devices.c.name).where(devices.c.name == name))
            if there is None:
                connection.execute(insert(devices).values(created=now(), **asdict(renamed)))
            for table in (certificates, ports):
                connection.execute(
                    update(table).where(table.c.device == device.name).values(device=name)
                )
            connection.execute(delete(devices).where(devices.c.name == device.name))
        return renamed

    def take_over(self, device: Device) -> None:
        """Have a device serve, and those that did before leave, at one moment."""
        with self._database.write() as connection:
            connection.execute(
                update(devices)
                .where(
                    devices.c.load_balancer_id == device.load_balancer_id,
                    devices.c.name != device.name,
                )
                .values(state=LEAVING)
            )
            connection.execute(
                update(devices).where(devices.c.name == device.name).values(state=READY)
            )

    def of(self, load_balancer_id: str) -> Sequence[Device]:
        """The devices of a load balancer, by name."""
        return self._devices(devices.c.load_balancer_id == load_balancer_id)

    def owners(self, *states: str) -> Sequence[str]:
        """The load balancers that have devices in one of these states."""
        with self._database.read() as connection:
            found = connection.scalars(
                select(devices.c.load_balancer_id).where(devices.c.state.in_(states)).distinct()
            )
            return [str(one) for one in found if one]

    def all(self) -> Sequence[Device]:
        """Every device, by name."""
        return self._devices()

    def remove(self, name: str) -> None:
        """Forget a device with all of it; none of that name is no fault."""
        with self._database.write() as connection:
            connection.execute(delete(ports).where(ports.c.device == name))
            connection.execute(delete(certificates).where(certificates.c.device == name))
            connection.execute(delete(devices).where(devices.c.name == name))

    def issued(self, certificate: Certificate) -> None:
        """Note a certificate that was made for a device of ours."""
        with self._database.write() as connection:
            connection.execute(insert(certificates).values(**asdict(certificate)))

    def certificates(self, name: str) -> Sequence[Certificate]:
        """The certificates of a device, the one that lasts longest first."""
        return self._certificates(certificates.c.device == name)

    def expiring(self, seconds: float) -> Sequence[Certificate]:
        """Those that end within `seconds` where the device has none that lasts longer."""
        found: dict[str, Certificate] = {}
        for one in self._certificates():
            found.setdefault(one.device, one)
        with self._database.read() as connection:
            limit = float(connection.scalar(select(now())) or 0.0) + seconds
        return [one for one in found.values() if one.not_after <= limit]

    def _devices(self, *conditions: Any) -> Sequence[Device]:
        columns = [column for column in devices.c if column.name != "created"]
        with self._database.read() as connection:
            rows = connection.execute(select(*columns).where(*conditions).order_by(devices.c.name))
            return [Device(**row._mapping) for row in rows]

    def _certificates(self, *conditions: Any) -> Sequence[Certificate]:
        with self._database.read() as connection:
            rows = connection.execute(
                select(certificates)
                .where(*conditions)
                .order_by(certificates.c.not_after.desc(), certificates.c.serial)
            )
            return [Certificate(**row._mapping) for row in rows]
