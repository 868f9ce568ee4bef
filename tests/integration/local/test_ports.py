"""Ports of local devices: plugged by the amphora API, they carry a load balancer's addresses."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import uuid
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from typing import Any

import pytest

from libra_pool_mgm.clouds.base import Device, FixedIp, Port, PortWish
from libra_pool_mgm.clouds.errors import BadRequest, Conflict, NoCapacity, NotFound
from tests.integration.local.test_agents import answers, ask, status
from tests.support.backends import HttpBackend
from tests.support.balancer_text import balancer_text
from tests.support.device_agent import Controller
from tests.support.localcloud import Site
from tests.support.localpool import LocalPool
from tests.support.need import program
from tests.support.wait import until

VIP, VIP6 = "198.19.200.1", "2001:db8:18::200"

MakePool = Callable[..., LocalPool]


@pytest.fixture
def controller() -> Controller:
    return Controller()


@pytest.fixture
def make_pool(site: Site) -> Iterator[MakePool]:
    """Make a pool manager that ends before its cloud does."""
    made: list[LocalPool] = []

    def make(**settings: object) -> LocalPool:
        made.append(LocalPool(site, **settings))
        return made[-1]

    yield make
    for pool in made:
        pool.close()


def attached(site: Site, device: Device, *addresses: str, key: str = "vip", **more: Any) -> Port:
    """A port of a device, as the cloud shows it."""
    cloud = site.cloud()
    port = cloud.create_port(PortWish(key=key, addresses=addresses, **more), device)
    cloud.attach_port(port, device)
    found = cloud.find_port(port.id)
    assert found is not None
    assert found.attached
    return found


def home(ip: str, fixed: dict[str, Any] | FixedIp) -> dict[str, Any]:
    """How an address is in its subnet, as the amphora API wants it told."""
    told = fixed if isinstance(fixed, dict) else {"cidr": fixed.cidr, "gateway": fixed.gateway}
    return {"ip_address": ip, "subnet_cidr": told["cidr"], "gateway": told["gateway"]}


def serve_on_vips(
    site: Site, controller: Controller, device: Device, answer: dict[str, Any], web: HttpBackend
) -> None:
    """Have a device balance HTTP on what the answer to ATTACH_PORT said that it has."""
    vip, *others = answer["addresses"]
    ours, *further = answer["fixed_ips"]
    body = home(vip, ours) | {
        "mac_address": answer["mac"],
        "vrrp_ip": answer["ip"],
        "mtu": answer["mtu"],
        "additional_vips": [home(ip, its) for ip, its in zip(others, further, strict=True)],
    }
    plugged = ask(site, controller, device, "POST", f"/1.0/plug/vip/{vip}", json_body=body)
    assert plugged.status == http.client.ACCEPTED, plugged
    balancer = str(uuid.uuid4())
    text = balancer_text(*answer["addresses"], members=[(web.host, web.port)])
    path = f"/1.0/loadbalancer/{device.amphora_id}/{balancer}/haproxy"
    assert ask(site, controller, device, "PUT", path, text).status == http.client.CREATED
    started = ask(site, controller, device, "PUT", f"/1.0/loadbalancer/{balancer}/start")
    assert started.status == http.client.ACCEPTED, started


def test_a_vip_that_the_amphora_api_configured_is_reached_from_the_outer_namespace(
    site: Site, make_pool: MakePool, controller: Controller, web: HttpBackend
) -> None:
    # Given a device with an agent
    pool = make_pool().start()
    name = pool.do("BUILD_DEVICE", agent=controller.agent())["name"]
    (device,) = site.cloud().devices()
    until(lambda: answers(site, controller, device), "the agent answers", 60)
    # When it gets a port with addresses of both families, plugged and served by the amphora API
    answer = pool.do("ATTACH_PORT", name=name, key="vip of lb 1", addresses=[VIP, VIP6.upper()])
    assert answer["response"] == "PASS", answer
    assert (answer["ip"], answer["cidr"], answer["gateway"]) == (
        "198.19.0.2",
        "198.19.0.0/16",
        "198.19.0.1",
    )
    assert (answer["mtu"], answer["host_routes"], answer["addresses"]) == (1500, [], [VIP, VIP6])
    serve_on_vips(site, controller, device, answer, web)
    # Then who is in the outer namespace reaches both, and the port's own address
    assert [site.get(ip).body for ip in (VIP, VIP6)] == [b"web", b"web"]
    curl(site, f"http://{VIP}/")
    # And HAProxy has nothing of what the agent may do
    if site.user != "root":
        engines = [pid for pid, words in site.processes().items() if "haproxy.cfg" in words]
        assert engines
        assert {int(status(pid, "CapEff"), 16) for pid in engines} == {0}
    # And each is answered for by the port, not by the device's other interface
    assert neighbour(site, VIP) == answer["mac"]
    # And towards members the same: a second port, plugged
    member = pool.do("ATTACH_PORT", name=name, key="members", subnet=str(uuid.uuid4()))
    body = {
        "mac_address": member["mac"],
        "mtu": member["mtu"],
        "fixed_ips": [home(member["ip"], member)],
    }
    plugged = ask(site, controller, device, "POST", "/1.0/plug/network", json_body=body)
    assert plugged.status == http.client.ACCEPTED, plugged
    assert "eth2" in plugged.body["details"]
    assert neighbour(site, member["ip"]) == member["mac"]
    # And all of it is told
    (listed,) = pool.do("LIST_DEVICES")["devices"]
    assert {one["key"]: one["port"] for one in listed["ports"]} == {
        "vip of lb 1": answer["port"],
        "members": member["port"],
    }
    # When the port is detached, twice / Then it is gone, and its addresses lead nowhere
    for _ in range(2):
        gone = pool.do("DETACH_PORT", name=name, port=answer["port"])
        assert gone["response"] == "PASS", gone
    assert not reachable(site, VIP)
    assert not reachable(site, VIP6)
    assert [port.key for port in site.cloud().ports()] == ["members"]
    # When the device is deleted / Then the other is gone too, and no link is left
    assert pool.do("DELETE_DEVICE", name=name)["response"] == "PASS"
    assert site.cloud().ports() == []
    assert links(site) == {"lo", "libra0"}
    assert routes(site) == set()


def test_the_same_key_is_the_same_port_and_other_addresses_come_on_it(
    site: Site, make_pool: MakePool
) -> None:
    pool = make_pool().start()
    device = site.build()
    first = pool.do("ATTACH_PORT", name=device.name, key="k", addresses=[VIP])
    # When it is asked for again with nothing said of addresses / Then it is as it was
    again = pool.do("ATTACH_PORT", name=device.name, key="k")
    assert {**again, "addresses": [VIP]} == {**first}
    assert routes(site) == {VIP}
    # When it is to have others / Then it has these and no more
    other = pool.do("ATTACH_PORT", name=device.name, key="k", addresses=[VIP6])
    assert (other["port"], other["mac"], other["addresses"]) == (
        first["port"],
        first["mac"],
        [VIP6],
    )
    assert routes(site) == {VIP6}
    assert pool.do("ATTACH_PORT", name=device.name, key="k", addresses=[])["addresses"] == []
    assert routes(site) == set()
    # And of another device it is refused
    another = site.build()
    refused = pool.do("ATTACH_PORT", name=another.name, key="k")
    assert (refused["response"], refused["error_code"]) == ("FAIL", "conflict")
    refused = pool.do("DETACH_PORT", name=another.name, port=first["port"])
    assert (refused["response"], refused["error_code"]) == ("FAIL", "conflict")
    refused = pool.do("ATTACH_PORT", name="lt-nobody", key="k2")
    assert refused["error_code"] == "not_found"
    assert [port.key for port in site.cloud().ports()] == ["k"]


def test_two_ports_share_an_address_until_the_last_of_them_goes(site: Site) -> None:
    one, two = site.build(wait=False), site.build(wait=False)
    ports = [attached(site, device, VIP, key=device.name) for device in (one, two)]
    assert ports[0].fixed_ips[0].ip != ports[1].fixed_ips[0].ip
    site.cloud().delete_port(ports[0])
    assert routes(site) == {VIP}
    site.cloud().delete_device(two)
    assert routes(site) == set()


def test_an_address_is_the_one_that_was_asked_for_or_refused(site: Site) -> None:
    device = site.build(wait=False)
    asked = attached(site, device, key="a", ip="198.19.7.7")
    assert [one.ip for one in asked.fixed_ips] == ["198.19.7.7"]
    six = attached(site, device, key="b", ip="2001:db8:18::77")
    assert [(one.ip, one.cidr) for one in six.fixed_ips] == [
        ("2001:db8:18::77", "2001:db8:18::/64")
    ]
    for ip, error in (
        ("198.19.7.7", Conflict),
        ("198.19.0.1", Conflict),
        ("198.18.0.9", BadRequest),
        ("198.19.255.255", BadRequest),
    ):
        with pytest.raises(error, match="ip: "):
            site.cloud().create_port(PortWish(key="c", ip=ip), device)
    for ip, error in (("127.0.0.1", BadRequest), (str(device.address), Conflict)):
        with pytest.raises(error, match="addresses: "):
            site.cloud().create_port(PortWish(key="c", addresses=(ip,)), device)
    assert {port.key for port in site.cloud().ports()} == {"a", "b"}


def test_an_address_is_either_a_floating_one_of_a_device_or_of_a_port(site: Site) -> None:
    device = site.build(wait=False)
    cloud = site.cloud()
    floating = cloud.create_address(key="k")
    port = attached(site, device, floating.ip)
    with pytest.raises(Conflict, match=f"is an address of port {port.id}"):
        cloud.assign_address(floating, device)
    cloud.delete_port(port)
    cloud.assign_address(floating, device)
    with pytest.raises(Conflict, match="a floating IP that a device holds"):
        cloud.create_port(PortWish(key="x", addresses=(floating.ip,)), device)


def test_a_range_of_ports_that_is_used_up_is_told_as_no_capacity(site: Site) -> None:
    device = site.build(wait=False)
    site.ports = IPv4Network("198.19.0.0/30")
    attached(site, device, key="a")
    with pytest.raises(NoCapacity, match=r"every address of 198\.19"):
        site.cloud().create_port(PortWish(key="b"), device)


def test_a_device_that_is_gone_takes_no_port(site: Site) -> None:
    device = site.build(wait=False)
    port = site.cloud().create_port(PortWish(key="k"), device)
    site.cloud().delete_device(device)
    assert site.cloud().find_port(port.id) is None
    with pytest.raises(NotFound):
        site.cloud().attach_port(port, device)
    with pytest.raises(NotFound):
        site.cloud().create_port(PortWish(key="k"), device)
    site.cloud().delete_port(port)


@pytest.mark.parametrize(
    "step",
    [
        "local_port_recorded",
        "local_port_linked",
        *(
            pytest.param(step, marks=pytest.mark.slow)
            for step in ("before_create_port", "after_create_port", "local_port_led")
        ),
        "after_attach_port",
    ],
)
def test_an_attachment_whose_manager_is_killed_is_ended_by_the_next(
    site: Site, make_pool: MakePool, step: str
) -> None:
    device = site.build()
    pool = make_pool().start(crash_at=step)
    waiting = pool.begin(
        "ATTACH_PORT", unique=str(uuid.uuid4()), name=device.name, key="k", addresses=[VIP]
    )
    until(pool.ended, f"it was killed at {step}")
    # When another starts, and gearmand gives the job to that
    pool.start()
    answer = waiting.result(timeout=90)
    # Then there is one port, the answer's, and one interface for it
    assert answer["response"] == "PASS", answer
    (port,) = site.cloud().ports()
    assert (port.id, port.attached, port.mac) == (answer["port"], True, answer["mac"])
    assert len(links(site)) == len({"lo", "libra0", "device", "port"})
    assert routes(site) == {VIP}


@pytest.mark.parametrize("step", ["before_delete_port", "local_port_unlinked", "after_delete_port"])
def test_a_detachment_whose_manager_is_killed_is_ended_by_the_next(
    site: Site, make_pool: MakePool, step: str
) -> None:
    device = site.build()
    port = attached(site, device, VIP)
    pool = make_pool().start(crash_at=step)
    waiting = pool.begin("DETACH_PORT", unique=str(uuid.uuid4()), name=device.name, port=port.id)
    until(pool.ended, f"it was killed at {step}")
    pool.start()
    assert waiting.result(timeout=90)["response"] == "PASS"
    assert site.cloud().ports() == []
    assert len(links(site)) == len({"lo", "libra0", "device"})
    assert routes(site) == set()


@pytest.mark.slow
def test_thirty_devices_with_agents_and_ports_come_and_go_at_once(
    site: Site, make_pool: MakePool, controller: Controller
) -> None:
    pool = make_pool(build_timeout=300).start()
    waiting = [pool.begin("BUILD_DEVICE", timeout=400, agent=controller.agent()) for _ in range(30)]
    names = [one.result(timeout=400)["name"] for one in waiting]
    began = [
        pool.begin("ATTACH_PORT", timeout=400, name=name, key=name, addresses=[f"198.19.200.{n}"])
        for n, name in enumerate(names, 1)
    ]
    answers = [one.result(timeout=400) for one in began]
    assert {one["response"] for one in answers} == {"PASS"}
    assert len({one["mac"] for one in answers}) == len({one["ip"] for one in answers}) == 30
    ended = [pool.begin("DELETE_DEVICE", timeout=400, name=name) for name in names]
    assert {one.result(timeout=400)["response"] for one in ended} == {"PASS"}
    assert (site.cloud().devices(), site.cloud().ports(), routes(site)) == ([], [], set())


def reachable(site: Site, ip: str) -> bool:
    with contextlib.suppress(OSError), site.cloud().outer.entered():
        connection = http.client.HTTPConnection(ip, 80, timeout=2)
        connection.request("GET", "/")
        return connection.getresponse().status == http.client.OK
    return False


def curl(site: Site, url: str) -> None:
    assert inside(site, "curl", "-sS", "-f", url) == "web"


def outer(site: Site, *words: str) -> list[list[str]]:
    """What iproute2 says in the outer namespace, by lines and words."""
    return [line.split() for line in inside(site, "ip", *words).splitlines()]


def inside(site: Site, name: str, *words: str) -> str:
    """What a program says in the outer namespace."""
    enter = [program("nsenter"), f"--net={site.cloud().outer.path}", "--"]
    done = subprocess.run(
        [*enter, program(name), *words], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def neighbour(site: Site, ip: str) -> str:
    """The hardware address that the outer namespace was told for an address."""
    with contextlib.suppress(OSError):
        site.get(ip, 1)
    until(lambda: any(words[0] == ip and "lladdr" in words for words in outer(site, "neigh")), ip)
    (found,) = [words for words in outer(site, "neigh") if words[0] == ip]
    return found[found.index("lladdr") + 1]


def links(site: Site) -> set[str]:
    return {words[1].partition("@")[0].rstrip(":") for words in outer(site, "-o", "link")}


def routes(site: Site) -> set[str]:
    """The addresses that are looked for on the bridge."""
    found = [*outer(site, "route"), *outer(site, "-6", "route")]
    return {words[0] for words in found if "static" in words}
