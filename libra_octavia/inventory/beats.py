"""Heartbeats in the inventory: the last one of each device, and the traffic that all have told.

What is stored here is all that it takes to go on after a restart, or with another agent: devices
send to one agent after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from sqlalchemy import Connection, delete, func, insert, select, update

from libra_octavia.health.counting import added
from libra_octavia.health.message import Beat
from libra_octavia.health.order import Place, is_newer
from libra_octavia.inventory.database import Database, now
from libra_octavia.inventory.tables import (
    beats,
    devices,
    load_balancers,
    readings,
    reports,
    totals,
)
from libra_octavia.inventory.totals import Counts, add, counts_of


class Taken(StrEnum):
    """What became of a heartbeat."""

    STORED = "stored"
    OLD = "old"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A heartbeat that came `ago` seconds ago."""

    beat: Beat
    ago: float = 0.0


class Beats:
    """The heartbeats of a database. Every method raises InventoryAway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, heard: Sequence[Heard]) -> list[Taken]:
        """Store heartbeats in their order, all or none of them; returns what became of each.

        An old one, and one of a device that is not known, changes nothing.
        """
        names = sorted({one.beat.amphora_id for one in heard})
        with self._database.write() as connection:
            owners = _owners(connection, names)
            places = _locked(connection, [name for name in names if name in owners])
            done, news = [], dict[str, dict[str, Counts]]()
            for one in heard:
                name = one.beat.amphora_id
                if name not in owners:
                    done.append(Taken.UNKNOWN)
                elif not is_newer(one.beat.place, places.get(name)):
                    done.append(Taken.OLD)
                else:
                    _store(connection, one, owners[name], known=name in places)
                    _count(connection, one.beat, owners[name], news.setdefault(owners[name], {}))
                    places[name] = one.beat.place
                    done.append(Taken.STORED)
            for owner in sorted(news):
                add(connection, owner, _with_active(connection, owner, news[owner]))
            return done

    def words(self, amphora_ids: Iterable[str]) -> Mapping[str, str]:
        """The words of devices, by their ids in heartbeats."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(beats.c.amphora_id, beats.c.words).where(
                    beats.c.amphora_id.in_(list(amphora_ids))
                )
            )
            return {row.amphora_id: row.words for row in rows}

    def tidy(self) -> int:
        """Forget devices and load balancers that are gone; returns how many devices it was.

        Totals stay for as long as their load balancer.
        """
        there = select(devices.c.amphora_id).where(devices.c.amphora_id.is_not(None))
        balancers = select(load_balancers.c.id)
        with self._database.write() as connection:
            gone = connection.execute(delete(beats).where(beats.c.amphora_id.not_in(there)))
            connection.execute(delete(readings).where(readings.c.amphora_id.not_in(there)))
            for table in (reports, totals):
                connection.execute(delete(table).where(table.c.load_balancer_id.not_in(balancers)))
            return int(gone.rowcount)


def _owners(connection: Connection, names: Sequence[str]) -> dict[str, str]:
    """The load balancers of devices, by the devices' ids in heartbeats."""
    rows = connection.execute(
        select(devices.c.amphora_id, devices.c.load_balancer_id).where(
            devices.c.amphora_id.in_(names), devices.c.load_balancer_id.is_not(None)
        )
    )
    return {row.amphora_id: row.load_balancer_id for row in rows}


def _locked(connection: Connection, names: Sequence[str]) -> dict[str, Place]:
    """The last heartbeats of devices, which no other agent changes until this ends."""
    rows = connection.execute(
        select(beats.c.amphora_id, beats.c.boot, beats.c.sequence)
        .where(beats.c.amphora_id.in_(names))
        .order_by(beats.c.amphora_id)
        .with_for_update()
    )
    return {row.amphora_id: Place(row.boot, row.sequence) for row in rows}


def _store(connection: Connection, heard: Heard, owner: str, *, known: bool) -> None:
    beat = heard.beat
    values = {
        "load_balancer_id": owner,
        "boot": beat.place.boot,
        "sequence": beat.place.sequence,
        "heard": now() - heard.ago,
        "words": beat.words.text(),
        "digest": beat.digest,
    }
    if known:
        connection.execute(
            update(beats).where(beats.c.amphora_id == beat.amphora_id).values(**values)
        )
    else:
        # Where another agent was faster this fails, and all of it is done again.
        connection.execute(insert(beats).values(amphora_id=beat.amphora_id, **values))


def _count(connection: Connection, beat: Beat, owner: str, news: dict[str, Counts]) -> None:
    """Keep the readings of a heartbeat, and add what is new in them to `news`."""
    mine = readings.c.amphora_id == beat.amphora_id
    last = {
        row.listener_id: counts_of(row) for row in connection.execute(select(readings).where(mine))
    }
    for listener, counts in beat.counts.items():
        fresh = counts if beat.deltas else added(last.get(listener), counts)
        news[listener] = _sum(news.get(listener, Counts()), fresh)
        # What deltas say is no reading: only how many connections there are.
        active = {"active_connections": counts.active_connections}
        values = asdict(last.get(listener, Counts())) | active if beat.deltas else asdict(counts)
        if listener in last:
            connection.execute(
                update(readings).where(mine, readings.c.listener_id == listener).values(**values)
            )
        else:
            connection.execute(
                insert(readings).values(
                    amphora_id=beat.amphora_id,
                    listener_id=listener,
                    load_balancer_id=owner,
                    **values,
                )
            )


def _with_active(
    connection: Connection, owner: str, news: Mapping[str, Counts]
) -> dict[str, Counts]:
    """The same news with the connections that all devices of a load balancer have now."""
    active = {
        row.listener_id: int(row.active)
        for row in connection.execute(
            select(readings.c.listener_id, func.sum(readings.c.active_connections).label("active"))
            .where(readings.c.load_balancer_id == owner)
            .group_by(readings.c.listener_id)
        )
    }
    return {
        name: Counts(**{**asdict(one), "active_connections": active.get(name, 0)})
        for name, one in news.items()
    }


def _sum(one: Counts, other: Counts) -> Counts:
    mine, yours = asdict(one), asdict(other)
    return Counts(**{name: mine[name] + yours[name] for name in mine})
