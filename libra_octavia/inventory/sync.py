"""Asks for load balancers to be compared with what Octavia shows, and served again."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import exists, insert, select, update

from libra_octavia.inventory.database import Database, now
from libra_octavia.inventory.intents import Intents, Kind, Operation, Wish
from libra_octavia.inventory.tables import intents, load_balancers


def sync_all(database: Database) -> Sequence[str]:
    """Ask for every load balancer that is known; returns those that it was not asked for already.

    What else is asked for goes before. Raises InventoryAway.
    """
    waits = exists().where(
        intents.c.load_balancer_id == load_balancers.c.id,
        intents.c.operation == Operation.SYNC,
    )
    with database.write() as connection:
        found = list(
            connection.scalars(
                select(load_balancers.c.id).where(~waits).order_by(load_balancers.c.id)
            )
        )
        if found:
            connection.execute(
                insert(intents).values(created=now()),
                [
                    {
                        "operation": Operation.SYNC,
                        "kind": Kind.LOAD_BALANCER,
                        "object_id": name,
                        "load_balancer_id": name,
                        "changed": {},
                        "previous": {},
                    }
                    for name in found
                ],
            )
        connection.execute(update(load_balancers).values(not_before=0.0))
    return found


def sync_one(database: Database, load_balancer_id: str) -> None:
    """Ask for one, known or not; one that Octavia does not have either is forgotten again.

    Raises InventoryAway.
    """
    Intents(database).record(
        Wish(
            operation=Operation.SYNC,
            kind=Kind.LOAD_BALANCER,
            object_id=load_balancer_id,
            load_balancer_id=load_balancer_id,
        )
    )
