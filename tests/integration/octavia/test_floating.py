"""`vip = floating`: addresses come from the pool manager, and are given back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from libra_octavia.inventory.tables import addresses
from tests.support.octavia_cloud import MEMBERS_SUBNET, SUBNET, OctaviaCloud, Refused
from tests.support.traffic import get
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def cloud() -> Iterator[OctaviaCloud]:
    with OctaviaCloud(octavia={"vip": "floating", "commit_timeout": 5}) as running:
        yield running


def test_the_address_serves_moves_with_a_failover_and_is_given_back(cloud: OctaviaCloud) -> None:
    (web,) = cloud.members("web")
    pool = {
        "name": "webs",
        "protocol": "HTTP",
        "lb_algorithm": "ROUND_ROBIN",
        "members": [{"address": web.host, "protocol_port": web.port}],
    }
    front = {"name": "web", "protocol": "HTTP", "protocol_port": 80, "default_pool": pool}
    made = cloud.create("loadbalancers", vip_subnet_id=SUBNET, listeners=[front])
    (address,) = cloud.cloud.addresses()
    assert made["vip_address"] == address.ip
    assert get(80, host=address.ip).body == b"web"
    assert cloud.ports() == []
    cloud.api.call("PUT", f"loadbalancers/{made['id']}/failover")
    cloud.settle(f"loadbalancers/{made['id']}")
    assert get(80, host=address.ip).body == b"web"
    cloud.delete(f"loadbalancers/{made['id']}", "?cascade=true")
    assert (cloud.devices(), cloud.cloud.addresses()) == ([], [])


def test_what_cannot_be_started_is_error_and_all_else_serves_on(cloud: OctaviaCloud) -> None:
    (web,) = cloud.members("web")
    pool = {
        "name": "webs",
        "protocol": "HTTP",
        "lb_algorithm": "ROUND_ROBIN",
        "members": [{"address": web.host, "protocol_port": web.port}],
    }
    front = {"name": "web", "protocol": "HTTP", "protocol_port": 80, "default_pool": pool}
    made = cloud.create("loadbalancers", vip_subnet_id=SUBNET, listeners=[front])
    # HAProxy is to listen at every address of the device, and the agent has one of them already
    bad = cloud.create(
        "listeners",
        status="ERROR",
        loadbalancer_id=made["id"],
        protocol="TCP",
        protocol_port=9443,
    )
    assert get(80, host=made["vip_address"]).body == b"web"
    assert "Error reloading haproxy" in cloud.agents[0].log.read_text()
    cloud.delete(f"listeners/{bad['id']}")
    assert get(80, host=made["vip_address"]).body == b"web"
    cloud.delete(f"loadbalancers/{made['id']}", "?cascade=true")


def test_an_address_is_given_back_when_the_create_fails(cloud: OctaviaCloud) -> None:
    # What the driver refuses after it was asked for the address
    front = {"name": "udp", "protocol": "UDP", "protocol_port": 53}
    with pytest.raises(Refused, match="protocol"):
        cloud.create("loadbalancers", vip_subnet_id=SUBNET, listeners=[front])
    assert len(cloud.cloud.addresses()) == 1
    until(lambda: cloud.cloud.addresses() == [], "the address is given back", 120)
    assert cloud.api.call("GET", "loadbalancers")["loadbalancers"] == []


def test_an_address_cannot_be_chosen(cloud: OctaviaCloud) -> None:
    with pytest.raises(Refused, match="vip_address"):
        cloud.create("loadbalancers", vip_subnet_id=SUBNET, vip_address="203.0.113.9")
    with pytest.raises(Refused, match="additional_vips"):
        cloud.create(
            "loadbalancers", vip_subnet_id=SUBNET, additional_vips=[{"subnet_id": MEMBERS_SUBNET}]
        )
    assert cloud.cloud.addresses() == []


def test_without_a_pool_manager_the_call_fails_in_words_and_in_time(cloud: OctaviaCloud) -> None:
    cloud.pool.stop()
    try:
        with pytest.raises(Refused) as caught:
            cloud.create("loadbalancers", vip_subnet_id=SUBNET)
        assert caught.value.status == 500
    finally:
        cloud.pool.start()
    assert cloud.api.call("GET", "loadbalancers")["loadbalancers"] == []
    until(lambda: cloud.cloud.addresses() == [], "whatever was made is given back", 120)
    until(lambda: noted(cloud) == [], "and forgotten", 120)


def noted(cloud: OctaviaCloud) -> list[Any]:
    with cloud.database.read() as connection:
        return list(connection.execute(select(addresses)).all())
