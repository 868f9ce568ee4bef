"""Ports of devices as a pool manager handles them, whatever the cloud."""

from __future__ import annotations

import uuid

import pytest

from libra_common.exits import Exit
from tests.integration.pool.conftest import MakeManager
from tests.support.device_agent import Controller
from tests.support.pool_manager import PoolManager
from tests.support.wait import until

NAME = "libra-test-one"


@pytest.fixture
def manager(make_manager: MakeManager) -> PoolManager:
    """A manager in whose cloud there is a device."""
    made = make_manager(assign_timeout=2)
    made.cloud.put_device(NAME, age=0, delivered=True)
    return made


def failed(answer: dict[str, object]) -> str:
    assert answer["response"] == "FAIL", answer
    return f"{answer['error_code']}: {answer['error']}"


def test_a_port_is_attached_told_and_detached(manager: PoolManager) -> None:
    manager.start()
    answer = manager.do("attach_port", NAME=NAME, Key="k", Addresses=["192.0.2.9"])
    (port,) = manager.cloud.ports()
    assert answer == {
        "action": "attach_port",
        "NAME": NAME,
        "Key": "k",
        "response": "PASS",
        "port": port.id,
        "mac": "02:00:5e:00:53:01",
        "mtu": 1450,
        "ip": "198.51.100.100",
        "cidr": "198.51.100.0/24",
        "gateway": "198.51.100.1",
        "host_routes": [],
        "fixed_ips": [
            {
                "ip": "198.51.100.100",
                "cidr": "198.51.100.0/24",
                "gateway": "198.51.100.1",
                "host_routes": [],
            }
        ],
        "addresses": ["192.0.2.9"],
    }
    (device,) = manager.do("LIST_DEVICES")["devices"]
    assert (device["name"], device["state"], device["delivered"]) == (NAME, "active", True)
    assert [(one["port"], one["key"]) for one in device["ports"]] == [(port.id, "k")]
    assert "amphora_id" not in device
    for _ in range(2):
        assert manager.do("DETACH_PORT", name=NAME, port=port.id)["response"] == "PASS"
    assert manager.cloud.ports() == []


def test_a_port_that_cannot_be_attached_is_given_back(manager: PoolManager) -> None:
    # Given a cloud that refuses, or that says yes and does nothing
    manager.start()
    for fault, told in (("refuse-ports", "conflict: "), ("attach-nothing", "timeout: port ")):
        manager.cloud.fault(fault)
        assert failed(manager.do("ATTACH_PORT", name=NAME, key="k")).startswith(told)
        assert manager.cloud.ports() == []
        manager.cloud.fault(fault, on=False)
    # But one that was there before stays
    answer = manager.do("ATTACH_PORT", name=NAME, key="k")
    manager.cloud.fault("refuse-ports")
    failed(manager.do("ATTACH_PORT", name=NAME, key="k"))
    assert [port.id for port in manager.cloud.ports()] == [answer["port"]]


def test_an_order_that_nobody_confirmed_is_looked_for_and_never_repeated(
    manager: PoolManager,
) -> None:
    manager.cloud.fault("lose-ports")
    manager.start()
    answer = manager.do("ATTACH_PORT", name=NAME, key="k")
    assert answer["response"] == "PASS", answer
    (port,) = manager.cloud.ports()
    assert port.id == answer["port"]
    assert [name for _, name in manager.cloud.calls()].count("create_port") == 1


def test_a_port_of_another_device_is_refused(manager: PoolManager) -> None:
    manager.cloud.put_device("libra-test-two", age=0, delivered=True)
    manager.start()
    port = manager.do("ATTACH_PORT", name=NAME, key="k")["port"]
    for message in (
        {"action": "ATTACH_PORT", "key": "k"},
        {"action": "DETACH_PORT", "port": port},
    ):
        said = failed(manager.send({**message, "name": "libra-test-two"}))
        assert said.startswith("conflict: ")
        assert NAME in said
    assert failed(manager.do("ATTACH_PORT", name="libra-test-3", key="x")).startswith("not_found")
    (left,) = manager.cloud.ports()
    assert left.device == NAME


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({}, "key: is required"),
        ({"key": ""}, "key: must be 1 to 255"),
        ({"key": "k", "ip": "one"}, "ip: must be an IPv4 or IPv6 address"),
        ({"key": "k", "addresses": "192.0.2.1"}, "addresses: must be a list"),
        ({"key": "k", "addresses": ["192.0.2.1", "x"]}, "addresses: item 1 must be an IPv4"),
        ({"key": "k", "addresses": ["::1", "0::1"]}, "addresses: item 1 is the same address"),
        ({"key": "k", "security_groups": [{}]}, "security_groups: item 0 must be 1 to 255"),
    ],
)
def test_a_faulty_wish_is_named_and_changes_nothing(
    manager: PoolManager, fields: dict[str, object], fault: str
) -> None:
    manager.start()
    said = failed(manager.send({"action": "ATTACH_PORT", "name": NAME, **fields}))
    assert said.startswith(f"malformed_message: {fault}")
    assert manager.cloud.ports() == []


