"""The ports of devices, one in each subnet: what they carry, and whether the device has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, select, update

from libra_octavia.inventory.database import Database, now
from libra_octavia.inventory.tables import devices, ports


@dataclass(frozen=True, kw_only=True)
class Port:
    """A device's port in a subnet, which is empty where the load balancer names none.

    `addresses` are those of the load balancer that it carries; `port` is what the pool said of it,
    None while it is not known whether it was attached. `plugged`: the device was seen to have it
    so.
    """

    device: str
    subnet: str
    addresses: Sequence[str] = ()
    port: Mapping[str, Any] | None = field(default=None)
    plugged: bool = False


class Ports:
    """The ports of a database. Every method raises InventoryAway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, device: str) -> Sequence[Port]:
        """All ports of a device, by their subnets."""
        return self._ports(ports.c.device == device)

    def used(self, device: str) -> Sequence[Port]:
        """Those of a device that somebody uses."""
        return self._ports(ports.c.device == device, ports.c.idle_since.is_(None))

    def put(self, port: Port) -> None:
        """Add a port, or bring what is known of it up to date; it is in use from now on."""
        values = asdict(port) | {
            "addresses": list(port.addresses),
            "port": None if port.port is None else dict(port.port),
        }
        with self._database.write() as connection:
            found = update(ports).where(*_is(port)).values(idle_since=None, **values)
            if not connection.execute(found).rowcount:
                connection.execute(insert(ports).values(**values))

    def rest(self, port: Port) -> None:
        """Note that nobody uses a port any more; it stays as idle as it was."""
        with self._database.write() as connection:
            connection.execute(
                update(ports)
                .where(*_is(port), ports.c.idle_since.is_(None))
                .values(idle_since=now())
            )

    def idle(self, seconds: float, *, device: str | None = None) -> Sequence[Port]:
        """Those that nobody has used for so long, of one device or of all."""
        mine = () if device is None else (ports.c.device == device,)
        return self._ports(ports.c.idle_since <= now() - seconds, *mine)

    def owners_of_idle(self, seconds: float) -> Sequence[str]:
        """The load balancers whose devices have such ports."""
        with self._database.read() as connection:
            found = connection.scalars(
                select(devices.c.load_balancer_id)
                .join(ports, ports.c.device == devices.c.name)
                .where(ports.c.idle_since <= now() - seconds)
                .distinct()
            )
            return [str(one) for one in found if one]

    def remove(self, port: Port) -> None:
        """Forget a port; one that is not known is no fault."""
        with self._database.write() as connection:
            connection.execute(delete(ports).where(*_is(port)))

    def _ports(self, *conditions: Any) -> Sequence[Port]:
        columns = [column for column in ports.c if column.name != "idle_since"]
        with self._database.read() as connection:
            rows = connection.execute(
                select(*columns).where(*conditions).order_by(ports.c.device, ports.c.subnet)
            )
            return [Port(**row._mapping) for row in rows]


def _is(port: Port) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return ports.c.device == port.device, ports.c.subnet == port.subnet
