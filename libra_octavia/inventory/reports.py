"""What Octavia was told of each load balancer, and who is about to tell it something."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, and_, delete, exists, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from libra_octavia.inventory.database import Database, now
from libra_octavia.inventory.tables import (
    beats,
    devices,
    intents,
    load_balancers,
    objects,
    readings,
    reports,
    totals,
)
from libra_octavia.inventory.totals import Counts, counts_of


@dataclass(frozen=True, kw_only=True)
class Voice:
    """A device that serves: how many seconds ago it was heard, None for never, and its words."""

    amphora_id: str
    ago: float | None = None
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A load balancer with devices, as it is now. Times are seconds before now, None for never.

    `quiet` says that nothing is asked for and nobody works on it. `fence` is the last claim's;
    `served` tells one time that it was served from another. `told_basis` and `told_counts` are what
    Octavia was told last.
    """

    load_balancer_id: str
    quiet: bool
    fence: int = 0
    served: float | None = None
    served_ago: float | None = None
    voices: tuple[Voice, ...] = ()
    counts: Mapping[str, Counts]
    told_ago: float | None = None
    told_basis: str = ""
    told_counts: Mapping[str, Sequence[int]]


class Reports:
    """The reports of a database. Every method raises InventoryAway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def look(self) -> Sequence[Seen]:
        """Every load balancer that a device serves."""
        with self._database.read() as connection:
            voices = _voices(connection)
            counts = _counts(connection)
            rows = connection.execute(
                select(
                    load_balancers.c.id,
                    load_balancers.c.fence,
                    load_balancers.c.served,
                    (now() - load_balancers.c.served).label("served_ago"),
                    _QUIET.label("quiet"),
                    (now() - reports.c.told_at).label("told_ago"),
                    reports.c.basis,
                    reports.c.counts,
                )
                .outerjoin(reports, reports.c.load_balancer_id == load_balancers.c.id)
                .order_by(load_balancers.c.id)
            )
            return [
                Seen(
                    load_balancer_id=row.id,
                    quiet=bool(row.quiet),
                    fence=row.fence,
                    served=row.served,
                    served_ago=row.served_ago,
                    voices=tuple(voices[row.id]),
                    counts=counts.get(row.id, {}),
                    told_ago=row.told_ago,
                    told_basis=row.basis or "",
                    told_counts=row.counts or {},
                )
                for row in rows
                if row.id in voices
            ]

    def claim(self, load_balancer_id: str, *, seconds: float) -> Mapping[str, str] | None:
        """Be the only one who reports on it; returns what was told last, None where one does.

        It ends with `told` or `release`, and by itself after `seconds`.
        """
        mine = reports.c.load_balancer_id == load_balancer_id
        with self._database.write() as connection:
            found = update(reports).where(mine, reports.c.busy_until <= now())
            done = connection.execute(found.values(busy_until=now() + seconds)).rowcount
            if not done and not connection.scalar(select(exists().where(mine))):
                done = _begin(connection, load_balancer_id, seconds)
            if not done:
                return None
            told: Mapping[str, str] = connection.scalar(select(reports.c.told).where(mine)) or {}
            return told

    def is_still(self, seen: Seen) -> bool:
        """Whether nobody has done anything, or was asked to, since it was seen."""
        with self._database.read() as connection:
            row = connection.execute(
                select(load_balancers.c.served, _QUIET.label("quiet")).where(
                    load_balancers.c.id == seen.load_balancer_id
                )
            ).one_or_none()
            return row is not None and bool(row.quiet) and row.served == seen.served

    def told(self, load_balancer_id: str, words: Mapping[str, str], *, basis: str) -> None:
        """Keep the statuses that Octavia has now, and what they follow from."""
        self._note(load_balancer_id, told=dict(words), told_at=now(), basis=basis)

    def counted(self, load_balancer_id: str, counts: Mapping[str, Counts]) -> None:
        """Keep the statistics that Octavia has now."""
        self._note(
            load_balancer_id,
            counts={name: list(asdict(one).values()) for name, one in counts.items()},
        )

    def release(self, load_balancer_ids: Iterable[str]) -> None:
        """Let others report again."""
        with self._database.write() as connection:
            connection.execute(
                update(reports)
                .where(reports.c.load_balancer_id.in_(list(load_balancer_ids)))
                .values(busy_until=0.0)
            )

    def keep_only(self, load_balancer_id: str, listeners: Iterable[str]) -> None:
        """Forget the traffic of listeners that a load balancer has no more."""
        kept = list(listeners)
        with self._database.write() as connection:
            for table in (totals, readings):
                connection.execute(
                    delete(table).where(
                        table.c.load_balancer_id == load_balancer_id,
                        table.c.listener_id.not_in(kept),
                    )
                )

    def _note(self, load_balancer_id: str, **values: Any) -> None:
        with self._database.write() as connection:
            connection.execute(
                update(reports)
                .where(reports.c.load_balancer_id == load_balancer_id)
                .values(**values)
            )


_QUIET = and_(
    ~exists().where(intents.c.load_balancer_id == load_balancers.c.id),
    or_(load_balancers.c.holder.is_(None), load_balancers.c.expires <= now()),
)


def _begin(connection: Connection, load_balancer_id: str, seconds: float) -> int:
    """Make the row of a load balancer that nothing was told of; 0 where another was faster."""
    try:
        with connection.begin_nested():
            connection.execute(
                insert(reports).values(
                    load_balancer_id=load_balancer_id,
                    busy_until=now() + seconds,
                    told={},
                    told_at=0.0,
                    basis="",
                    counts={},
                )
            )
    except IntegrityError:
        return 0
    return 1


def _voices(connection: Connection) -> dict[str, list[Voice]]:
    rows = connection.execute(
        select(
            devices.c.load_balancer_id,
            devices.c.amphora_id,
            (now() - beats.c.heard).label("ago"),
            beats.c.digest,
        )
        .outerjoin(beats, beats.c.amphora_id == devices.c.amphora_id)
        .where(
            devices.c.state == "ready",
            devices.c.load_balancer_id.is_not(None),
            devices.c.amphora_id.is_not(None),
        )
        .order_by(devices.c.amphora_id)
    )
    found: dict[str, list[Voice]] = {}
    for row in rows:
        voice = Voice(amphora_id=row.amphora_id, ago=row.ago, digest=row.digest or "")
        found.setdefault(row.load_balancer_id, []).append(voice)
    return found


def _counts(connection: Connection) -> dict[str, dict[str, Counts]]:
    """The totals of all listeners that Octavia has, by their load balancers."""
    found: dict[str, dict[str, Counts]] = {}
    for row in connection.execute(
        select(totals).join(objects, objects.c.id == totals.c.listener_id)
    ):
        found.setdefault(row.load_balancer_id, {})[row.listener_id] = counts_of(row)
    return found
