"""From a device to Octavia's REST API: health and traffic, with three of ten heartbeats lost."""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends import HttpBackend
from tests.support.octavia_cloud import GATEWAY, OctaviaCloud
from tests.support.octavia_health import device_api
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RELAY_PORT, AGENT_PORT = 5600, 5555
REQUEST = b"GET /%d HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"


class Relay:
    """Between devices and agent: loses three of ten datagrams, sends one of ten twice."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("0.0.0.0", RELAY_PORT))
        self._socket.settimeout(0.2)
        self._chance = random.Random(11)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.deaf = False
        self.lost = 0
        self.passed = 0

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._ends.is_set():
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            drawn = self._chance.random()
            if self.deaf or drawn < 0.3:
                self.lost += 1
                continue
            for _ in range(2 if drawn > 0.9 else 1):
                self._socket.sendto(data, (GATEWAY, AGENT_PORT))
            self.passed += 1


@pytest.fixture(scope="module")
def cloud() -> Iterator[OctaviaCloud]:
    settings = {"heartbeat_controllers": f"{GATEWAY}:{RELAY_PORT}", "heartbeat_silence": 45}
    with OctaviaCloud(octavia=settings) as running:
        yield running


@pytest.fixture(scope="module")
def relay(cloud: OctaviaCloud) -> Iterator[Relay]:
    with Relay() as running:
        yield running


class Shop:
    """A load balancer with a TCP listener, its pool and monitor, and two members."""

    def __init__(self, cloud: OctaviaCloud) -> None:
        self.cloud = cloud
        self.webs = cloud.members("one", "two")
        made = cloud.balancer(
            listeners=[
                {
                    "name": "shop",
                    "protocol": "TCP",
                    "protocol_port": 80,
                    "default_pool": {
                        "name": "webs",
                        "protocol": "TCP",
                        "lb_algorithm": "ROUND_ROBIN",
                        "members": [
                            {"name": web.name, "address": web.host, "protocol_port": web.port}
                            for web in self.webs
                        ],
                        "healthmonitor": {
                            "type": "HTTP",
                            "delay": 1,
                            "timeout": 1,
                            "max_retries": 1,
                            "max_retries_down": 1,
                        },
                    },
                }
            ]
        )
        self.id, self.vip = str(made["id"]), str(made["vip_address"])
        self.listener = str(made["listeners"][0]["id"])
        self.pool = str(made["pools"][0]["id"])
        found = cloud.api.call("GET", f"pools/{self.pool}/members")["members"]
        self.members = {one["name"]: one["id"] for one in found}
        self.sent = self.received = self.connections = 0
        # A heartbeat each second, so that many of them can be lost.
        (device,) = cloud.known_devices(self.id)
        api = device_api(cloud, device)
        reply = api._call("PUT", "/config", b"[health_manager]\nheartbeat_interval = 1\n")
        assert reply.status == 202, reply

    def words(self) -> dict[str, str]:
        """The operating statuses at the API."""
        paths = {
            "lb": f"loadbalancers/{self.id}",
            "listener": f"listeners/{self.listener}",
            "pool": f"pools/{self.pool}",
            **{name: f"pools/{self.pool}/members/{one}" for name, one in self.members.items()},
        }
        return {
            name: str((self.cloud.api.show(path) or {}).get("operating_status"))
            for name, path in paths.items()
        }

    def says(self, seconds: float = 90.0, **wanted: str) -> None:
        try:
            until(lambda: wanted.items() <= self.words().items(), "", seconds)
        except AssertionError:
            raise AssertionError(f"{self.words()}\n{self.cloud.said()}") from None

    def exchange(self, times: int) -> None:
        for number in range(times):
            request = REQUEST % number
            with socket.create_connection((self.vip, 80), 10) as connection:
                connection.sendall(request)
                self.sent += len(request)
                self.received += len(b"".join(iter(lambda: connection.recv(65536), b"")))
            self.connections += 1

    def statistics(self) -> dict[str, Any]:
        """Those of the load balancer at the API, which sums up those of its listeners."""
        found = self.cloud.api.call("GET", f"loadbalancers/{self.id}/stats")["stats"]
        return dict(found)

    def counts(self, seconds: float = 90.0) -> None:
        """Wait until the API shows just the traffic that there was."""
        wanted = {
            "bytes_in": self.sent,
            "bytes_out": self.received,
            "total_connections": self.connections,
            "active_connections": 0,
        }
        try:
            until(lambda: wanted.items() <= self.statistics().items(), "", seconds)
        except AssertionError:
            raise AssertionError(
                f"{self.statistics()}, not {wanted}\n{self.cloud.said()}"
            ) from None


@pytest.fixture
def shop(cloud: OctaviaCloud, relay: Relay) -> Iterator[Shop]:
    made = Shop(cloud)
    made.says(lb="ONLINE", listener="ONLINE", pool="ONLINE", one="ONLINE", two="ONLINE")
    yield made
    cloud.delete(f"loadbalancers/{made.id}", "?cascade=true")


def stop(web: HttpBackend) -> None:
    web.__exit__(None, None, None)


def amphora_agents(folder: Path) -> list[int]:
    """The processes of amphora agents on devices of this cloud."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        # The first process of a device has these words too, further behind.
        ours = any(str(folder).encode() in word for word in words)
        if ours and words[1:3] == [b"-m", b"libra_amphora.main"]:
            found.append(int(entry.name))
    return found


