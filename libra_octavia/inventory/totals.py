"""Totals of each listener's traffic: devices report what was added, Octavia wants all there was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from libra_octavia.inventory.database import Database
from libra_octavia.inventory.tables import totals
from libra_octavia.inventory.upsert import insert_missing

_GROWING = ("bytes_in", "bytes_out", "request_errors", "total_connections")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What a listener has had: bytes, requests that failed, connections; `active` is of now."""

    active_connections: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    request_errors: int = 0
    total_connections: int = 0


class Totals:
    """The totals of a database. Every method raises InventoryAway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, load_balancer_id: str, news: Mapping[str, Counts]) -> Mapping[str, Counts]:
        """Add what listeners (by id) had since the last report; returns their new totals.

        All of it is added or nothing. Active connections take the place of those before.
        """
        with self._database.write() as connection:
            add(connection, {name: (load_balancer_id, one) for name, one in news.items()})
            rows = connection.execute(select(totals).where(totals.c.listener_id.in_(list(news))))
            return {row.listener_id: counts_of(row) for row in rows}

    def of(self, load_balancer_id: str) -> Mapping[str, Counts]:
        """The totals of a load balancer's listeners."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(totals).where(totals.c.load_balancer_id == load_balancer_id)
            )
            return {row.listener_id: counts_of(row) for row in rows}


def add(connection: Connection, news: Mapping[str, tuple[str, Counts]]) -> None:
    """Add within a transaction of the caller's; `news` are load balancer and counts by listener.

    Always in the same order, since it locks rows.
    """
    rows = [
        {"listener": listener, "load_balancer_id": owner, **asdict(counts)}
        for listener, (owner, counts) in sorted(news.items())
    ]
    if not rows:
        return
    nothing = asdict(Counts())
    insert_missing(
        connection,
        totals,
        [
            {
                "listener_id": row["listener"],
                "load_balancer_id": row["load_balancer_id"],
                **nothing,
            }
            for row in rows
        ],
    )
    connection.execute(
        update(totals)
        .where(totals.c.listener_id == bindparam("listener"))
        .values(
            active_connections=bindparam("active_connections"),
            **{name: totals.c[name] + bindparam(name) for name in _GROWING},
        ),
        rows,
    )


def counts_of(row: Row[Any]) -> Counts:
    """The counts in a row that has all their columns."""
    return Counts(**{name: row._mapping[name] for name in asdict(Counts())})
