"""What the provider rendered for UDP comes back as health and statistics of the same objects."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest

from libra_amphora import lvs_config, lvs_report
from libra_amphora.heartbeat import message
from libra_amphora.ip_vs import Row, Table
from libra_amphora.lvs_report import View
from libra_amphora.snapshot import Traffic
from libra_octavia.agent.index import index
from libra_octavia.health.message import Beat, read
from libra_octavia.health.statuses import Status, operating
from libra_octavia.inventory import Counts
from libra_octavia.render_lvs import render_lvs
from libra_octavia.translate import translate
from tests.support.octavia_trees import listener, member, monitor, pool, tree

VIP = "203.0.113.2"


def shown(members: list[dict[str, Any]], *, watched: bool) -> Any:
    watch = monitor(healthmonitor_id="h", type="UDP-CONNECT") if watched else None
    behind = pool(pool_id="p", protocol="UDP", members=members, healthmonitor=watch)
    front = listener(listener_id="l", protocol="UDP", protocol_port=53, default_pool_id="p")
    return tree([front], [behind], loadbalancer_id="lb", vip_address=VIP)


def heard(found: Any, rows: dict[str, Row], traffic: Traffic | None = None) -> Beat:
    """What the device of a tree sends that has these members in its kernel."""
    config = lvs_config.read(render_lvs(translate(found))["l"].encode())
    key = ("UDP", (ipaddress.ip_address(VIP), 53))
    table: Table = {
        key: {(ipaddress.ip_address(address), 53): row for address, row in rows.items()}
    }
    snapshot = lvs_report.snapshot(
        [View(id="l", config=config, should_run=True, runs=True)],
        table=table,
        traffic={key: traffic or Traffic()},
        total=lambda *all_: all_[2],
    )
    said = message(snapshot, amphora_id="amp", sequence=1)
    return read(json.dumps(said).encode())


UP, GONE = Row(1, 0, 0), Row(0, 0, 0)
ONE = {"192.0.2.1": UP}
BOTH = ONE | {"192.0.2.2": UP}


@pytest.mark.parametrize(
    ("watched", "fields", "rows", "words"),
    [
        (True, {}, BOTH, "ONLINE ONLINE ONLINE ONLINE"),
        (True, {}, ONE, "DEGRADED ONLINE ERROR DEGRADED"),
        (True, {}, {}, "ERROR ERROR ERROR ERROR"),
        (False, {}, BOTH, "ONLINE NO_MONITOR NO_MONITOR ONLINE"),
        (True, {"weight": 0}, ONE | {"192.0.2.2": GONE}, "ONLINE ONLINE DRAINING ONLINE"),
        (True, {"admin_state_up": False}, ONE, "ONLINE ONLINE OFFLINE ONLINE"),
    ],
)
def test_pool_and_members_are_as_the_kernel_has_them(
    watched: bool, fields: dict[str, Any], rows: dict[str, Row], words: str
) -> None:
    members = [
        member(member_id="m1", address="192.0.2.1", protocol_port=53),
        member(member_id="m2", address="192.0.2.2", protocol_port=53, **fields),
    ]
    found = shown(members, watched=watched)
    said = operating(index(found), [heard(found, rows).words])
    assert [said[name] for name in ("p", "m1", "m2", "lb")] == words.split()
    assert said["l"] is Status.ONLINE


def test_an_empty_pool_is_online() -> None:
    found = shown([], watched=True)
    said = operating(index(found), [heard(found, {}).words])
    assert {said[name] for name in ("lb", "l", "p")} == {Status.ONLINE}


def test_what_went_through_is_counted() -> None:
    found = shown([member(address="192.0.2.1", protocol_port=53)], watched=False)
    traffic = Traffic(bytes_in=10, bytes_out=20, total_connections=3)
    beat = heard(found, {"192.0.2.1": Row(1, 2, 0)}, traffic)
    assert beat.counts == {
        "l": Counts(
            active_connections=2, bytes_in=10, bytes_out=20, total_connections=3, request_errors=0
        )
    }
    assert not beat.deltas
