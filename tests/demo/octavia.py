"""Libra as a provider of Octavia: what a user of OpenStack asks for, and what becomes of it.

Everything is real and in a network namespace of its own: octavia-api and driver-agent with their
database, gearmand, the provider agent, the pool manager, and the devices that it builds.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pytest

from tests.demo.faults import Missing
from tests.demo.scene import Scene
from tests.demo.stage import Stage
from tests.demo.steps import Step
from tests.support import folders
from tests.support.backends import HttpBackend
from tests.support.octavia_cloud import SUBNET, OctaviaCloud
from tests.support.traffic import get
from tests.support.wait import until

_VIP = "203.0.113.10"
_HTTP, _TCP = 80, 8080
_REQUESTS = 20
_HEALTH_SECONDS = 60.0


class OctaviaStage(Stage):
    """The whole system; `balancer` is what the story is about, by Octavia's id."""

    def __init__(self, *, gearmand: str, haproxy: str) -> None:
        super().__init__(gearmand=gearmand, haproxy=haproxy)
        self._cloud: OctaviaCloud | None = None
        self.balancer = ""
        self.http_pool = ""
        self.members: dict[str, HttpBackend] = {}

    @property
    def cloud(self) -> OctaviaCloud:
        """Octavia and all behind it, once it runs."""
        assert self._cloud is not None
        return self._cloud

    def start_all(self) -> None:
        """Start everything. Raises Missing where Octavia cannot be installed."""
        try:
            cloud = OctaviaCloud()
            cloud.__enter__()
        except (pytest.skip.Exception, pytest.fail.Exception) as missing:
            raise Missing(str(missing)) from missing
        self._cloud = cloud
        self.members = {web.name: web for web in cloud.members("web-1", "web-2")}

    def last_words(self, *files: str) -> str:  # noqa: ARG002 - there is one place for all
        """The ends of all logs."""
        return "" if self._cloud is None else self._cloud.said()[-6000:]

    def logs(self) -> Sequence[str]:
        """None of its own: `last_words` has them."""
        return ()

    def clear(self) -> None:
        """End everything."""
        if self._cloud is not None:
            self._cloud.__exit__()
            self._cloud = None
        folders.remove_all()
        super().clear()


def _stage(scene: Scene) -> OctaviaStage:
    assert isinstance(scene.stage, OctaviaStage)
    return scene.stage


