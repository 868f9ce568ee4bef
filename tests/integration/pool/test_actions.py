"""The actions of the pool manager, as callers see them, with real workers as devices."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import uuid

from tests.integration.pool.conftest import MakeManager
from tests.support.need import program
from tests.support.pool_manager import BASENAME, PoolManager

DEVICE = re.compile(BASENAME + r"-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def stock_client(manager: PoolManager, message: bytes) -> dict[str, object]:
    """Send a message by gearman's own command line tool."""
    host, _, port = manager.servers[0].rpartition(":")
    done = subprocess.run(
        [program("gearman"), "-h", host, "-p", port, "-f", "libra_pool_mgm"],
        input=message,
        capture_output=True,
        timeout=90,
        check=True,
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_a_device_lives_through_every_action_sent_by_the_stock_client(
    manager: PoolManager,
) -> None:
    # Given a device and an address, asked for as in the spec's examples, its slip included
    built = stock_client(manager, b'{\n"action": "BUILD_DEVICE"\n}')
    name = str(built["name"])
    assert DEVICE.fullmatch(name)
    assert built == {
        "action": "BUILD_DEVICE",
        "response": "PASS",
        "name": name,
        "addr": "198.51.100.7",
        "type": f"basename: {BASENAME}, image: file",
        "az": "1",
    }
    got = stock_client(manager, b'{\n"action": "BUILD_IP",\n}')
    ip = str(got["ip"])
    assert got == {"action": "BUILD_IP", "response": "PASS", "id": got["id"], "ip": ip}
    assert isinstance(got["id"], str)
    # Then both are in the cloud, marked as delivered
    device = manager.cloud.find_device(name)
    address = manager.cloud.find_address(ip)
    assert device is not None
    assert device.delivered
    assert address is not None
    assert address.delivered
    # When the address is assigned, removed, and both are deleted
    for action, fields in (
        ("ASSIGN_IP", {"ip": ip, "name": name}),
        ("REMOVE_IP", {"ip": ip, "name": name}),
        ("DELETE_IP", {"ip": ip}),
        ("DELETE_DEVICE", {"name": name}),
    ):
        message = {"action": action, **fields}
        assert stock_client(manager, json.dumps(message).encode()) == {
            **message,
            "response": "PASS",
        }
        holder = manager.cloud.find_address(ip)
        assert (holder.device if holder else None) == (name if action == "ASSIGN_IP" else None)
    # Then nothing is left
    assert manager.device_names() == set()
    assert manager.cloud.addresses() == []


def test_every_repeat_is_a_pass_and_changes_nothing(manager: PoolManager) -> None:
    # Given jobs that are run a second time, with the same keys
    key, ip_key = str(uuid.uuid4()), "not a uuid at all"
    first = manager.do("BUILD_DEVICE", unique=key)
    assert first["name"] == f"{BASENAME}-{key}"
    assert manager.do("BUILD_DEVICE", unique=key) == first
    got = manager.do("BUILD_IP", unique=ip_key)
    assert manager.do("BUILD_IP", unique=ip_key) == got
    assert len(manager.cloud.devices()) == len(manager.cloud.addresses()) == 1
    # Then they and all others pass twice
    here = {"ip": got["ip"], "name": first["name"]}
    for action in ("ASSIGN_IP", "REMOVE_IP"):
        assert manager.do(action, **here)["response"] == "PASS"
        assert manager.do(action, **here)["response"] == "PASS"
    for _ in "12":
        assert manager.do("DELETE_IP", ip=got["ip"])["response"] == "PASS"
        assert manager.do("DELETE_DEVICE", name=first["name"])["response"] == "PASS"


def test_names_and_actions_are_taken_in_any_case_and_what_is_unknown_is_echoed(
    manager: PoolManager,
) -> None:
    message = {"ACTION": "build_device", "Image": "img-7", "AZ": 3, "note": {"x": 1}}
    answer = manager.send(message)
    assert answer["response"] == "PASS"
    assert answer["type"] == f"basename: {BASENAME}, image: img-7"
    assert (answer["az"], answer["Image"], answer["note"]) == ("3", "img-7", {"x": 1})
    assert manager.send({"Action": "Delete_Device", "NAME": answer["name"]})["response"] == "PASS"


def test_an_address_is_never_taken_from_the_device_that_holds_it(manager: PoolManager) -> None:
    # Given an address at one of two devices
    names = ["libra-test-a", "libra-test-b"]
    for name in names:
        manager.cloud.put_device(name, age=0, delivered=True)
    ip = manager.do("BUILD_IP")["ip"]
    assert manager.do("ASSIGN_IP", ip=ip, name=names[0])["response"] == "PASS"
    # When it is to be assigned to, or removed from, the other one
    for action in ("ASSIGN_IP", "REMOVE_IP"):
        answer = manager.do(action, ip=ip, name=names[1])
        # Then that is refused, and it stays where it is
        assert (answer["response"], answer["error_code"]) == ("FAIL", "conflict")
        assert names[0] in answer["error"]
        found = manager.cloud.find_address(ip)
        assert found is not None
        assert found.device == names[0]


def test_of_two_who_want_an_address_at_once_one_has_it(manager: PoolManager) -> None:
    names = ["libra-test-a", "libra-test-b"]
    for name in names:
        manager.cloud.put_device(name, age=0, delivered=True)
    for _ in range(5):
        ip = manager.do("BUILD_IP")["ip"]
        sent = [manager.begin("ASSIGN_IP", ip=ip, name=name) for name in names]
        answers = [one.result(timeout=60) for one in sent]
        passed = [answer["name"] for answer in answers if answer["response"] == "PASS"]
        refused = [answer for answer in answers if answer["response"] == "FAIL"]
        assert [answer["error_code"] for answer in refused] == ["conflict"]
        found = manager.cloud.find_address(ip)
        assert found is not None
        assert [found.device] == passed


def test_what_is_not_there_is_named(manager: PoolManager) -> None:
    manager.cloud.put_device("libra-test-a", age=0, delivered=True)
    ip = manager.do("BUILD_IP")["ip"]
    for fields, missing in (
        ({"ip": "192.0.2.9", "name": "libra-test-a"}, "192.0.2.9"),
        ({"ip": ip, "name": "libra-test-z"}, "libra-test-z"),
    ):
        answer = manager.do("ASSIGN_IP", **fields)
        assert (answer["response"], answer["error_code"]) == ("FAIL", "not_found")
        assert missing in answer["error"]


def test_a_device_that_is_not_the_pool_s_is_neither_touched_nor_said_to_be_gone(
    manager: PoolManager,
) -> None:
    manager.cloud.put_device("somebody-elses", age=0, delivered=False, foreign=True)
    ip = manager.do("BUILD_IP")["ip"]
    for action, fields in (
        ("DELETE_DEVICE", {"name": "somebody-elses"}),
        ("ASSIGN_IP", {"name": "somebody-elses", "ip": ip}),
    ):
        answer = manager.do(action, **fields)
        assert (answer["response"], answer["error_code"]) == ("FAIL", "conflict")
    assert "delete_device" not in [name for _, name in manager.cloud.calls()]


def test_an_assignment_that_does_not_come_about_is_told_and_undone(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(assign_timeout=1).start()
    manager.cloud.put_device("libra-test-a", age=0, delivered=True)
    manager.cloud.fault("assign-nothing")
    ip = manager.do("BUILD_IP")["ip"]
    answer = manager.do("ASSIGN_IP", ip=ip, name="libra-test-a")
    assert (answer["response"], answer["error_code"]) == ("FAIL", "timeout")
    assert "remove_address" in [name for _, name in manager.cloud.calls()]


def test_with_a_check_port_an_address_that_does_not_answer_is_taken_away_again(
    make_manager: MakeManager,
) -> None:
    # Given a device at whose address one port listens
    with socket.socket() as listener:
        listener.bind(("127.0.113.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        manager = make_manager(assign_timeout=4, tcp_check_port=port).start()
        manager.cloud.put_device("libra-test-a", age=0, delivered=True)
        good, dead = (manager.do("BUILD_IP")["ip"] for _ in "12")
        # Then that address is assigned
        assert manager.do("ASSIGN_IP", ip=good, name="libra-test-a")["response"] == "PASS"
        # And another is not, for nothing answers there
        answer = manager.do("ASSIGN_IP", ip=dead, name="libra-test-a")
        assert (answer["response"], answer["error_code"]) == ("FAIL", "unreachable")
        held = {one.ip: one.device for one in manager.cloud.addresses()}
        assert held == {good: "libra-test-a", dead: None}


def test_a_faulty_message_is_answered_and_reaches_no_cloud(make_manager: MakeManager) -> None:
    manager = make_manager()
    config = manager.config.read_text()
    manager.config.write_text(config.replace("[mgm]", "message_limit = 4096\n[mgm]"))
    manager.start()
    for data, code in (
        (b"not json", "bad_json"),
        (b'{"action": "BUILD_DEVICE",}', "bad_json"),
        (b"[1]", "not_an_object"),
        (b'{"x": 1}', "missing_action"),
        (b'{"action": "EXPLODE"}', "unknown_action"),
        (b'{"action": "DELETE_DEVICE"}', "malformed_message"),
        (b'{"action": "ASSIGN_IP", "ip": "a", "name": "../b"}', "malformed_message"),
        (b'{"action": "BUILD_IP", "x": "' + b"x" * 5000 + b'"}', "message_too_large"),
    ):
        answer = manager.send_bytes(data)
        assert (answer["response"], answer["error_code"]) == ("FAIL", code)
        assert answer["badRequest"]["validationErrors"]["message"] == answer["error"]
    assert {name for _, name in manager.cloud.calls()} <= {"check", "prepare"}
