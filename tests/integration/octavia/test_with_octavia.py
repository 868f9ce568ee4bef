"""From a REST call to Octavia's status: the real API and driver-agent, driver, inventory and agent.

Octavia commits two seconds after the driver has returned, so whatever is reported too soon is
overwritten by PENDING and stays so.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from libra_octavia.agent.devices import DeviceRefused, Wanted
from libra_octavia.agent.octavia import library
from libra_octavia.files import files
from libra_octavia.inventory import Database, migrate
from libra_octavia.l7 import Action, Policy
from libra_octavia.model import Algorithm, Listener, Pool
from tests.support.octavia_agent import AgentLoop, StandIn
from tests.support.octavia_api import OctaviaApi, Refused
from tests.support.octavia_tls import authority_pem, clients, container
from tests.support.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SUBNET = str(uuid.uuid4())


@dataclass
class System:
    """What the tests drive, and what they look at."""

    api: OctaviaApi
    devices: StandIn
    agent: AgentLoop

    def create(self, path: str, *, status: str = "ACTIVE", **fields: Any) -> dict[str, Any]:
        """Create an object and wait until it, and its load balancer, have settled."""
        collection = path.rpartition("/")[2]
        one = {"healthmonitors": "healthmonitor", "l7policies": "l7policy"}.get(
            collection, collection[:-1]
        )
        (made,) = self.api.call("POST", path, {one: fields}).values()
        assert self.api.settled(f"{path}/{made['id']}") == status
        self.all_settled()
        return dict(made)

    def update(self, path: str, *, status: str = "ACTIVE", **fields: Any) -> None:
        one = path.split("/")[-2][:-1]
        self.api.call("PUT", path, {one: fields})
        assert self.api.settled(path) == status
        self.all_settled()

    def delete(self, path: str, query: str = "") -> None:
        self.api.call("DELETE", path + query)
        assert self.api.settled(path) == "DELETED"
        self.all_settled()

    def all_settled(self) -> None:
        """Nothing may be left PENDING, whatever it is."""
        for kind in ("loadbalancers", "listeners", "pools", "healthmonitors"):
            for found in self.api.call("GET", kind)[kind]:
                self.api.settled(f"{kind}/{found['id']}")
        for found in self.api.call("GET", "pools")["pools"]:
            for member in found["members"]:
                self.api.settled(f"pools/{found['id']}/members/{member['id']}")

    def serving(self, name: str) -> Wanted:
        return self.devices.wanted[name]

    def listener(self, name: str) -> Listener:
        (found,) = self.serving(name).balancer.listeners
        return found

    def pool(self, name: str) -> Pool:
        (found,) = self.serving(name).balancer.pools
        return found


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder: Path = tmp_path_factory.mktemp("system")
    url = f"sqlite:///{folder / 'inventory.db'}"
    settings = folder / "libra.cfg"
    settings.write_text(
        f"[octavia]\ninventory = {url}\n[gearman]\nservers = 127.0.0.1:{free_port()}\n"
    )
    database = Database(url)
    migrate(database)
    devices = StandIn()
    with (
        OctaviaApi(settings, delay=2.0) as api,
        AgentLoop(database, devices, lambda: library(api.folder)) as agent,
    ):
        yield System(api, devices, agent)


@pytest.fixture
def balancer(system: System) -> Iterator[str]:
    """A load balancer with nothing in it, which is taken away with all that came to be in it."""
    found = system.create("loadbalancers", vip_subnet_id=SUBNET, name="a")
    yield str(found["id"])
    if system.api.show(f"loadbalancers/{found['id']}"):
        system.delete(f"loadbalancers/{found['id']}", "?cascade=true")
    assert found["id"] not in system.devices.wanted


def test_each_kind_of_object_is_created_updated_and_deleted(system: System, balancer: str) -> None:
    lb = f"loadbalancers/{balancer}"
    shown = system.api.show(lb) or {}
    assert system.serving(balancer).balancer.addresses == (shown["vip_address"],)

    system.update(lb, name="b", admin_state_up=False)
    assert not system.serving(balancer).balancer.enabled
    system.update(lb, admin_state_up=True)
    assert system.serving(balancer).balancer.enabled

    front = system.create("listeners", loadbalancer_id=balancer, protocol="HTTP", protocol_port=80)
    assert system.listener(balancer).port == 80
    system.update(f"listeners/{front['id']}", connection_limit=7, timeout_client_data=1234)
    assert system.listener(balancer).connections == 7
    assert system.listener(balancer).timeout_client == 1234

    behind = system.create(
        "pools", listener_id=front["id"], protocol="HTTP", lb_algorithm="ROUND_ROBIN"
    )
    assert system.listener(balancer).pool_id == behind["id"]
    sticky = {"type": "HTTP_COOKIE"}
    pool = f"pools/{behind['id']}"
    system.update(pool, lb_algorithm="LEAST_CONNECTIONS", session_persistence=sticky)
    assert system.pool(balancer).algorithm is Algorithm.LEAST_CONNECTIONS
    assert system.pool(balancer).persistence is not None
    system.update(pool, session_persistence=None)
    assert system.pool(balancer).persistence is None

    members = f"{pool}/members"
    member = system.create(members, address="192.0.2.1", protocol_port=80)
    assert [one.address for one in system.pool(balancer).members] == ["192.0.2.1"]
    assert (system.api.show(f"{members}/{member['id']}") or {})["operating_status"] == "NO_MONITOR"
    system.update(f"{members}/{member['id']}", weight=9)
    assert [one.weight for one in system.pool(balancer).members] == [9]

    system.api.call(
        "PUT",
        members,
        {
            "members": [
                {"address": "192.0.2.1", "protocol_port": 80, "weight": 3},
                {"address": "192.0.2.2", "protocol_port": 81},
            ]
        },
    )
    system.all_settled()
    assert {(one.address, one.weight) for one in system.pool(balancer).members} == {
        ("192.0.2.1", 3),
        ("192.0.2.2", 1),
    }
    system.api.call("PUT", members, {"members": [{"address": "192.0.2.2", "protocol_port": 81}]})
    system.all_settled()
    assert [one.address for one in system.pool(balancer).members] == ["192.0.2.2"]
    assert system.api.show(f"{members}/{member['id']}") is None

    monitor = system.create(
        "healthmonitors", pool_id=behind["id"], type="HTTP", delay=5, timeout=3, max_retries=2
    )
    system.update(f"healthmonitors/{monitor['id']}", delay=8, url_path="/health")
    found = system.pool(balancer).monitor
    assert found is not None
    assert (found.delay, found.path) == (8, "/health")

    system.delete(f"healthmonitors/{monitor['id']}")
    assert system.pool(balancer).monitor is None
    (last,) = system.pool(balancer).members
    system.delete(f"{members}/{last.id}")
    assert system.pool(balancer).members == ()
    system.delete(pool)
    assert system.serving(balancer).balancer.pools == ()
    assert system.listener(balancer).pool_id is None
    system.delete(f"listeners/{front['id']}")
    assert system.serving(balancer).balancer.listeners == ()
    system.delete(lb)
    assert balancer in system.devices.removed


def test_policies_and_rules_come_change_and_go(system: System, balancer: str) -> None:
    front = system.create("listeners", loadbalancer_id=balancer, protocol="HTTP", protocol_port=80)
    away = {"action": "REDIRECT_TO_URL", "redirect_url": "http://a.org/%20"}
    one, two = (system.create("l7policies", listener_id=front["id"], **away) for _ in range(2))

    def policies() -> list[Policy]:
        return list(system.listener(balancer).policies)

    assert [policy.id for policy in policies()] == [one["id"], two["id"]]
    rules = f"l7policies/{one['id']}/rules"
    rule = system.create(rules, type="PATH", compare_type="EQUAL_TO", value="/x")
    assert [found.value for found in policies()[0].rules] == ["/x"]
    system.api.call("PUT", f"{rules}/{rule['id']}", {"rule": {"value": "/y", "invert": True}})
    assert system.api.settled(f"{rules}/{rule['id']}") == "ACTIVE"
    system.all_settled()
    assert [(found.value, found.invert) for found in policies()[0].rules] == [("/y", True)]

    # Octavia numbers positions itself: one beyond the end is the last one.
    for position, order in ((7, [two, one]), (1, [one, two])):
        system.api.call("PUT", f"l7policies/{one['id']}", {"l7policy": {"position": position}})
        assert system.api.settled(f"l7policies/{one['id']}") == "ACTIVE"
        system.all_settled()
        assert [policy.id for policy in policies()] == [found["id"] for found in order]

    changed = {"action": "REJECT", "admin_state_up": False}
    system.api.call("PUT", f"l7policies/{one['id']}", {"l7policy": changed})
    assert system.api.settled(f"l7policies/{one['id']}") == "ACTIVE"
    system.all_settled()
    assert (policies()[0].action, policies()[0].enabled) == (Action.REJECT, False)

    system.delete(f"{rules}/{rule['id']}")
    assert policies()[0].rules == ()
    system.delete(f"l7policies/{one['id']}")
    assert [policy.id for policy in policies()] == [two["id"]]


def test_certificates_and_options_of_a_listener_change(system: System, balancer: str) -> None:
    for name in ("one", "two"):
        system.api.keep(name, container(f"{name}.example.org"))
    system.api.keep("clients", authority_pem(clients()))
    front = system.create(
        "listeners",
        loadbalancer_id=balancer,
        protocol="TERMINATED_HTTPS",
        protocol_port=443,
        default_tls_container_ref="one",
        insert_headers={"X-Forwarded-For": "true", "X-Forwarded-Port": "true"},
        allowed_cidrs=["192.0.2.0/24"],
    )
    path = f"listeners/{front['id']}"

    def files_of() -> dict[str, bytes]:
        return dict(files(system.serving(balancer).balancer))

    before = files_of()
    system.update(path, default_tls_container_ref="two")
    after = files_of()
    assert set(after) == set(before)
    assert after != before
    # What is said of TLS alone needs no certificate of before, which Octavia does not hand over.
    system.update(path, sni_container_refs=["two", "one"], tls_versions=["TLSv1.3"])
    tls = system.listener(balancer).tls
    assert tls is not None
    assert (len(tls.certificates), tls.spoken.oldest.value) == (3, "TLSv1.3")
    both = {"client_authentication": "MANDATORY", "client_ca_tls_container_ref": "clients"}
    system.update(path, **both, hsts_max_age=5, insert_headers={"X-Forwarded-Port": "8443"})
    found = system.listener(balancer)
    assert found.tls is not None
    assert found.tls.verify.value == "MANDATORY"
    assert (found.headers, found.forwarded_port) == ((), 8443)
    system.update(path, allowed_cidrs=None, insert_headers={}, hsts_max_age=None)
    found = system.listener(balancer)
    assert (found.allowed, found.forwarded_port, found.strict_transport) == ((), None, None)


def test_a_whole_graph_is_created_by_one_call_and_deleted_by_another(system: System) -> None:
    behind = {
        "name": "behind",
        "protocol": "HTTP",
        "lb_algorithm": "SOURCE_IP",
        "members": [{"address": "192.0.2.1", "protocol_port": 80}],
        "healthmonitor": {"type": "TCP", "delay": 5, "timeout": 3, "max_retries": 2},
    }
    fronts = [
        {"name": "a", "protocol": "HTTP", "protocol_port": 80, "default_pool": {"name": "behind"}},
        {"name": "b", "protocol": "TCP", "protocol_port": 25},
    ]
    # One of the pools is used by no listener.
    alone = {"name": "alone", "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN"}
    made = system.create(
        "loadbalancers", vip_subnet_id=SUBNET, listeners=fronts, pools=[behind, alone]
    )
    found = system.serving(made["id"]).balancer
    assert {one.port for one in found.listeners} == {80, 25}
    assert len(found.pools) == 2
    assert [len(pool.members) for _, pool in found.serving if pool] == [1]
    system.delete(f"loadbalancers/{made['id']}", "?cascade=true")
    for kind in ("listeners", "pools", "healthmonitors"):
        assert system.api.call("GET", kind)[kind] == []
    assert made["id"] not in system.devices.wanted


def test_a_failover_is_done_and_reported(system: System, balancer: str) -> None:
    system.api.call("PUT", f"loadbalancers/{balancer}/failover")
    assert system.api.settled(f"loadbalancers/{balancer}") == "ACTIVE"
    assert set(system.devices.replaced) == {balancer}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"protocol": "UDP"}, "protocol"),
        ({"insert_headers": {"X-Forwarded-Port": "0"}}, "insert_headers"),
        ({"connection_limit": 0}, "connection_limit"),
    ],
)
def test_what_is_not_supported_is_refused_by_name_and_changes_nothing(
    system: System, balancer: str, fields: dict[str, Any], named: str
) -> None:
    whole = {"loadbalancer_id": balancer, "protocol": "HTTP", "protocol_port": 80, **fields}
    with pytest.raises(Refused, match=named) as caught:
        system.api.call("POST", "listeners", {"listener": whole})
    assert caught.value.status == 501
    assert system.api.settled(f"loadbalancers/{balancer}") == "ACTIVE"
    assert system.agent.intents.of(balancer) == ()


def test_what_a_device_refuses_is_error_and_the_rest_can_still_be_changed(
    system: System, balancer: str
) -> None:
    def refuse(_: str) -> None:
        raise DeviceRefused("the device says no")

    system.devices.before = refuse
    front = system.create(
        "listeners", status="ERROR", loadbalancer_id=balancer, protocol="TCP", protocol_port=25
    )
    system.devices.before = lambda _: None
    assert (system.api.show(f"loadbalancers/{balancer}") or {})["provisioning_status"] == "ACTIVE"
    # And once the device takes it, an update makes it right.
    system.update(f"listeners/{front['id']}", connection_limit=5)
    assert system.listener(balancer).connections == 5


def test_what_the_api_hides_from_the_driver_is_error_and_the_rest_serves(system: System) -> None:
    # Octavia leaves L7 policies out of what it tells the driver of a whole graph
    rule = {"type": "PATH", "compare_type": "REGEX", "value": r"\u0041"}
    policy = {"action": "REJECT", "rules": [rule]}
    fronts = [
        {"name": "l7", "protocol": "HTTP", "protocol_port": 80, "l7policies": [policy]},
        {"name": "plain", "protocol": "TCP", "protocol_port": 25},
    ]
    made = system.create("loadbalancers", vip_subnet_id=SUBNET, listeners=fronts)
    assert [one.port for one in system.serving(made["id"]).balancer.listeners] == [25]
    status = {
        one["name"]: one["provisioning_status"]
        for one in system.api.call("GET", "listeners")["listeners"]
    }
    assert status == {"l7": "ERROR", "plain": "ACTIVE"}
    (found,) = system.api.call("GET", "l7policies")["l7policies"]
    assert found["provisioning_status"] == "ERROR"
    system.delete(f"loadbalancers/{made['id']}", "?cascade=true")
    for kind in ("listeners", "l7policies"):
        assert system.api.call("GET", kind)[kind] == []