def test_many_that_wait_ask_the_cloud_together(manager: PoolManager) -> None:
    manager.write_config(assign_timeout=60)
    manager.start()
    manager.cloud.fault("attach-nothing")
    waiting = [manager.begin("ATTACH_PORT", name=NAME, key=f"k{n}") for n in range(20)]
    until(lambda: len(manager.cloud.ports()) == len(waiting), "all are ordered")
    before = [name for _, name in manager.cloud.calls()].count("ports")
    until(
        lambda: [name for _, name in manager.cloud.calls()].count("ports") > before + 20,
        "they were asked for again and again",
        60,
    )
    times = [at for at, name in manager.cloud.calls() if name == "ports"][-8:]
    # Twenty that wait alone would ask eight times within a fifth of a second
    assert times[-1] - times[0] > 7 * 0.25
    manager.cloud.fault("attach-nothing", on=False)
    for port in manager.cloud.ports():
        manager.cloud.attach_port(port, manager.cloud.devices()[0])
    assert {one.result(timeout=60)["response"] for one in waiting} == {"PASS"}


def test_a_sweep_takes_the_ports_of_devices_that_are_gone(make_manager: MakeManager) -> None:
    manager = make_manager(sweep_grace=3, build_timeout=1, build_diag_timeout=1, sweep_share=100)
    for name in ("kept", "lost"):
        manager.cloud.put_device(f"libra-test-{name}", age=0, delivered=True)
    manager.start()
    ports = {
        name: manager.do("ATTACH_PORT", name=f"libra-test-{name}", key=name)["port"]
        for name in ("kept", "lost")
    }
    manager.cloud.fault("keep-ports")
    assert manager.do("DELETE_DEVICE", name="libra-test-lost")["response"] == "PASS"
    # When it is swept until the port is old enough
    until(lambda: ports["lost"] in manager.run("--sweep").stdout, "it was swept", 60)
    # Then the other is there still
    assert [port.id for port in manager.cloud.ports()] == [ports["kept"]]
    assert manager.run("--sweep").returncode == Exit.OK


def test_what_is_wrong_with_an_agent_is_named_and_no_secret_with_it(
    manager: PoolManager,
) -> None:
    manager.start()
    good = Controller().agent()
    for changes, told in (
        ({"amphora_id": "x"}, "malformed_message: agent.amphora_id: must be a UUID"),
        ({"certificate": "hidden"}, "malformed_message: agent.certificate: must be PEM"),
        ({"ca": good["certificate"]}, "malformed_message: agent.ca: must be PEM"),
        ({"heartbeat_key": "hidden"}, "malformed_message: agent.heartbeat_key: must be 16"),
        ({"controllers": "nowhere"}, "malformed_message: agent.controllers: must be a list"),
        ({"controllers": ["a"]}, "malformed_message: agent.controllers: item 0 must be"),
        ({"port": 0}, "malformed_message: agent.port: must be 1 to 65535"),
        ({"certificate": None}, "malformed_message: agent.certificate: is required"),
    ):
        said = manager.do("BUILD_DEVICE", unique=str(uuid.uuid4()), agent={**good, **changes})
        assert failed(said).startswith(told)
        if "certificate" in changes or "heartbeat_key" in changes:
            assert "hidden" not in str(said["error"])
    assert failed(manager.do("BUILD_DEVICE", agent="x")).startswith(
        "malformed_message: agent: must be an object"
    )
    assert len(manager.cloud.devices()) == 1
    assert "hidden" not in manager.said()
