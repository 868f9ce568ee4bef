"""Who works on a load balancer: one at a time, for a limited time, by the database's clock.

Each claim gets the next fencing number. A holder that slept past its lease cannot complete
anything here, and a device refuses its older number.
"""

from __future__ import annotations

import hashlib
import os
import socket
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, exists, or_, select, update

from libra_octavia.errors import LeaseLost
from libra_octavia.inventory.database import Database, now
from libra_octavia.inventory.tables import (
    beats,
    intents,
    load_balancers,
    objects,
    readings,
    reports,
    totals,
)


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to work on a load balancer; `attempts` counts failures in a row before it.

    `troubled` tells whether something was wrong when it was last worked on.
    """

    load_balancer_id: str
    fence: int
    holder: str
    attempts: int
    troubled: bool = True


class Leases:
    """The leases of a database; each lasts `seconds` unless renewed. Raises InventoryAway."""

    def __init__(self, database: Database, *, seconds: float) -> None:
        self._database = database
        self._seconds = seconds
        self._place = _place()

    @property
    def seconds(self) -> float:
        """How long a lease lasts unless it is renewed."""
        return self._seconds

    def claim(self, load_balancer_id: str, *, early: bool = False) -> Lease | None:
        """Take a load balancer that is known, due and held by nobody; None where that is not so.

        With `early` its time need not have come.
        """
        # Unique even within a process, so that two threads never take themselves for one.
        holder = f"{self._place}:{os.getpid()}:{uuid.uuid4().hex}"
        row = load_balancers.c
        conditions = [
            row.id == load_balancer_id,
            or_(row.holder.is_(None), row.expires <= now()),
        ]
        if not early:
            conditions.append(row.not_before <= now())
        with self._database.write() as connection:
            connection.execute(
                update(load_balancers)
                .where(*conditions)
                .values(holder=holder, fence=row.fence + 1, expires=now() + self._seconds)
            )
            taken = connection.execute(
                select(row.fence, row.attempts, row.last_error).where(
                    row.id == load_balancer_id, row.holder == holder
                )
            ).one_or_none()
        if taken is None:
            return None
        return Lease(
            load_balancer_id=load_balancer_id,
            fence=taken.fence,
            holder=holder,
            attempts=taken.attempts,
            troubled=taken.last_error is not None,
        )

    def release_dead(self) -> int:
        """Let go of what processes of this machine held that are dead; returns how many it was.

        Those of other machines, and of another life of this one, are waited for until they run out.
        """
        with self._database.read() as connection:
            held = connection.scalars(
                select(load_balancers.c.holder).where(
                    load_balancers.c.holder.startswith(f"{self._place}:", autoescape=True)
                )
            ).all()
        dead = [holder for holder in held if holder and not _is_alive(int(holder.split(":")[1]))]
        if dead:
            with self._database.write() as connection:
                connection.execute(
                    update(load_balancers)
                    .where(load_balancers.c.holder.in_(dead))
                    .values(holder=None, not_before=0.0)
                )
        return len(dead)

    def renew(self, lease: Lease) -> None:
        """Keep it for another while. Raises LeaseLost where somebody else took it meanwhile."""
        with self._database.write() as connection:
            # One that ran out and that nobody took is still ours: nothing happened in between.
            self._held(connection, lease, expires=now() + self._seconds)

    def release(self, lease: Lease) -> None:
        """Let it go as it was found. Raises LeaseLost."""
        with self._database.write() as connection:
            self._held(connection, lease, holder=None)

    def outdated(self, load_balancer_id: str, fence: int) -> bool:
        """Whether somebody has claimed the load balancer with a higher fence than this."""
        with self._database.read() as connection:
            found = connection.scalar(
                select(load_balancers.c.fence).where(load_balancers.c.id == load_balancer_id)
            )
        return found is not None and int(found) > fence

    def complete(
        self,
        lease: Lease,
        numbers: Iterable[int],
        *,
        error: str | None = None,
        worded: Collection[str] = (),
    ) -> None:
        """Forget intents that are served, and let the load balancer go.

        An `error` is kept for people: why what was asked for could not be done. Of the `worded`
        objects Octavia was told how they work, which may differ from what it was told before by
        what devices say. Raises LeaseLost.
        """
        with self._database.write() as connection:
            self._held(
                connection,
                lease,
                holder=None,
                attempts=0,
                last_error=error,
                not_before=0.0,
                served=now(),
            )
            self._forget(connection, lease, numbers)
            if worded:
                self._unsay(connection, lease, worded)

    def postpone(
        self,
        lease: Lease,
        seconds: float,
        *,
        seen: int,
        error: str | None = None,
        done: Iterable[int] = (),
    ) -> None:
        """Let it go, to be looked at again after `seconds`; an `error` counts as an attempt.

        `seen` is the highest number of the intents that were known: what was asked for since then
        is not delayed. Raises LeaseLost.
        """
        mine = intents.c.load_balancer_id == lease.load_balancer_id
        with self._database.write() as connection:
            newer = connection.scalar(select(exists().where(mine, intents.c.number > seen)))
            self._held(
                connection,
                lease,
                holder=None,
                attempts=lease.attempts + (error is not None),
                last_error=error,
                not_before=0.0 if newer else now() + seconds,
            )
            self._forget(connection, lease, done)

    def forget(self, lease: Lease) -> None:
        """Erase a load balancer that is deleted, with all that is known of it. Raises LeaseLost."""
        with self._database.write() as connection:
            self._held(connection, lease, holder=None)
            gone = lease.load_balancer_id
            for table in (intents, objects, totals, beats, readings, reports):
                connection.execute(delete(table).where(table.c.load_balancer_id == gone))
            connection.execute(delete(load_balancers).where(load_balancers.c.id == gone))

    @staticmethod
    def _held(connection: Connection, lease: Lease, **changed: object) -> None:
        done = connection.execute(
            update(load_balancers)
            .where(
                load_balancers.c.id == lease.load_balancer_id,
                load_balancers.c.holder == lease.holder,
                load_balancers.c.fence == lease.fence,
            )
            .values(**changed)
        )
        if not done.rowcount:
            raise LeaseLost(
                f"load balancer {lease.load_balancer_id}: the lease with fence {lease.fence} was"
                " taken by another"
            )

    @staticmethod
    def _unsay(connection: Connection, lease: Lease, worded: Collection[str]) -> None:
        mine = reports.c.load_balancer_id == lease.load_balancer_id
        told = connection.scalar(select(reports.c.told).where(mine)) or {}
        kept = {name: word for name, word in told.items() if name not in worded}
        if len(kept) < len(told):
            connection.execute(update(reports).where(mine).values(told=kept))

    @staticmethod
    def _forget(connection: Connection, lease: Lease, numbers: Iterable[int]) -> None:
        done = sorted(numbers)
        if done:
            connection.execute(
                delete(intents).where(
                    intents.c.load_balancer_id == lease.load_balancer_id,
                    intents.c.number.in_(done),
                )
            )


def _place() -> str:
    """Where a process id means one process: this machine, since it was started, in a namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    namespace = Path("/proc/self/ns/pid").readlink()
    words = f"{socket.gethostname()} {boot} {namespace}"
    return hashlib.sha256(words.encode()).hexdigest()[:32]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
