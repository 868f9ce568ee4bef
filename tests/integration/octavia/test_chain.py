"""From a REST call to traffic and back: everything real, in one network namespace."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Table, select, update

from libra_amphora.ip_vs import IpVs
from libra_amphora.namespace import Namespace
from libra_common.jobs import JobClient, parse_server
from libra_octavia.devices.certificates import Certificates
from libra_octavia.inventory import Device, Devices, Intents
from libra_octavia.inventory.tables import certificates, devices, intents, load_balancers, ports
from tests.support import netns
from tests.support.backends import HttpBackend
from tests.support.octavia_cloud import HEARTBEAT_KEY, MEMBERS_SUBNET, SUBNET, OctaviaCloud, Refused
from tests.support.traffic import get, refused
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def cloud() -> Iterator[OctaviaCloud]:
    # Whether devices do have IP_VS is the kernel's of this machine.
    with OctaviaCloud(octavia={"ip_vs": "true"}) as running:
        yield running


@dataclass
class Whole:
    """A load balancer with an HTTP listener, its pool, and members of it that answer."""

    id: str
    vip: str
    listener: str
    pool: str
    members: dict[str, str]
    webs: dict[str, HttpBackend]


@pytest.fixture
def whole(cloud: OctaviaCloud) -> Iterator[Whole]:
    webs = {web.name: web for web in cloud.members("one", "two", "three")}
    made = cloud.balancer(
        listeners=[
            {
                "name": "web",
                "protocol": "HTTP",
                "protocol_port": 80,
                "default_pool": {
                    "name": "webs",
                    "protocol": "HTTP",
                    "lb_algorithm": "ROUND_ROBIN",
                    "members": [member(webs["one"]), member(webs["two"])],
                },
            }
        ]
    )
    (listener,), (pool,) = made["listeners"], made["pools"]
    found = cloud.api.call("GET", f"pools/{pool['id']}/members")["members"]
    yield Whole(
        id=made["id"],
        vip=made["vip_address"],
        listener=listener["id"],
        pool=pool["id"],
        members={one["name"]: one["id"] for one in found},
        webs=webs,
    )
    if cloud.api.show(f"loadbalancers/{made['id']}"):
        cloud.delete(f"loadbalancers/{made['id']}", "?cascade=true")
    nothing_is_left(cloud)


def member(web: HttpBackend, **fields: Any) -> dict[str, Any]:
    return {"name": web.name, "address": web.host, "protocol_port": web.port, **fields}


def nothing_is_left(cloud: OctaviaCloud) -> None:
    assert cloud.devices() == []
    assert cloud.ports() == []
    # The agent forgets what Octavia was told a moment later.
    tables = (devices, ports, certificates, intents, load_balancers)
    until(lambda: not any(rows(cloud, table) for table in tables), "the inventory is empty")


def rows(cloud: OctaviaCloud, table: Table) -> list[Any]:
    with cloud.database.read() as connection:
        return list(connection.execute(select(table)).all())


def bodies(vip: str, times: int = 12) -> set[str]:
    return {get(80, host=vip).body.decode() for _ in range(times)}


class Clients:
    """Ask all the time, each request on a connection of its own; `failures` is what went wrong."""

    def __init__(self, vip: str, good: set[str]) -> None:
        self.failures: list[str] = []
        self.answers = 0
        self._vip, self._good = vip, good
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(4)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        until(lambda: self.answers > 20, "clients are answered")
        return self

    def __exit__(self, *_: object) -> None:
        seen = self.answers
        until(lambda: self.answers > seen + 20 or bool(self.failures), "clients go on")
        self._end.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self) -> None:
        while not self._end.is_set():
            try:
                answer = get(80, host=self._vip)
            except Exception as error:  # noqa: BLE001 - each is a lost request
                self.failures.append(repr(error))
            else:
                if answer.status != 200 or answer.body.decode() not in self._good:
                    self.failures.append(f"{answer.status} {answer.body!r}")
                self.answers += 1


def test_a_whole_graph_serves_and_is_deleted_without_a_trace(
    cloud: OctaviaCloud, whole: Whole
) -> None:
    assert bodies(whole.vip) == {"one", "two"}
    (device,) = cloud.known_devices(whole.id)
    (port,) = cloud.ports()
    assert (device.state, port.addresses) == ("ready", (whole.vip,))
    cloud.delete(f"loadbalancers/{whole.id}", "?cascade=true")
    nothing_is_left(cloud)
    assert "libra" not in netns.ip("route", "show", whole.vip, namespace=cloud.namespace)


def test_members_come_and_go_without_a_lost_request(cloud: OctaviaCloud, whole: Whole) -> None:
    with Clients(whole.vip, {"one", "two", "three"}) as clients:
        path = f"pools/{whole.pool}/members"
        three = cloud.create(path, **member(whole.webs["three"]))
        assert bodies(whole.vip) == {"one", "two", "three"}
        cloud.delete(f"{path}/{whole.members['one']}")
        assert bodies(whole.vip) == {"two", "three"}
        cloud.update(f"{path}/{three['id']}", weight=0)
        assert bodies(whole.vip) == {"two"}
        cloud.update(f"{path}/{three['id']}", weight=5)
        cloud.update(f"{path}/{whole.members['two']}", admin_state_up=False)
        assert bodies(whole.vip) == {"three"}
        cloud.api.call("PUT", path, {"members": [member(whole.webs["one"])]})
        cloud.settle(f"loadbalancers/{whole.id}")
        assert bodies(whole.vip) == {"one"}
    assert clients.failures == []


def test_listeners_come_change_and_go(cloud: OctaviaCloud, whole: Whole) -> None:
    with Clients(whole.vip, {"one", "two"}) as clients:
        other = cloud.create(
            "listeners",
            loadbalancer_id=whole.id,
            protocol="TCP",
            protocol_port=8080,
            default_pool_id=None,
        )
        (web,) = [whole.webs["three"]]
        pool = cloud.create(
            "pools", listener_id=other["id"], protocol="TCP", lb_algorithm="ROUND_ROBIN"
        )
        cloud.create(f"pools/{pool['id']}/members", **member(web))
        assert get(8080, host=whole.vip).body == b"three"
        cloud.update(f"listeners/{other['id']}", admin_state_up=False)
        assert refused(8080, whole.vip)
        cloud.update(f"listeners/{other['id']}", admin_state_up=True)
        assert get(8080, host=whole.vip).body == b"three"
        cloud.delete(f"pools/{pool['id']}")
        cloud.delete(f"listeners/{other['id']}")
        assert refused(8080, whole.vip)
    assert clients.failures == []


def test_the_last_listener_goes_and_another_comes(cloud: OctaviaCloud, whole: Whole) -> None:
    cloud.delete(f"listeners/{whole.listener}")
    assert not cloud.serves(whole.vip, "one")
    cloud.create(
        "listeners",
        loadbalancer_id=whole.id,
        protocol="HTTP",
        protocol_port=80,
        default_pool_id=whole.pool,
    )
    assert bodies(whole.vip) == {"one", "two"}


def test_a_load_balancer_that_is_switched_off_serves_nothing(
    cloud: OctaviaCloud, whole: Whole
) -> None:
    cloud.update(f"loadbalancers/{whole.id}", admin_state_up=False)
    assert not cloud.serves(whole.vip, "one")
    cloud.update(f"loadbalancers/{whole.id}", admin_state_up=True)
    assert bodies(whole.vip) == {"one", "two"}


def test_a_subnet_of_members_gives_the_device_a_port_that_goes_with_its_last_member(
    cloud: OctaviaCloud, whole: Whole
) -> None:
    path = f"pools/{whole.pool}/members"
    three = cloud.create(path, **member(whole.webs["three"], subnet_id=MEMBERS_SUBNET))
    assert bodies(whole.vip) == {"one", "two", "three"}
    assert len(cloud.ports()) == 2
    (device,) = cloud.known_devices(whole.id)
    assert [port.subnet for port in cloud.known_ports(device.name)] == [SUBNET, MEMBERS_SUBNET]
    cloud.delete(f"{path}/{three['id']}")
    assert bodies(whole.vip) == {"one", "two"}
    # Requests that are under way may still come by it for a while.
    until(lambda: len(cloud.ports()) == 1, "the port is given back", seconds=120)
    assert bodies(whole.vip) == {"one", "two"}


def test_additional_addresses_serve_too(cloud: OctaviaCloud) -> None:
    (web,) = cloud.members("web")
    made = cloud.balancer(
        additional_vips=[{"subnet_id": MEMBERS_SUBNET, "ip_address": "2001:db8:1::80"}],
        listeners=[
            {
                "name": "web",
                "protocol": "HTTP",
                "protocol_port": 80,
                "default_pool": {
                    "name": "webs",
                    "protocol": "HTTP",
                    "lb_algorithm": "ROUND_ROBIN",
                    "members": [member(web)],
                },
            }
        ],
    )
    for vip in (made["vip_address"], "2001:db8:1::80"):
        assert get(80, host=vip).body == b"web"
    cloud.delete(f"loadbalancers/{made['id']}", "?cascade=true")
    nothing_is_left(cloud)


def test_a_failover_is_another_device_and_hardly_noticed(cloud: OctaviaCloud, whole: Whole) -> None:
    (before,) = cloud.known_devices(whole.id)
    cloud.api.call("PUT", f"loadbalancers/{whole.id}/failover")
    cloud.settle(f"loadbalancers/{whole.id}")
    (after,) = cloud.known_devices(whole.id)
    assert after.name != before.name
    assert [one.name for one in cloud.devices()] == [after.name]
    assert bodies(whole.vip) == {"one", "two"}


def test_a_device_that_was_deleted_behind_our_back_is_built_anew(
    cloud: OctaviaCloud, whole: Whole
) -> None:
    (before,) = cloud.known_devices(whole.id)
    client = JobClient(servers=[parse_server(cloud.gearmand.address)])
    message = f'{{"action": "DELETE_DEVICE", "name": "{before.name}"}}'
    assert b"PASS" in client.submit("libra_pool_mgm", message.encode(), timeout=60)
    assert not cloud.serves(whole.vip, "one")
    cloud.update(f"listeners/{whole.listener}", connection_limit=1000)
    (after,) = cloud.known_devices(whole.id)
    assert after.name != before.name
    assert bodies(whole.vip) == {"one", "two"}


def test_a_devices_certificate_is_renewed_before_it_ends(cloud: OctaviaCloud, whole: Whole) -> None:
    (device,) = cloud.known_devices(whole.id)
    known = Devices(cloud.database)
    (first,) = known.certificates(device.name)
    assert shown_serial(cloud, device) == first.serial
    with cloud.database.write() as connection:
        soon = update(certificates).values(not_after=time.time() + 3600)
        connection.execute(soon.where(certificates.c.serial == first.serial))
    until(lambda: len(known.certificates(device.name)) == 2, "another one is made", 60)
    until(lambda: shown_serial(cloud, device) != first.serial, "the device shows it", 60)
    assert shown_serial(cloud, device) == known.certificates(device.name)[0].serial
    # And it is still the device that the agent speaks to
    cloud.update(f"listeners/{whole.listener}", connection_limit=2000)
    assert bodies(whole.vip) == {"one", "two"}


def shown_serial(cloud: OctaviaCloud, device: Device) -> str:
    """The serial number of the certificate that a device shows."""
    mine = Certificates(folder=cloud.folder / "ca", days=90, devices=Devices(cloud.database))
    assert device.address
    assert device.amphora_id
    raw = socket.create_connection((device.address, 9443), 10)
    with mine.context().wrap_socket(raw, server_hostname=device.amphora_id) as connection:
        found = connection.getpeercert() or {}
    return str(found["serialNumber"]).lower().lstrip("0")


def test_what_is_as_it_should_be_costs_one_request(cloud: OctaviaCloud, whole: Whole) -> None:
    def asked() -> list[str]:
        (log,) = cloud.folder.glob("d/*/log/agent.log")
        return [line for line in log.read_text().splitlines() if " /1.0/" in line]

    before = asked()
    # An agent that starts looks at all load balancers anew
    (agent,) = cloud.agents
    agent.stop()
    agent.start()
    until(lambda: len(asked()) > len(before), "the device is asked", 60)
    until(lambda: Intents(cloud.database).of(whole.id) == (), "and all is as it should be", 60)
    with Clients(whole.vip, {"one", "two"}) as clients:
        pass
    assert clients.failures == []
    (one,) = asked()[len(before) :]
    assert f"GET /1.0/loadbalancer/{whole.id}/haproxy" in one


def test_udp_is_served_or_error_with_the_devices_reason_and_all_else_serves(
    cloud: OctaviaCloud, whole: Whole
) -> None:
    reason = IpVs(Namespace("")).why_not()
    status = "ACTIVE" if reason is None else "ERROR"
    # When a pool and a listener of UDP are asked for, at the port of a listener of TCP
    behind: dict[str, Any] = {"loadbalancer_id": whole.id, "lb_algorithm": "ROUND_ROBIN"}
    pool = cloud.create("pools", protocol="UDP", **behind)
    front: dict[str, Any] = {"protocol_port": 80, "default_pool_id": pool["id"]}
    front["loadbalancer_id"] = whole.id
    made = cloud.create("listeners", protocol="UDP", status=status, **front)
    # Then the load balancer and the other listener are as before, and the reason is known
    shown = cloud.api.show(f"loadbalancers/{whole.id}")
    assert shown is not None
    assert shown["provisioning_status"] == "ACTIVE"
    assert bodies(whole.vip) == {"one", "two"}
    (row,) = rows(cloud, load_balancers)
    assert (reason or "") in (row.last_error or "")
    assert (row.last_error is None) is (reason is None)
    # When something else is changed, that is served, and is no error
    cloud.delete(f"pools/{whole.pool}/members/{whole.members['one']}")
    assert bodies(whole.vip) == {"two"}
    # When the listener goes, all is well
    cloud.delete(f"listeners/{made['id']}")
    cloud.delete(f"pools/{pool['id']}")
    assert [row.last_error for row in rows(cloud, load_balancers)] == [None]
    assert bodies(whole.vip) == {"two"}


def test_a_graph_of_http_and_udp_serves_what_its_device_can_and_so_after_a_failover(
    cloud: OctaviaCloud,
) -> None:
    reason = IpVs(Namespace("")).why_not()
    (web,) = cloud.members("web")
    pools = {"lb_algorithm": "ROUND_ROBIN"}
    http = {"name": "p", "protocol": "HTTP", "members": [member(web)], **pools}
    udp = {"name": "q", "protocol": "UDP", "members": [member(web)], **pools}
    # When both are asked for at once
    made = cloud.balancer(
        listeners=[
            {"name": "h", "protocol": "HTTP", "protocol_port": 80, "default_pool": http},
            {"name": "u", "protocol": "UDP", "protocol_port": 53, "default_pool": udp},
        ]
    )

    def shown() -> dict[str, str]:
        found = cloud.api.call("GET", f"listeners?loadbalancer_id={made['id']}")["listeners"]
        return {one["name"]: one["provisioning_status"] for one in found}

    # Then the device serves what it can, and so does another one
    wanted = {"h": "ACTIVE", "u": "ACTIVE" if reason is None else "ERROR"}
    assert shown() == wanted
    assert get(80, host=made["vip_address"]).body == b"web"
    (before,) = cloud.known_devices(made["id"])
    cloud.api.call("PUT", f"loadbalancers/{made['id']}/failover")
    cloud.settle(f"loadbalancers/{made['id']}")
    (after,) = cloud.known_devices(made["id"])
    assert after.name != before.name
    assert (shown(), cloud.pending()) == (wanted, [])
    assert get(80, host=made["vip_address"]).body == b"web"
    cloud.delete(f"loadbalancers/{made['id']}", "?cascade=true")
    nothing_is_left(cloud)


def test_no_secret_is_in_a_log(cloud: OctaviaCloud, whole: Whole) -> None:
    assert bodies(whole.vip) == {"one", "two"}
    logs = [cloud.pool.log, *cloud.folder.glob("*.log"), *cloud.folder.glob("d/*/log/*")]
    logs += cloud.api.folder.glob("*.log")
    said = "".join(path.read_text(errors="replace") for path in logs if path.is_file())
    assert "BUILD_DEVICE" in said
    assert "PRIVATE KEY" not in said
    assert HEARTBEAT_KEY not in said


def test_what_is_refused_changes_nothing(cloud: OctaviaCloud, whole: Whole) -> None:
    for fields in ({"vip_qos_policy_id": SUBNET},):
        with pytest.raises(Refused, match="vip_qos_policy_id"):
            cloud.api.call("PUT", f"loadbalancers/{whole.id}", {"loadbalancer": fields})
    cloud.settle(f"loadbalancers/{whole.id}")
    assert bodies(whole.vip) == {"one", "two"}
