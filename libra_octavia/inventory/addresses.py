"""Floating addresses that were made for load balancers."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, insert, select, update

from libra_octavia.inventory.database import Database, now
from libra_octavia.inventory.tables import addresses, devices, intents


class Addresses:
    """The floating addresses of a database. Every method raises InventoryAway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, load_balancer_id: str) -> None:
        """Note that an address is about to be made for a load balancer; twice is no fault."""
        with self._database.write() as connection:
            here = addresses.c.load_balancer_id == load_balancer_id
            if connection.scalar(select(addresses.c.created).where(here)) is None:
                connection.execute(
                    insert(addresses).values(load_balancer_id=load_balancer_id, created=now())
                )

    def made(self, load_balancer_id: str, ip: str) -> None:
        """Note which one it is."""
        with self._database.write() as connection:
            connection.execute(
                update(addresses)
                .where(addresses.c.load_balancer_id == load_balancer_id)
                .values(ip=ip)
            )

    def led(self, load_balancer_id: str, device: str | None) -> None:
        """Note which device it leads to now, None for none."""
        with self._database.write() as connection:
            connection.execute(
                update(addresses)
                .where(addresses.c.load_balancer_id == load_balancer_id)
                .values(device=device)
            )

    def leads_to(self, load_balancer_id: str) -> str | None:
        """The name of the device that the address leads to."""
        with self._database.read() as connection:
            found: str | None = connection.scalar(
                select(addresses.c.device).where(addresses.c.load_balancer_id == load_balancer_id)
            )
            return found

    def known(self, load_balancer_id: str) -> bool:
        """Whether one was made for it, or may have been."""
        here = addresses.c.load_balancer_id == load_balancer_id
        with self._database.read() as connection:
            return connection.scalar(select(addresses.c.created).where(here)) is not None

    def of(self, load_balancer_id: str) -> str | None:
        """The address of a load balancer, None where it has none or it is not known."""
        with self._database.read() as connection:
            found: str | None = connection.scalar(
                select(addresses.c.ip).where(addresses.c.load_balancer_id == load_balancer_id)
            )
            return found

    def orphans(self, seconds: float) -> Sequence[str]:
        """Load balancers whose address is so old and that have no device and want nothing."""
        with self._database.read() as connection:
            return list(
                connection.scalars(
                    select(addresses.c.load_balancer_id).where(
                        addresses.c.created <= now() - seconds,
                        addresses.c.load_balancer_id.not_in(
                            select(devices.c.load_balancer_id).where(
                                devices.c.load_balancer_id.is_not(None)
                            )
                        ),
                        addresses.c.load_balancer_id.not_in(
                            select(intents.c.load_balancer_id).where(
                                intents.c.load_balancer_id.is_not(None)
                            )
                        ),
                    )
                )
            )

    def remove(self, load_balancer_id: str) -> None:
        """Forget the address of a load balancer; none is no fault."""
        with self._database.write() as connection:
            connection.execute(
                delete(addresses).where(addresses.c.load_balancer_id == load_balancer_id)
            )
