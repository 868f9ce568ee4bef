"""Puts back what an inventory that was lost had of a device, without harm to what it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, case, insert, select, update
from sqlalchemy.exc import IntegrityError

from libra_octavia.inventory.database import Database, now
from libra_octavia.inventory.devices import READY, Certificate, Device
from libra_octavia.inventory.ports import Port
from libra_octavia.inventory.tables import certificates, devices, load_balancers, ports


@dataclass(frozen=True, kw_only=True)
class Found:
    """A device that serves a load balancer, and what belongs to it.

    `fence` is the highest number that it has seen.
    """

    device: Device
    fence: int
    ports: Sequence[Port] = ()
    certificate: Certificate | None = None


def restore(database: Database, found: Found) -> bool:
    """Add what is missing of a device that serves; False where another serves or it is known.

    The load balancer's fence is never below what the device has seen. Raises InventoryAway.
    """
    device = found.device
    assert device.load_balancer_id is not None  # noqa: S101 - who asks has found it out
    with database.write() as connection:
        _fence(connection, device.load_balancer_id, found.fence)
        there = connection.execute(
            select(devices.c.name).where(
                (devices.c.name == device.name)
                | (devices.c.amphora_id == device.amphora_id)
                | (
                    (devices.c.load_balancer_id == device.load_balancer_id)
                    & (devices.c.state == READY)
                )
            )
        ).first()
        if there is not None:
            return False
        connection.execute(insert(devices).values(created=now(), **asdict(device)))
        for port in found.ports:
            connection.execute(
                insert(ports).values(
                    asdict(port)
                    | {
                        "addresses": list(port.addresses),
                        "port": None if port.port is None else dict(port.port),
                    }
                )
            )
        certificate = found.certificate
        if certificate is not None and not connection.scalar(
            select(certificates.c.serial).where(certificates.c.serial == certificate.serial)
        ):
            connection.execute(insert(certificates).values(**asdict(certificate)))
        return True


def _fence(connection: Connection, load_balancer_id: str, fence: int) -> None:
    """Have the next lease of a load balancer be higher than this."""
    higher = (
        update(load_balancers)
        .where(load_balancers.c.id == load_balancer_id)
        .values(fence=case((load_balancers.c.fence < fence, fence), else_=load_balancers.c.fence))
    )
    if connection.execute(higher).rowcount:
        return
    try:
        with connection.begin_nested():
            connection.execute(
                insert(load_balancers).values(
                    id=load_balancer_id,
                    fence=fence,
                    holder=None,
                    expires=0.0,
                    not_before=0.0,
                    attempts=0,
                    last_error=None,
                )
            )
    except IntegrityError:  # another call was faster
        connection.execute(higher)
