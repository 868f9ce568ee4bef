"""A pool manager that is away, hangs or is late: every operation ends, and nothing leaks."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.octavia_cloud import OctaviaCloud
from tests.support.traffic import get
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def cloud() -> Iterator[OctaviaCloud]:
    patience = {"deadline": 12, "pool_build_timeout": 10, "pool_timeout": 5}
    with OctaviaCloud(octavia=patience) as running:
        yield running


def test_without_a_pool_manager_it_is_error_and_can_be_deleted_later(cloud: OctaviaCloud) -> None:
    cloud.pool.stop()
    made = cloud.balancer(settle=False)
    assert cloud.api.settled(f"loadbalancers/{made['id']}", 120) == "ERROR"
    # Its device was noted before anybody was asked
    (noted,) = cloud.known_devices(made["id"])
    assert noted.state == "building"
    cloud.api.call("DELETE", f"loadbalancers/{made['id']}?cascade=true")
    assert cloud.api.settled(f"loadbalancers/{made['id']}", 120) == "ERROR"
    cloud.pool.start()
    cloud.delete(f"loadbalancers/{made['id']}", "?cascade=true")
    assert (cloud.devices(), cloud.known_devices(made["id"])) == ([], [])


def test_what_is_built_too_late_is_taken_or_taken_away(cloud: OctaviaCloud) -> None:
    late, taken = cloud.balancer(settle=False), cloud.balancer(settle=False)
    os.kill(cloud.pool.pid, signal.SIGSTOP)
    try:
        for one in (late, taken):
            cloud.api.settled(f"loadbalancers/{one['id']}", 120)
    finally:
        os.kill(cloud.pool.pid, signal.SIGCONT)
    # One is deleted while nobody knows what became of its device, the other one is wanted again
    cloud.api.call("DELETE", f"loadbalancers/{late['id']}?cascade=true")
    cloud.api.call("PUT", f"loadbalancers/{taken['id']}/failover")
    assert cloud.api.settled(f"loadbalancers/{late['id']}", 120) == "DELETED"
    assert cloud.api.settled(f"loadbalancers/{taken['id']}", 120) == "ACTIVE"
    until(lambda: len(cloud.devices()) == 1, "there is one device", 120)
    (known,) = cloud.known_devices(taken["id"])
    assert cloud.devices()[0].name == known.name
    cloud.delete(f"loadbalancers/{taken['id']}", "?cascade=true")
    assert (cloud.devices(), cloud.ports()) == ([], [])


def test_without_a_pool_manager_what_serves_can_be_changed(cloud: OctaviaCloud) -> None:
    (web,) = cloud.members("web")
    made = cloud.balancer()
    cloud.pool.stop()
    try:
        front = cloud.create(
            "listeners", loadbalancer_id=made["id"], protocol="HTTP", protocol_port=80
        )
        pool = cloud.create(
            "pools", listener_id=front["id"], protocol="HTTP", lb_algorithm="ROUND_ROBIN"
        )
        cloud.create(f"pools/{pool['id']}/members", address=web.host, protocol_port=web.port)
        assert get(80, host=made["vip_address"]).body == b"web"
    finally:
        cloud.pool.start()
    cloud.delete(f"loadbalancers/{made['id']}", "?cascade=true")
