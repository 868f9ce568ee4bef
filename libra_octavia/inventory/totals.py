"""Totals of each listener's traffic: devices report what was added, Octavia wants all there was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from sqlalchemy import insert, select, update

from libra_octavia.inventory.database import Database
from libra_octavia.inventory.tables import totals

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
            for listener, counts in news.items():
                values = asdict(counts)
                sums = {name: totals.c[name] + values[name] for name in _GROWING}
                done = connection.execute(
                    update(totals)
                    .where(totals.c.listener_id == listener)
                    .values(active_connections=counts.active_connections, **sums)
                )
                if not done.rowcount:
                    connection.execute(
                        insert(totals).values(
                            listener_id=listener, load_balancer_id=load_balancer_id, **values
                        )
                    )
            rows = connection.execute(select(totals).where(totals.c.listener_id.in_(list(news))))
            return {
                row.listener_id: Counts(**{name: row._mapping[name] for name in asdict(Counts())})
                for row in rows
            }
