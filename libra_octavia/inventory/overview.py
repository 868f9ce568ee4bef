"""What the inventory holds of load balancers, all of it at one moment: for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, select

from libra_octavia.inventory.database import Database, now
from libra_octavia.inventory.devices import Device
from libra_octavia.inventory.tables import (
    beats,
    certificates,
    devices,
    intents,
    load_balancers,
    reports,
    totals,
)
from libra_octavia.inventory.totals import Counts, counts_of


@dataclass(frozen=True, kw_only=True)
class KnownDevice:
    """A device: when it was heard last, and until when its certificate is good.

    In seconds from now, back and ahead; None where that is not known.
    """

    device: Device
    heard_ago: float | None
    certificate_left: float | None


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """What was asked for and is not done yet, `age` seconds ago."""

    operation: str
    kind: str
    object_id: str
    age: float


@dataclass(frozen=True, kw_only=True)
class Known:
    """A load balancer. Times are seconds from now, back (`_ago`) and ahead (`_left`).

    `holder` is who works on it just now, None for nobody; `told` the operating statuses that
    Octavia was told, by the ids of the objects.
    """

    id: str
    holder: str | None
    lease_left: float | None
    fence: int
    attempts: int
    again_left: float | None
    last_error: str | None
    served_ago: float | None
    waiting: tuple[Waiting, ...]
    devices: tuple[KnownDevice, ...]
    told: Mapping[str, str]
    totals: Mapping[str, Counts]


def overview(database: Database, load_balancer_id: str | None = None) -> Sequence[Known]:
    """Every load balancer that is known, or the one of this id; by id. Raises InventoryAway."""
    chosen = [] if load_balancer_id is None else [load_balancers.c.id == load_balancer_id]
    with database.read() as connection:
        waiting = _grouped(connection, _waiting_rows(), _waiting)
        found = _grouped(connection, _device_rows(), _device)
        counts = _grouped(connection, select(totals), lambda row: (row.listener_id, counts_of(row)))
        rows = connection.execute(
            select(
                load_balancers,
                (load_balancers.c.expires - now()).label("lease_left"),
                (load_balancers.c.not_before - now()).label("again_left"),
                (now() - load_balancers.c.served).label("served_ago"),
                reports.c.told,
            )
            .outerjoin(reports, reports.c.load_balancer_id == load_balancers.c.id)
            .where(*chosen)
            .order_by(load_balancers.c.id)
        )
        return [
            Known(
                id=row.id,
                holder=row.holder if row.lease_left > 0 else None,
                lease_left=row.lease_left if row.holder and row.lease_left > 0 else None,
                fence=row.fence,
                attempts=row.attempts,
                again_left=row.again_left if row.again_left > 0 else None,
                last_error=row.last_error,
                served_ago=row.served_ago,
                waiting=tuple(waiting.get(row.id, ())),
                devices=tuple(found.get(row.id, ())),
                told=row.told or {},
                totals=dict(counts.get(row.id, ())),
            )
            for row in rows
        ]


def _waiting_rows() -> Any:
    return (
        select(intents, (now() - intents.c.created).label("age"))
        .where(intents.c.load_balancer_id.is_not(None))
        .order_by(intents.c.number)
    )


def _waiting(row: Row[Any]) -> Waiting:
    return Waiting(
        operation=row.operation, kind=row.kind, object_id=row.object_id, age=float(row.age)
    )


def _device_rows() -> Any:
    ends = (
        select(certificates.c.device, func.max(certificates.c.not_after).label("ends"))
        .group_by(certificates.c.device)
        .subquery()
    )
    return (
        select(
            devices,
            (now() - beats.c.heard).label("heard_ago"),
            (ends.c.ends - now()).label("certificate_left"),
        )
        .outerjoin(beats, beats.c.amphora_id == devices.c.amphora_id)
        .outerjoin(ends, ends.c.device == devices.c.name)
        .where(devices.c.load_balancer_id.is_not(None))
        .order_by(devices.c.name)
    )


def _device(row: Row[Any]) -> KnownDevice:
    return KnownDevice(
        device=Device(
            name=row.name,
            state=row.state,
            load_balancer_id=row.load_balancer_id,
            amphora_id=row.amphora_id,
            address=row.address,
        ),
        heard_ago=row.heard_ago,
        certificate_left=row.certificate_left,
    )


def _grouped(connection: Connection, rows: Any, made: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in connection.execute(rows):
        found.setdefault(row.load_balancer_id, []).append(made(row))
    return found
