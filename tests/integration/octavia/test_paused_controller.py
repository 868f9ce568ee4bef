"""A controller that was stopped for longer than its lease cannot push what it had in hand."""

from __future__ import annotations

import time

import pytest

from tests.support.octavia_cloud import OctaviaCloud
from tests.support.traffic import get
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LEASE = 5


@pytest.mark.parametrize("pause", [0, 60])
def test_the_device_refuses_the_older_configuration(pause: int) -> None:
    with OctaviaCloud(agents=2, started=1, octavia={"lease": LEASE}) as cloud:
        paused, other = cloud.agents
        one, two = cloud.members("one", "two")
        made = cloud.balancer()
        front = cloud.create(
            "listeners", loadbalancer_id=made["id"], protocol="HTTP", protocol_port=80
        )
        pool = cloud.create(
            "pools", listener_id=front["id"], protocol="HTTP", lb_algorithm="ROUND_ROBIN"
        )
        members = f"pools/{pool['id']}/members"
        # Given a controller that stops when it is about to send a device the first member
        paused.stop()
        paused.start(stop_at="octavia_pushing")
        first = cloud.create(members, settle=False, address=one.host, protocol_port=one.port)
        until(lambda: paused.stopped, "it is about to send", 60)
        stopped_at = time.monotonic()
        # When another one takes over after the lease, and the first member goes again
        other.start()
        cloud.settle(f"{members}/{first['id']}")
        assert get(80, host=made["vip_address"]).body == b"one"
        cloud.create(members, address=two.host, protocol_port=two.port)
        cloud.delete(f"{members}/{first['id']}")
        assert get(80, host=made["vip_address"]).body == b"two"
        until(lambda: time.monotonic() - stopped_at >= pause, "it was away for so long", 90)
        # And the first one goes on with what it had in hand
        paused.thaw()
        until(lambda: "was taken by another" in paused.log.read_text(), "it sees its end", 90)
        # After long enough the device has closed the connection, and it comes no further than that
        assert pause or "is older than" in paused.log.read_text()
        # Then nothing has changed: not in traffic, and not for Octavia
        assert {get(80, host=made["vip_address"]).body for _ in range(10)} == {b"two"}
        assert cloud.pending() == []
        assert cloud.api.settled(f"loadbalancers/{made['id']}") == "ACTIVE"
        cloud.delete(f"loadbalancers/{made['id']}", "?cascade=true")
        assert (cloud.devices(), cloud.ports()) == ([], [])