def _call(scene: Scene, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """A request to Octavia's API, shown."""
    shown = "" if body is None else " " + json.dumps(body)
    scene.screen.line(f"{method} /v2/lbaas/{path}{shown}", "blue")
    return _stage(scene).cloud.api.call(method, path, body)


def start(scene: Scene) -> None:
    """Start Octavia, and Libra as its provider."""
    stage = _stage(scene)
    stage.start_all()
    cloud = stage.cloud
    rows = [
        ("octavia-api, driver-agent", f"127.0.0.1:{cloud.api.port}", "19.0.0, provider libra"),
        ("libra_octavia", str(cloud.agents[0].config.parent), "the provider agent"),
        ("libra_pool_mgm", "libra_pool_mgm", "its cloud is this network namespace"),
        *((web.name, f"{web.host}:{web.port}", "a member") for web in stage.members.values()),
    ]
    scene.screen.table(("part", "where", ""), rows)
    scene.check(_call(scene, "GET", "providers")["providers"], "Octavia has the provider libra")


def create(scene: Scene) -> None:
    """Create a load balancer with all that is in it."""
    stage = _stage(scene)
    members = [
        {"name": web.name, "address": web.host, "protocol_port": web.port}
        for web in stage.members.values()
    ]
    monitor = {"type": "HTTP", "delay": 1, "timeout": 1, "max_retries": 2, "max_retries_down": 2}
    pool = {"lb_algorithm": "ROUND_ROBIN", "members": members}
    http = {"name": "webs", "protocol": "HTTP", "healthmonitor": monitor, **pool}
    tcp = {"name": "plain", "protocol": "TCP", **pool}
    asked = {
        "name": "demo",
        "vip_subnet_id": SUBNET,
        "vip_address": _VIP,
        "listeners": [
            {"name": "http", "protocol": "HTTP", "protocol_port": _HTTP, "default_pool": http},
            {"name": "tcp", "protocol": "TCP", "protocol_port": _TCP, "default_pool": tcp},
        ],
    }
    made = _call(scene, "POST", "loadbalancers", {"loadbalancer": asked})["loadbalancer"]
    stage.balancer = made["id"]
    stage.http_pool = next(one["id"] for one in made["pools"] if one["name"] == "webs")
    scene.check(made["provisioning_status"] == "PENDING_CREATE", "answered at once: PENDING_CREATE")
    stage.cloud.settle(_balancer(stage))
    (device,) = stage.cloud.devices()
    scene.check(True, f"ACTIVE, served by {device.name}, which the pool manager has built")


def traffic(scene: Scene) -> None:
    """Ask through the VIP."""
    for port, words in ((_HTTP, "HTTP"), (_TCP, "TCP")):
        counts = _counts(port)
        scene.check(
            sorted(counts) == ["web-1", "web-2"],
            f"{_REQUESTS} requests to {_VIP}:{port} ({words}): " + _shown(counts),
            counts,
        )


def member_dies(scene: Scene) -> None:
    """Have a member die, and see Octavia be told."""
    stage = _stage(scene)
    _wait_for_word(scene, stage, _balancer(stage), "ONLINE")
    stage.members["web-2"].__exit__()
    scene.screen.line("web-2 is gone.")
    path = f"pools/{stage.http_pool}/members"
    two = next(
        one["id"] for one in stage.cloud.api.call("GET", path)["members"] if one["name"] == "web-2"
    )
    for what, word in (
        (f"{path}/{two}", "ERROR"),
        (f"pools/{stage.http_pool}", "DEGRADED"),
        (_balancer(stage), "DEGRADED"),
    ):
        _wait_for_word(scene, stage, what, word)
    counts = _counts(_HTTP)
    scene.check(list(counts) == ["web-1"], f"clients notice nothing: {_shown(counts)}", counts)


def statistics(scene: Scene) -> None:
    """Ask Octavia what went through."""
    stage = _stage(scene)
    wanted = 2 * _REQUESTS + _REQUESTS  # of both listeners, and after the member had died

    def told() -> Mapping[str, int]:
        found: Mapping[str, int] = stage.cloud.api.call("GET", f"{_balancer(stage)}/stats")["stats"]
        return found

    until(lambda: told()["total_connections"] >= wanted, "the statistics", _HEALTH_SECONDS)
    found = told()
    scene.screen.table(("statistic", "value"), sorted(found.items()))
    scene.check(
        found["total_connections"] == wanted,
        f"{wanted} connections were made, and {wanted} are told",
        found,
    )


def failover(scene: Scene) -> None:
    """Have another device take over."""
    stage = _stage(scene)
    (before,) = stage.cloud.devices()
    _call(scene, "PUT", f"{_balancer(stage)}/failover")
    stage.cloud.settle(_balancer(stage))
    (after,) = stage.cloud.devices()
    scene.check(before.name != after.name, f"{after.name} has taken the place of {before.name}")
    counts = _counts(_HTTP)
    scene.check(list(counts) == ["web-1"], f"at the same address: {_shown(counts)}", counts)


def delete(scene: Scene) -> None:
    """Delete it with all that is in it."""
    stage = _stage(scene)
    _call(scene, "DELETE", f"{_balancer(stage)}?cascade=true")
    stage.cloud.settle(_balancer(stage), "DELETED")
    left = [*stage.cloud.devices(), *stage.cloud.ports()]
    scene.check(not left, "no device and no port is left", left)
    listed = stage.cloud.api.call("GET", "loadbalancers")["loadbalancers"]
    scene.check(not listed, "and Octavia has none either", listed)


def _balancer(stage: OctaviaStage) -> str:
    return f"loadbalancers/{stage.balancer}"


def _wait_for_word(scene: Scene, stage: OctaviaStage, path: str, word: str) -> None:
    """Wait until Octavia has this operating status of an object."""

    def has() -> bool:
        found = stage.cloud.api.show(path)
        return found is not None and found["operating_status"] == word

    until(has, f"{path} is {word}", _HEALTH_SECONDS)
    scene.check(True, f"operating_status of {path.split('/')[-2]}: {word}")


def _counts(port: int) -> Counter[str]:
    """Who answers requests, each on a connection of its own."""
    ask = partial(get, port, host=_VIP)
    return Counter(ask().body.decode() for _ in range(_REQUESTS))


def _shown(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} from {name}" for name, count in sorted(counts.items()))


STEPS = (
    Step("The parts start", "Octavia's own API and driver-agent, and Libra behind them.", start),
    Step(
        "POST: a load balancer and all that is in it",
        "Two listeners, two pools, members and a health monitor in one request.",
        create,
    ),
    Step("Traffic through the VIP", "The address is on the device's own port.", traffic),
    Step(
        "A member dies",
        "HAProxy's check notices, the device's heartbeat says so, Octavia is told.",
        member_dies,
    ),
    Step("Statistics", "Counted on the device, each connection once.", statistics),
    Step("Failover", "Another device is built, and takes the address over.", failover),
    Step("DELETE with cascade", "What was made for it, goes with it.", delete),
)