def test_a_member_that_dies_is_an_error_at_the_api_and_the_last_one_of_all(
    cloud: OctaviaCloud, shop: Shop
) -> None:
    one, two = shop.webs
    two.failing.add("/")
    shop.says(two="ERROR", pool="DEGRADED", lb="DEGRADED", one="ONLINE", listener="ONLINE")
    one.failing.add("/")
    shop.says(one="ERROR", pool="ERROR", lb="ERROR")
    one.failing.clear()
    two.failing.clear()
    shop.says(one="ONLINE", two="ONLINE", pool="ONLINE", lb="ONLINE")
    # And what is switched off is OFFLINE, which makes nothing worse
    cloud.update(f"pools/{shop.pool}/members/{shop.members['two']}", admin_state_up=False)
    shop.says(two="OFFLINE", pool="ONLINE", lb="ONLINE", one="ONLINE")
    cloud.update(f"pools/{shop.pool}/members/{shop.members['two']}", admin_state_up=True, weight=0)
    shop.says(two="DRAINING", pool="ONLINE", lb="ONLINE")
    # And health never says anything of what was asked for
    assert cloud.pending() == []


def test_statistics_at_the_api_are_the_traffic_whatever_is_lost_or_started_anew(
    cloud: OctaviaCloud, relay: Relay, shop: Shop
) -> None:
    shop.exchange(20)
    # When there are reloads in the middle of it
    cloud.update(f"listeners/{shop.listener}", connection_limit=900)
    shop.exchange(20)
    shop.counts()
    # And when the agent, and with it the receiver, is killed while traffic goes on
    (agent,) = cloud.agents
    agent.kill()
    shop.exchange(20)
    agent.start()
    shop.counts()
    # And when the device's own agent is started anew
    agents = amphora_agents(cloud.folder)
    assert agents
    for pid in agents:
        os.kill(pid, signal.SIGKILL)
    shop.exchange(20)
    until(lambda: set(amphora_agents(cloud.folder)) - set(agents), "it is started anew", 60)
    shop.counts()
    assert relay.lost > 5
    print(f"\n{relay.passed} heartbeats arrived, {relay.lost} were lost;", end=" ")
    print(f"{shop.sent} bytes in, {shop.received} out, {shop.connections} connections")
    shop.says(lb="ONLINE", pool="ONLINE", one="ONLINE", two="ONLINE")


def test_a_device_that_is_not_heard_is_an_error_until_it_is(
    cloud: OctaviaCloud, relay: Relay, shop: Shop
) -> None:
    relay.deaf = True
    try:
        shop.says(180, lb="ERROR", pool="ONLINE")
    finally:
        relay.deaf = False
    shop.says(lb="ONLINE", pool="ONLINE")
