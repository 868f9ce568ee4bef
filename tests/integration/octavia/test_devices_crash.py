"""kill -9 of the agent at every step: the next one goes on, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.agent_process import Agent
from tests.support.octavia_cloud import MEMBERS_SUBNET, OctaviaCloud
from tests.support.traffic import get
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

BUILDING = (
    "octavia_noted",
    "octavia_built",
    "octavia_answers",
    "octavia_port_noted",
    "octavia_attached",
    "octavia_uploaded",
    "octavia_acted",
    "octavia_taken_over",
)


@pytest.fixture(scope="module")
def cloud() -> Iterator[OctaviaCloud]:
    with OctaviaCloud() as running:
        yield running


def graph(cloud: OctaviaCloud) -> dict[str, Any]:
    (web,) = cloud.members("web")
    member = {"address": web.host, "protocol_port": web.port, "subnet_id": MEMBERS_SUBNET}
    pool = {
        "name": "webs",
        "protocol": "HTTP",
        "lb_algorithm": "ROUND_ROBIN",
        "members": [member],
    }
    front = {"name": "web", "protocol": "HTTP", "protocol_port": 80, "default_pool": pool}
    return {"listeners": [front]}


def crashing(cloud: OctaviaCloud, point: str) -> Agent:
    """The agent, started anew so that it kills itself when it comes to `point`."""
    (agent,) = cloud.agents
    agent.stop()
    return agent.start(crash_at=point)


def crashed(cloud: OctaviaCloud, point: str) -> None:
    """Wait until it has, and start it as it should be."""
    (agent,) = cloud.agents
    until(lambda: not agent.running, f"the agent comes to {point}", 90)
    agent.start()


def serves_alone(cloud: OctaviaCloud, made: dict[str, Any]) -> None:
    """One device, two ports, and the member is reached."""
    assert get(80, host=made["vip_address"]).body == b"web"
    (device,) = cloud.devices()
    (known,) = cloud.known_devices(made["id"])
    assert (known.name, known.state) == (device.name, "ready")
    assert len(cloud.ports()) == 2
    assert all(port.device == device.name for port in cloud.ports())


@pytest.mark.parametrize("point", BUILDING)
def test_a_load_balancer_is_made_whatever_its_agent_was_doing(
    cloud: OctaviaCloud, point: str
) -> None:
    crashing(cloud, point)
    made = cloud.balancer(settle=False, **graph(cloud))
    crashed(cloud, point)
    cloud.settle(f"loadbalancers/{made['id']}")
    serves_alone(cloud, made)
    cloud.delete(f"loadbalancers/{made['id']}", "?cascade=true")
    assert (cloud.devices(), cloud.ports()) == ([], [])


def test_a_delete_ends_whatever_its_agent_was_doing(cloud: OctaviaCloud) -> None:
    made = cloud.balancer(**graph(cloud))
    crashing(cloud, "octavia_deleted")
    cloud.api.call("DELETE", f"loadbalancers/{made['id']}?cascade=true")
    crashed(cloud, "octavia_deleted")
    cloud.settle(f"loadbalancers/{made['id']}", "DELETED")
    assert (cloud.devices(), cloud.ports(), cloud.known_devices(made["id"])) == ([], [], [])


@pytest.fixture
def made(cloud: OctaviaCloud) -> dict[str, Any]:
    """A load balancer that serves: that of the test before where it came out well."""
    for one in cloud.api.call("GET", "loadbalancers")["loadbalancers"]:
        if cloud.api.settled(f"loadbalancers/{one['id']}", 120) == "ACTIVE":
            return dict(one)
        cloud.delete(f"loadbalancers/{one['id']}", "?cascade=true")
    return cloud.balancer(**graph(cloud))


@pytest.mark.parametrize("point", [*BUILDING, "octavia_deleted"])
def test_a_failover_ends_whatever_its_agent_was_doing(
    cloud: OctaviaCloud, made: dict[str, Any], point: str
) -> None:
    (before,) = cloud.devices()
    crashing(cloud, point)
    cloud.api.call("PUT", f"loadbalancers/{made['id']}/failover")
    crashed(cloud, point)
    cloud.settle(f"loadbalancers/{made['id']}")
    serves_alone(cloud, made)
    assert before.name != cloud.devices()[0].name
