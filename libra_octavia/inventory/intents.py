"""What Octavia's API asked for and nobody has served yet, in the order of asking.

The API calls the driver before it commits, and deletes show in no tree: so what was asked for is
recorded here, and the agent waits until Octavia's tree shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, case, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from libra_octavia.inventory.database import Database, now
from libra_octavia.inventory.tables import intents, load_balancers, objects


class Kind(StrEnum):
    """A kind of Octavia's objects; the value is also the stem of its id field's name."""

    LOAD_BALANCER = "loadbalancer"
    LISTENER = "listener"
    POOL = "pool"
    MEMBER = "member"
    HEALTH_MONITOR = "healthmonitor"
    L7_POLICY = "l7policy"
    L7_RULE = "l7rule"


class Operation(StrEnum):
    """What is to be done with an object. BATCH is of all members of a pool; its object is that.

    SYNC is of a load balancer as it is, and nobody's who waits for an answer.
    """

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    CASCADE = "cascade"
    BATCH = "batch"
    FAILOVER = "failover"
    SYNC = "sync"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """One call of the API, as the driver records it.

    `load_balancer_id` is None where only the `parent` (kind and id) is known. `changed` holds the
    fields that the call sets and `previous` what an update found in them, as JSON can say them.
    """

    operation: Operation
    kind: Kind
    object_id: str
    load_balancer_id: str | None = None
    parent: tuple[Kind, str] | None = None
    changed: Mapping[str, Any] = field(default_factory=dict)
    previous: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Intent(Wish):
    """A wish that is recorded: `number` is its place, `age` the seconds since it was made."""

    number: int
    age: float


class Intents:
    """The intents of a database. Every method raises InventoryAway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, wish: Wish) -> int:
        """Note a wish and give its number; its load balancer is looked at again from now on.

        An unknown load balancer is found by the parent where that was seen before.
        """
        with self._database.write() as connection:
            owner = wish.load_balancer_id
            if owner is None and wish.parent is not None:
                owner = connection.scalar(
                    select(objects.c.load_balancer_id).where(objects.c.id == wish.parent[1])
                )
            kind, parent = wish.parent or (None, None)
            number = connection.execute(
                insert(intents).values(
                    operation=wish.operation,
                    kind=wish.kind,
                    object_id=wish.object_id,
                    load_balancer_id=owner,
                    parent_kind=kind,
                    parent_id=parent,
                    changed=dict(wish.changed),
                    previous=dict(wish.previous),
                    created=now(),
                )
            ).inserted_primary_key
            if owner is not None:
                _make_due(connection, owner)
            assert number is not None  # noqa: S101 - an insert of one row has one
            return int(number[0])

    def of(self, load_balancer_id: str) -> tuple[Intent, ...]:
        """What is asked of a load balancer, the oldest first."""
        return self._select(intents.c.load_balancer_id == load_balancer_id)

    def homeless(self) -> tuple[Intent, ...]:
        """Those of which only the parent is known, the oldest first."""
        return self._select(intents.c.load_balancer_id.is_(None))

    def settle(self, number: int, load_balancer_id: str) -> None:
        """Say to which load balancer a homeless one belongs."""
        with self._database.write() as connection:
            connection.execute(
                update(intents)
                .where(intents.c.number == number)
                .values(load_balancer_id=load_balancer_id)
            )
            _make_due(connection, load_balancer_id)

    def drop(self, number: int) -> None:
        """Forget a homeless one whose parent there is no more."""
        with self._database.write() as connection:
            connection.execute(
                delete(intents).where(
                    intents.c.number == number, intents.c.load_balancer_id.is_(None)
                )
            )

    def due(self, limit: int) -> Sequence[str]:
        """Load balancers with intents that nobody holds and whose time has come.

        Those go first of which somebody waits for an answer, the oldest of them before others.
        """
        with self._database.read() as connection:
            unasked = func.min(case((intents.c.operation == Operation.SYNC, 1), else_=0))
            oldest = func.min(intents.c.number)
            rows = connection.execute(
                select(intents.c.load_balancer_id)
                .join(load_balancers, load_balancers.c.id == intents.c.load_balancer_id)
                .where(
                    load_balancers.c.not_before <= now(),
                    or_(load_balancers.c.holder.is_(None), load_balancers.c.expires <= now()),
                )
                .group_by(intents.c.load_balancer_id)
                .order_by(unasked, oldest)
                .limit(limit)
            )
            return [row[0] for row in rows]

    def remember(self, load_balancer_id: str, ids: Iterable[str]) -> None:
        """Keep which objects a load balancer has, in the place of those known before."""
        with self._database.write() as connection:
            known = set(
                connection.scalars(
                    select(objects.c.id).where(objects.c.load_balancer_id == load_balancer_id)
                )
            )
            wanted = set(ids)
            if gone := known - wanted:
                connection.execute(delete(objects).where(objects.c.id.in_(gone)))
            if new := wanted - known:
                connection.execute(delete(objects).where(objects.c.id.in_(new)))
                connection.execute(
                    insert(objects),
                    [{"id": one, "load_balancer_id": load_balancer_id} for one in sorted(new)],
                )

    def _select(self, *conditions: Any) -> tuple[Intent, ...]:
        with self._database.read() as connection:
            rows = connection.execute(
                select(intents, (now() - intents.c.created).label("age"))
                .where(*conditions)
                .order_by(intents.c.number)
            )
            return tuple(_intent(row) for row in rows)


def _intent(row: Row[Any]) -> Intent:
    parent = (Kind(row.parent_kind), str(row.parent_id)) if row.parent_kind else None
    return Intent(
        number=row.number,
        operation=Operation(row.operation),
        kind=Kind(row.kind),
        object_id=row.object_id,
        load_balancer_id=row.load_balancer_id,
        parent=parent,
        changed=row.changed,
        previous=row.previous,
        age=float(row.age),
    )


def _make_due(connection: Connection, load_balancer_id: str) -> None:
    """Have a load balancer looked at now, known before or not; what failed before is over."""
    fresh = {"not_before": 0.0, "attempts": 0, "last_error": None}
    found = update(load_balancers).where(load_balancers.c.id == load_balancer_id).values(**fresh)
    if connection.execute(found).rowcount:
        return
    try:
        with connection.begin_nested():
            connection.execute(
                insert(load_balancers).values(
                    id=load_balancer_id, fence=0, holder=None, expires=0.0, **fresh
                )
            )
    except IntegrityError:  # another call was faster
        connection.execute(found)
