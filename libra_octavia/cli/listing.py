"""libra octavia list and show: what the inventory holds, for people and for programs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from libra_client.cli import options, output
from libra_client.cli.errors import BadArgument
from libra_client.cli.exits import Exit
from libra_octavia.inventory import Database
from libra_octavia.inventory.overview import Known, KnownDevice, overview

_DAY = 86400.0
_SHORT = 60


def list_all(asked: argparse.Namespace) -> Exit:
    """One line for each load balancer."""
    found = overview(_database(asked))
    if options.wants_json(asked):
        output.show_json([as_json(one) for one in found])
        return Exit.OK
    output.show_table(
        (
            "load balancer",
            "health",
            "waiting",
            "held by",
            "fence",
            "devices",
            "certificate days",
            "last error",
        ),
        (_row(one) for one in found),
    )
    return Exit.OK


def show_one(asked: argparse.Namespace) -> Exit:
    """All of one load balancer."""
    found = overview(_database(asked), asked.balancer)
    if not found:
        raise BadArgument(
            f"{output.plain(asked.balancer)}: the inventory knows no such load balancer"
        )
    (one,) = found
    if options.wants_json(asked):
        output.show_json(as_json(one))
        return Exit.OK
    output.show_fields(_fields(one))
    for title, columns, rows in (
        (
            "devices",
            ("name", "state", "amphora", "address", "heard", "certificate days"),
            [_device_row(device) for device in one.devices],
        ),
        (
            "waiting",
            ("operation", "object", "id", "since"),
            [(two.operation, two.kind, two.object_id, _ago(two.age)) for two in one.waiting],
        ),
        ("told to Octavia", ("object", "operating status"), sorted(one.told.items())),
        (
            "traffic",
            ("listener", "connections now", "ever", "bytes in", "out", "failed requests"),
            [
                (
                    name,
                    two.active_connections,
                    two.total_connections,
                    two.bytes_in,
                    two.bytes_out,
                    two.request_errors,
                )
                for name, two in sorted(one.totals.items())
            ],
        ),
    ):
        _section(title, columns, rows)
    return Exit.OK


def as_json(one: Known) -> dict[str, Any]:
    """A load balancer for programs: times are seconds from now."""
    fields = asdict(one)
    fields["devices"] = [
        {
            **asdict(two.device),
            "heard_ago": two.heard_ago,
            "certificate_days_left": _days(two),
        }
        for two in one.devices
    ]
    return fields


def _row(one: Known) -> Sequence[object]:
    days = [left for two in one.devices if (left := _days(two)) is not None]
    return (
        one.id,
        one.told.get(one.id),
        len(one.waiting) or None,
        one.holder and _holder(one.holder),
        one.fence,
        ", ".join(f"{two.device.name} {two.device.state}" for two in one.devices) or None,
        min(days, default=None),
        one.last_error and _cut(one.last_error),
    )


def _fields(one: Known) -> Sequence[tuple[str, object]]:
    return (
        ("load balancer", one.id),
        ("health", one.told.get(one.id)),
        ("served", None if one.served_ago is None else _ago(one.served_ago)),
        ("held by", one.holder and _holder(one.holder)),
        ("lease", None if one.lease_left is None else f"{one.lease_left:.0f} s left"),
        ("fence", one.fence),
        ("failures in a row", one.attempts),
        ("tried again", None if one.again_left is None else f"in {one.again_left:.0f} s"),
        ("last error", one.last_error),
    )


def _device_row(one: KnownDevice) -> Sequence[object]:
    device = one.device
    return (
        device.name,
        device.state,
        device.amphora_id,
        device.address,
        "never" if one.heard_ago is None else _ago(one.heard_ago),
        _days(one),
    )


def _section(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    if rows:
        output.say("")
        output.say(f"{title}:")
        output.show_table(columns, rows)


def _days(one: KnownDevice) -> int | None:
    return None if one.certificate_left is None else int(one.certificate_left // _DAY)


def _ago(seconds: float) -> str:
    return f"{max(0.0, seconds):.0f} s ago"


def _holder(holder: str) -> str:
    """Who it is: the first part stands for a machine, the second is a process of it."""
    machine, _, rest = holder.partition(":")
    return f"{machine[:8]}:{rest.partition(':')[0]}"


def _cut(text: str) -> str:
    first = text.splitlines()[0] if text else ""
    return first if len(first) <= _SHORT else f"{first[: _SHORT - 3]}..."


def _database(asked: argparse.Namespace) -> Database:
    return Database(options.settings(asked).octavia.inventory)
