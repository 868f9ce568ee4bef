"""Octavia commits two seconds after the driver has returned: each method still ends in traffic."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.octavia_cloud import OctaviaCloud
from tests.support.traffic import get
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def cloud() -> Iterator[OctaviaCloud]:
    with OctaviaCloud(delay=2.0) as running:
        yield running


def answers(vip: str, port: int = 80, times: int = 12) -> set[str]:
    """Who answers, or the status where it is no member; empty where nobody listens."""
    found = set()
    for _ in range(times):
        try:
            answer = get(port, host=vip)
        except (OSError, http.client.HTTPException):
            continue
        found.add(answer.body.decode() if answer.status == 200 else str(answer.status))
    return found


def test_every_method_ends_in_traffic(cloud: OctaviaCloud) -> None:
    one, two = cloud.members("one", "two")
    made = cloud.balancer()
    lb, vip = f"loadbalancers/{made['id']}", made["vip_address"]
    assert answers(vip, times=1) == set()

    front = cloud.create("listeners", loadbalancer_id=made["id"], protocol="HTTP", protocol_port=80)
    assert answers(vip) == {"503"}
    listener = f"listeners/{front['id']}"
    pool = cloud.create(
        "pools", listener_id=front["id"], protocol="HTTP", lb_algorithm="ROUND_ROBIN"
    )
    members = f"pools/{pool['id']}/members"
    first = cloud.create(members, address=one.host, protocol_port=one.port)
    assert answers(vip) == {"one"}
    second = cloud.create(members, address=two.host, protocol_port=two.port, weight=0)
    assert answers(vip) == {"one"}
    cloud.update(f"{members}/{second['id']}", weight=1)
    assert answers(vip) == {"one", "two"}
    cloud.delete(f"{members}/{first['id']}")
    assert answers(vip) == {"two"}
    cloud.api.call("PUT", members, {"members": [{"address": one.host, "protocol_port": one.port}]})
    cloud.settle(members.rpartition("/")[0])
    assert answers(vip) == {"one"}

    # Nobody is there to be checked at this port: the monitor takes the member out.
    sick: dict[str, Any] = {
        "type": "TCP",
        "delay": 1,
        "timeout": 1,
        "max_retries": 1,
        "max_retries_down": 1,
    }
    monitor = cloud.create("healthmonitors", pool_id=pool["id"], **sick)
    assert answers(vip) == {"one"}
    (member,) = cloud.api.call("GET", members)["members"]
    cloud.update(f"{members}/{member['id']}", monitor_port=1)
    until(lambda: answers(vip, times=1) == {"503"}, "the monitor finds the member dead")
    cloud.update(f"healthmonitors/{monitor['id']}", admin_state_up=False)
    assert answers(vip) == {"one"}
    cloud.delete(f"healthmonitors/{monitor['id']}")
    assert answers(vip) == {"one"}

    cloud.update(f"pools/{pool['id']}", admin_state_up=False)
    assert answers(vip) == {"503"}
    cloud.update(f"pools/{pool['id']}", admin_state_up=True, lb_algorithm="SOURCE_IP")
    assert answers(vip) == {"one"}
    cloud.update(listener, admin_state_up=False)
    assert "one" not in answers(vip, times=2)
    cloud.update(listener, admin_state_up=True)
    assert answers(vip) == {"one"}
    cloud.update(lb, admin_state_up=False)
    assert "one" not in answers(vip, times=2)
    cloud.update(lb, admin_state_up=True)
    assert answers(vip) == {"one"}

    (before,) = cloud.known_devices(made["id"])
    cloud.api.call("PUT", f"{lb}/failover")
    cloud.settle(lb)
    (after,) = cloud.known_devices(made["id"])
    assert before.name != after.name
    assert answers(vip) == {"one"}

    cloud.delete(f"pools/{pool['id']}")
    assert answers(vip) == {"503"}
    cloud.delete(listener)
    assert answers(vip, times=1) == set()
    cloud.delete(lb)
    assert (cloud.devices(), cloud.ports()) == ([], [])


def test_a_whole_graph_is_made_and_deleted_with_all_in_it(cloud: OctaviaCloud) -> None:
    (web,) = cloud.members("web")
    member = {"address": web.host, "protocol_port": web.port}
    pool = {"protocol": "TCP", "lb_algorithm": "LEAST_CONNECTIONS", "members": [member]}
    fronts = [
        {"name": str(port), "protocol": "TCP", "protocol_port": port, "default_pool": {"name": "p"}}
        for port in (80, 8080)
    ]
    made = cloud.balancer(listeners=fronts, pools=[{"name": "p", **pool}])
    for port in (80, 8080):
        assert answers(made["vip_address"], port) == {"web"}
    cloud.delete(f"loadbalancers/{made['id']}", "?cascade=true")
    for kind in ("listeners", "pools"):
        assert cloud.api.call("GET", kind)[kind] == []
    assert (cloud.devices(), cloud.ports()) == ([], [])
