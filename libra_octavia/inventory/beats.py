"""Heartbeats in the inventory: the last one of each device, and the traffic that all have told.

What is stored here is all that it takes to go on after a restart, or with another agent: devices
send to one agent after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from sqlalchemy import Connection, Float, bindparam, delete, func, select, update

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
from libra_octavia.inventory.upsert import insert_missing


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
            places = _locked(connection, owners)
            last = _readings(connection, owners)
            done, stored = [], dict[str, Heard]()
            news: dict[str, tuple[str, Counts]] = {}
            read: dict[tuple[str, str], Counts] = {}
            for one in heard:
                name = one.beat.amphora_id
                if name not in owners:
                    done.append(Taken.UNKNOWN)
                elif not is_newer(one.beat.place, places[name]):
                    done.append(Taken.OLD)
                else:
                    for listener, fresh in _count(one.beat, last, read).items():
                        before = news.get(listener, (owners[name], Counts()))[1]
                        news[listener] = owners[name], _sum(before, fresh)
                    places[name] = one.beat.place
                    stored[name] = one
                    done.append(Taken.STORED)
            _store(connection, stored, owners)
            _keep(connection, read, owners)
            add(connection, _with_active(connection, news))
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


def _locked(connection: Connection, owners: Mapping[str, str]) -> dict[str, Place]:
    """The last heartbeats of devices, which no other agent changes until this ends."""
    rows = (
        select(beats.c.amphora_id, beats.c.boot, beats.c.sequence)
        .where(beats.c.amphora_id.in_(list(owners)))
        .order_by(beats.c.amphora_id)
        .with_for_update()
    )
    found = {row.amphora_id: Place(row.boot, row.sequence) for row in connection.execute(rows)}
    if len(found) == len(owners):
        return found
    insert_missing(
        connection,
        beats,
        [
            {
                "amphora_id": name,
                "load_balancer_id": owners[name],
                # Before any that there can be.
                "sequence": -1,
                "heard": 0.0,
                "words": "",
                "digest": "",
            }
            for name in sorted(owners.keys() - found.keys())
        ],
    )
    return {row.amphora_id: Place(row.boot, row.sequence) for row in connection.execute(rows)}


def _readings(connection: Connection, owners: Mapping[str, str]) -> dict[str, dict[str, Counts]]:
    """The last readings of devices, by listener."""
    found: dict[str, dict[str, Counts]] = {name: {} for name in owners}
    rows = connection.execute(select(readings).where(readings.c.amphora_id.in_(list(owners))))
    for row in rows:
        found[row.amphora_id][row.listener_id] = counts_of(row)
    return found


def _count(
    beat: Beat, last: Mapping[str, dict[str, Counts]], read: dict[tuple[str, str], Counts]
) -> dict[str, Counts]:
    """What is new in a heartbeat; its readings take the place of the last ones."""
    news = {}
    mine = last[beat.amphora_id]
    for listener, counts in beat.counts.items():
        before = mine.get(listener)
        if beat.deltas:
            # They are no reading, but for how many connections there are.
            news[listener] = counts
            active = counts.active_connections
            reading = replace(before or Counts(), active_connections=active)
        else:
            news[listener] = added(before, counts)
            reading = counts
        mine[listener] = read[beat.amphora_id, listener] = reading
    return news


def _store(connection: Connection, stored: Mapping[str, Heard], owners: Mapping[str, str]) -> None:
    if stored:
        connection.execute(
            update(beats)
            .where(beats.c.amphora_id == bindparam("name"))
            .values(
                load_balancer_id=bindparam("owner"),
                boot=bindparam("boot"),
                sequence=bindparam("sequence"),
                heard=now() - bindparam("ago", type_=Float),
                words=bindparam("words"),
                digest=bindparam("digest"),
            ),
            [
                {
                    "name": name,
                    "owner": owners[name],
                    "boot": one.beat.place.boot,
                    "sequence": one.beat.place.sequence,
                    "ago": one.ago,
                    "words": one.beat.words.text(),
                    "digest": one.beat.digest,
                }
                for name, one in sorted(stored.items())
            ],
        )


def _keep(
    connection: Connection, read: Mapping[tuple[str, str], Counts], owners: Mapping[str, str]
) -> None:
    """Keep readings, by device and listener."""
    if not read:
        return
    rows = [
        {"name": name, "listener": listener, **asdict(counts)}
        for (name, listener), counts in sorted(read.items())
    ]
    insert_missing(
        connection,
        readings,
        [
            {
                "amphora_id": row["name"],
                "listener_id": row["listener"],
                "load_balancer_id": owners[row["name"]],
                **asdict(Counts()),
            }
            for row in rows
        ],
    )
    connection.execute(
        update(readings)
        .where(
            readings.c.amphora_id == bindparam("name"),
            readings.c.listener_id == bindparam("listener"),
        )
        .values({name: bindparam(name) for name in asdict(Counts())}),
        rows,
    )


def _with_active(
    connection: Connection, news: Mapping[str, tuple[str, Counts]]
) -> dict[str, tuple[str, Counts]]:
    """The same news with the connections that all devices have now."""
    rows = connection.execute(
        select(readings.c.listener_id, func.sum(readings.c.active_connections).label("active"))
        .where(
            readings.c.load_balancer_id.in_({owner for owner, _ in news.values()}),
            # A device that is gone has none any more, whatever it said last.
            readings.c.amphora_id.in_(select(devices.c.amphora_id)),
        )
        .group_by(readings.c.listener_id)
    )
    active = {row.listener_id: int(row.active) for row in rows}
    return {
        name: (owner, replace(counts, active_connections=active.get(name, 0)))
        for name, (owner, counts) in news.items()
    }


def _sum(one: Counts, other: Counts) -> Counts:
    mine, yours = asdict(one), asdict(other)
    return Counts(**{name: mine[name] + yours[name] for name in mine})
