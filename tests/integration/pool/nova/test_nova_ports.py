"""Ports of servers: Neutron's, attached by Nova, as both of them then show them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from openstack.connection import Connection

from libra_pool_mgm.clouds.base import Cloud, Device, HostRoute, Port, PortWish
from libra_pool_mgm.clouds.errors import BadRequest, Conflict, QuotaExceeded
from tests.integration.pool.nova.conftest import MakeNovaManager, settled, wish
from tests.support import openstack
from tests.support.booting import Booting, files_of
from tests.support.device_agent import Controller
from tests.support.openstack import OpenStack
from tests.support.pool_manager import PoolManager
from tests.support.wait import until

pytestmark = pytest.mark.slow

VIP, ROUTED = "198.18.77.100", "198.18.99.0/24"


@dataclass(frozen=True)
class Subnet:
    """A subnet of a network of its own, apart from that of the devices."""

    id: str
    network: str
    group: str


@pytest.fixture
def connection(place: openstack.Cloud) -> Iterator[Connection]:
    with place.connect() as made:
        yield made


@pytest.fixture
def subnet(connection: Connection) -> Iterator[Subnet]:
    network = connection.network.create_network(name=f"vips-{uuid.uuid4()}")
    group = connection.network.create_security_group(name=f"vips-{uuid.uuid4()}")
    made = connection.network.create_subnet(
        network_id=network.id,
        ip_version=4,
        cidr="198.18.77.0/24",
        gateway_ip="198.18.77.1",
        host_routes=[{"destination": ROUTED, "nexthop": "198.18.77.9"}],
    )
    yield Subnet(made.id, network.id, group.id)
    for port in connection.network.ports(network_id=network.id):
        give_back(connection, port)
    connection.network.delete_network(network.id)
    connection.network.delete_security_group(group.id)


def give_back(connection: Connection, port: Any) -> None:
    """Delete a port; neutron deletes none that a server has."""
    if port.device_id:
        connection.compute.delete_server_interface(port.id, server=port.device_id)

    def released() -> bool:
        now = connection.network.find_port(port.id)
        return now is None or not now.device_id

    until(released, "nova has let go of the port", 60)
    connection.network.delete_port(port.id)


@pytest.fixture
def device(cloud: Cloud) -> Device:
    ordered = cloud.create_device(wish())
    return settled(cloud, ordered.name)


def attached(cloud: Cloud, device: Device, order: PortWish) -> Port:
    """A port of a device, once the cloud shows it there."""
    port = cloud.create_port(order, device)
    cloud.attach_port(port, device)

    def seen() -> bool:
        found = cloud.find_port(port.id)
        return found is not None and found.attached

    until(seen, "the port is attached", 60)
    found = cloud.find_port(port.id)
    assert found is not None
    return found


def interfaces(connection: Connection, device: Device) -> set[str]:
    """The ports that nova says a server has."""
    return {one.port_id for one in connection.compute.server_interfaces(device.id)}


def test_a_port_is_what_was_asked_for_and_the_servers(
    cloud: Cloud, connection: Connection, subnet: Subnet, device: Device
) -> None:
    # When a port with a VIP and a group of its own is attached
    order = PortWish(
        key="vip of lb 1", subnet=subnet.id, addresses=(VIP,), security_groups=(subnet.group,)
    )
    port = attached(cloud, device, order)
    # Then neutron has it as it was asked for
    known = connection.network.get_port(port.id)
    assert known.allowed_address_pairs == [{"ip_address": VIP, "mac_address": known.mac_address}]
    assert known.security_group_ids == [subnet.group]
    assert known.device_id == device.id
    # And nova shows it at the server
    assert port.id in interfaces(connection, device)
    # And all that a device has to be told of it is known
    (fixed,) = port.fixed_ips
    assert (fixed.cidr, fixed.gateway) == ("198.18.77.0/24", "198.18.77.1")
    assert fixed.host_routes == (HostRoute(destination=ROUTED, nexthop="198.18.77.9"),)
    assert (port.mac, port.addresses, port.device) == (known.mac_address, (VIP,), device.name)
    assert port.mtu == connection.network.get_network(subnet.network).mtu
    # And the device's own address is what it was
    assert cloud.find_device(device.name) == device
    # When it is asked for and attached once more / Then it is the same
    again = cloud.create_port(order, device)
    cloud.attach_port(again, device)
    assert (again, [one.id for one in cloud.ports()]) == (port, [port.id])
    # When its addresses are to be others / Then they are
    cloud.change_port(port, ("198.18.77.101", "2001:db8::5"))
    changed = cloud.find_port(port.id)
    assert changed is not None
    assert set(changed.addresses) == {"198.18.77.101", "2001:db8::5"}
    # When it is given back, twice / Then neither service has it, and the server lives on
    for _ in range(2):
        cloud.delete_port(port)
    assert cloud.find_port(port.id) is None
    until(lambda: port.id not in interfaces(connection, device), "nova has let go of it", 60)
    assert cloud.find_device(device.name) == device


def test_a_port_beside_the_devices_own_address_changes_nothing_of_that(
    cloud: Cloud, connection: Connection, place: openstack.Cloud, device: Device
) -> None:
    network: Any = connection.network.find_network(place.network)
    port = attached(cloud, device, PortWish(key="k", network=place.network))
    assert connection.network.get_port(port.id).network_id == network.id
    address = cloud.create_address(key=str(uuid.uuid4()))
    cloud.assign_address(address, device)
    found = cloud.find_device(device.name)
    assert found is not None
    assert found.address == device.address
    shown: Any = connection.network.find_ip(address.ip)
    assert shown.fixed_ip_address == device.address
    cloud.delete_port(port)


def test_ports_go_with_their_device(
    cloud: Cloud, connection: Connection, subnet: Subnet, device: Device
) -> None:
    one = attached(cloud, device, PortWish(key="a", subnet=subnet.id))
    two = cloud.create_port(PortWish(key="b", subnet=subnet.id), device)
    cloud.delete_device(device)
    until(lambda: cloud.find_device(device.name) is None, "the server is gone", 60)
    assert cloud.ports() == []
    for port in (one, two):
        assert connection.network.find_port(port.id) is None


def test_what_neutron_refuses_is_told_by_its_code(
    cloud: Cloud, connection: Connection, subnet: Subnet, device: Device
) -> None:
    good = PortWish(key="k", subnet=subnet.id, ip="198.18.77.50")
    taken = cloud.create_port(good, device)
    assert taken.fixed_ips[0].ip == "198.18.77.50"
    nowhere = str(uuid.uuid4())
    for order, error, words in (
        (replace(good, key="x"), Conflict, "198.18.77.50"),
        (replace(good, key="x", ip="192.0.2.1"), BadRequest, "192.0.2.1"),
        (replace(good, key="x", ip=None, subnet=nowhere), BadRequest, f"subnet = '{nowhere}'"),
        (PortWish(key="x"), BadRequest, "subnet: must be given"),
        (PortWish(key="x", network="nowhere"), BadRequest, "network = 'nowhere'"),
        (replace(good, key="x", security_groups=("no",)), BadRequest, "security_groups = 'no'"),
        (replace(good, key="x", network="public"), BadRequest, "network = 'public'"),
    ):
        with pytest.raises(error, match=words.replace(".", r"\.")):
            cloud.create_port(order, device)
    # What is not ours is neither shown nor taken
    foreign = connection.network.create_port(network_id=subnet.network, name="k")
    with pytest.raises(Conflict, match="not one of this pool's"):
        cloud.find_port(foreign.id)
    assert [port.id for port in cloud.ports()] == [taken.id]
    # And a key of another device is refused
    other = settled(cloud, cloud.create_device(wish()).name)
    with pytest.raises(Conflict, match="another server's"):
        cloud.create_port(good, other)


def test_a_full_quota_of_ports_is_told_as_quota(
    cloud: Cloud, stack: OpenStack, subnet: Subnet, device: Device
) -> None:
    # Neutron lets no quota be less than what is there
    project = stack.member.current_project_id
    there = len(list(stack.admin.network.ports(project_id=project)))
    with stack.quota(ports=there), pytest.raises(QuotaExceeded):
        cloud.create_port(PortWish(key="k", subnet=subnet.id), device)
    assert cloud.ports() == []


def built(manager: PoolManager, **more: Any) -> str:
    answer = manager.do("BUILD_DEVICE", **more)
    assert answer["response"] == "PASS", answer
    return str(answer["name"])


@pytest.mark.parametrize(
    "step", ["before_create_port", "after_create_port", "after_attach_port", "before_answer"]
)
def test_an_attachment_whose_manager_is_killed_is_ended_by_the_next(
    nova_manager: MakeNovaManager,
    booting: Booting,
    connection: Connection,
    subnet: Subnet,
    step: str,
) -> None:
    manager = nova_manager().start()
    name = built(manager)
    manager.stop()
    manager.start(crash_at=step)
    waiting = manager.begin(
        *("ATTACH_PORT",),
        unique=str(uuid.uuid4()),
        name=name,
        key="k",
        subnet=subnet.id,
        addresses=[VIP],
    )
    until(manager.ended, f"it was killed at {step}", 60)
    # When another starts, and gearmand gives the job to that
    manager.start()
    answer = waiting.result(timeout=110)
    assert answer["response"] == "PASS", answer
    # Then there is one port, the answer's, and nova shows it
    (port,) = connection.network.ports(network_id=subnet.network, device_owner="compute:nova")
    assert (port.id, port.mac_address) == (answer["port"], answer["mac"])
    (listed,) = manager.do("LIST_DEVICES")["devices"]
    assert [one["port"] for one in listed["ports"]] == [port.id]
    assert port.id in {one.port_id for one in connection.compute.server_interfaces(listed["id"])}
    # And a killed detachment ends as well
    manager.stop()
    manager.start(crash_at="after_delete_port")
    waiting = manager.begin("DETACH_PORT", unique=str(uuid.uuid4()), name=name, port=port.id)
    until(manager.ended, "it was killed again", 60)
    manager.start()
    assert waiting.result(timeout=110)["response"] == "PASS"
    assert connection.network.find_port(port.id) is None


def test_a_sweep_takes_ports_of_servers_that_are_gone_and_no_others(
    nova_manager: MakeNovaManager, booting: Booting, connection: Connection, subnet: Subnet
) -> None:
    # Given two delivered devices with a port each, of which one was deleted behind our back
    manager = nova_manager(
        build_timeout=60, build_diag_timeout=5, sweep_grace=70, sweep_share=100
    ).start()
    ports = {}
    for _ in range(2):
        name = built(manager)
        answer = manager.do("ATTACH_PORT", name=name, key=name, subnet=subnet.id)
        ports[name] = answer["port"]
    kept, lost = ports
    server: Any = connection.compute.find_server(lost)
    connection.compute.delete_server(server.id)
    until(lambda: connection.compute.find_server(lost) is None, "the server is gone", 60)
    assert connection.network.find_port(ports[lost]) is not None
    # When it is swept, once the port is old enough
    until(lambda: ports[lost] in manager.run("--sweep").stdout, "the port is old enough", 120)
    # Then exactly that port is gone
    assert connection.network.find_port(ports[lost]) is None
    left: Any = connection.network.find_port(ports[kept])
    assert left.device_id
    assert manager.run("--sweep").stdout == ""


def test_a_server_with_an_agent_is_told_of_it_and_known_by_it(
    nova_manager: MakeNovaManager, booting: Booting, stack: OpenStack
) -> None:
    controller = Controller(["198.18.0.1:5555"])
    agent = controller.agent()
    manager = nova_manager().start()
    name = built(manager, agent=agent)
    (listed,) = manager.do("LIST_DEVICES")["devices"]
    assert (listed["name"], listed["amphora_id"]) == (name, agent["amphora_id"])
    told = booting.told(name)
    files = files_of(told)
    assert agent["heartbeat_key"].replace("$", "$$") in files["/etc/octavia/amphora-agent.conf"]
    assert files["/var/lib/libra/agent/server.pem"] == agent["certificate"]
    # And no secret is in the log
    assert "PRIVATE KEY" not in manager.said()
    assert agent["heartbeat_key"] not in manager.said()
    server = stack.command("server", "show", name)
    assert server["properties"]["libra_amphora_id"] == agent["amphora_id"]
