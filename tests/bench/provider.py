"""Figure 13: Octavia's provider: a call to the driver, a change to traffic, thirty at once."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from octavia_lib.api.drivers import data_models

from libra_octavia.driver import LibraProviderDriver
from libra_octavia.inventory import Database, migrate
from libra_octavia.shared import CONFIG_VARIABLE, shared
from tests.bench.bench import Bench, note, save
from tests.bench.summary import Goal, Row, row
from tests.support.octavia_cloud import GATEWAY, OctaviaCloud, new_id

_SIZES = (1, 10, 100)
_AT_ONCE = 30


def measure(bench: Bench) -> list[Row]:
    """The driver by itself, then everything from REST to the device."""
    note("  calls to the driver")
    calls = _calls(bench, bench.amount(300, 50))
    with OctaviaCloud(octavia={"slots": _AT_ONCE}) as cloud:
        note("  one member's weight, in pools of several sizes")
        changes = {size: _change(cloud, size, bench.amount(10, 3)) for size in _SIZES}
        count = bench.amount(_AT_ONCE, 5)
        note(f"  {count} load balancers at once")
        seconds = _at_once(cloud, count)
    save(
        "13-provider",
        {"driver_ms": calls, "change_ms_by_members": changes, f"{count}_at_once_s": seconds},
    )
    fewest, most = min(_SIZES), max(_SIZES)
    return [
        row("13-driver-call-p50", calls["p50"], "ms"),
        row("13-driver-call-p99", calls["p99"], "ms", goal=Goal("value", 50)),
        *(
            row(f"13-change-among-{size}-members-until-ACTIVE", changes[size], "ms")
            for size in _SIZES
        ),
        row(f"13-change-among-{most}-members-vs-{fewest}", changes[most], "ms",
            against=changes[fewest]),
        row(f"13-{count}-load-balancers-at-once-until-all-ACTIVE", seconds, "s"),
    ]  # fmt: skip


def _calls(bench: Bench, count: int) -> dict[str, float]:
    """How long the driver keeps Octavia's API waiting for a member's update."""
    place = bench.place()
    url = f"sqlite:///{place / 'inventory.db'}"
    config = place / "libra.cfg"
    config.write_text(
        f"[gearman]\nservers = {bench.gearmand.address}\n[octavia]\ninventory = {url}\n"
    )
    migrate(Database(url))
    with _environment(str(config)):
        driver, took = LibraProviderDriver(), []
        old = data_models.Member(
            member_id=new_id(),
            pool_id=new_id(),
            address="192.0.2.1",
            protocol_port=80,
            weight=1,
            admin_state_up=True,
        )
        for number in range(count):
            new = data_models.Member(member_id=old.member_id, weight=number % 200 + 1)
            began = time.perf_counter()
            driver.member_update(old, new)
            took.append((time.perf_counter() - began) * 1000)
    cuts = statistics.quantiles(took[1:], n=100)  # the first one opens everything
    return {"p50": cuts[49], "p99": cuts[98]}


@contextmanager
def _environment(config: str) -> Iterator[None]:
    os.environ[CONFIG_VARIABLE] = config
    shared.cache_clear()
    try:
        yield
    finally:
        del os.environ[CONFIG_VARIABLE]
        shared.cache_clear()


def _change(cloud: OctaviaCloud, size: int, count: int) -> float:
    """From the request until the API says ACTIVE again, median in milliseconds."""
    members = [
        {"name": f"m{number}", "address": GATEWAY, "protocol_port": 1000 + number}
        for number in range(size)
    ]
    made = cloud.balancer(listeners=[_listener(members)])
    (pool,) = made["pools"]
    path = f"pools/{pool['id']}/members"
    first = cloud.api.call("GET", path)["members"][0]["id"]
    took = []
    for number in range(count):
        began = time.perf_counter()
        cloud.api.call("PUT", f"{path}/{first}", {"member": {"weight": number + 2}})
        status = cloud.api.settled(f"loadbalancers/{made['id']}", 120)
        took.append((time.perf_counter() - began) * 1000)
        assert status == "ACTIVE", cloud.said()
    cloud.delete(f"loadbalancers/{made['id']}", "?cascade=true")
    return statistics.median(took)


def _at_once(cloud: OctaviaCloud, count: int) -> float:
    """Seconds from the first request until the last of `count` load balancers is ACTIVE."""
    member = [{"name": "m", "address": GATEWAY, "protocol_port": 1000}]
    began = time.perf_counter()
    made = [cloud.balancer(settle=False, listeners=[_listener(member)]) for _ in range(count)]
    paths = [f"loadbalancers/{one['id']}" for one in made]
    with ThreadPoolExecutor(4) as threads:
        settled = list(threads.map(lambda path: cloud.api.settled(path, 600), paths))
    seconds = time.perf_counter() - began
    assert set(settled) == {"ACTIVE"}, cloud.said()
    for path in paths:
        cloud.api.call("DELETE", f"{path}?cascade=true")
    for path in paths:
        assert cloud.api.settled(path, 300) == "DELETED", cloud.said()
    return seconds


def _listener(members: list[dict[str, Any]]) -> dict[str, Any]:
    pool = {"name": "p", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": members}
    return {"name": "l", "protocol": "HTTP", "protocol_port": 80, "default_pool": pool}
