"""A device's agent: the amphora API at the device's address, with rights in its network alone."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import signal
import socket
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from libra_pool_mgm.clouds.base import Device, DeviceState
from libra_pool_mgm.clouds.errors import Conflict
from tests.support.amphora import Reply
from tests.support.device_agent import HEARTBEAT_KEY, Controller
from tests.support.localcloud import GATEWAY, Site, in_another_process, wish
from tests.support.localpool import LocalPool
from tests.support.wait import until

NET_ADMIN_AND_RAW = 0x3000


@pytest.fixture
def controller() -> Controller:
    return Controller([f"{GATEWAY}:5555"])


@pytest.fixture
def device(site: Site, controller: Controller) -> Device:
    """One whose worker is registered, and whose agent answers."""
    built = site.build(agent=controller.wish())
    until(lambda: answers(site, controller, built), "the agent answers", 60)
    return built


def ask(site: Site, controller: Controller, device: Device, *words: Any, **more: Any) -> Reply:
    """Call a device's agent from the outer namespace."""
    with site.cloud().outer.entered():
        return controller.call(str(device.amphora_id), device.address, *words, **more)


def answers(site: Site, controller: Controller, device: Device) -> bool:
    with contextlib.suppress(OSError):
        return ask(site, controller, device, "GET", "/1.0/info").status == 200
    return False


def test_an_agent_serves_at_the_devices_address_as_who_its_certificate_says(
    site: Site, controller: Controller, device: Device
) -> None:
    info = ask(site, controller, device, "GET", "/1.0/info").body
    assert info["uuid"] == device.amphora_id
    # And the device is a node of the worker all the same
    assert site.serve(device, site.web("web")).ok
    assert site.get(device.address).body == b"web"
    # And the cloud tells of it, in a process that knows nothing
    (found,) = site.cloud().devices()
    assert found.amphora_id == device.amphora_id


def test_an_agent_has_two_capabilities_and_only_in_its_own_network(
    site: Site, device: Device
) -> None:
    if site.user == "root":
        pytest.skip("devices run as root here, which has all rights anyway")
    agent, init = agent_of(site), site.init_of(device)
    assert int(status(agent, "CapEff"), 16) == NET_ADMIN_AND_RAW
    assert int(status(agent, "CapBnd"), 16) == NET_ADMIN_AND_RAW
    assert status(agent, "NoNewPrivs") == "1"
    # It is in a user namespace that is neither ours nor another device's, and as nobody special
    assert user_namespace(agent) == user_namespace(init) != user_namespace(os.getpid())
    assert status(agent, "Uid").split()[0] != "0"
    # The worker beside it has none, and its guard gave all up
    assert int(status(worker_of(site), "CapEff"), 16) == 0
    assert int(status(site.guard_of(device), "CapEff"), 16) == 0


def test_secrets_are_readable_by_the_device_alone_and_named_nowhere(
    site: Site, controller: Controller, device: Device
) -> None:
    folder = site.folder_of(device)
    secrets = [
        path
        for path in folder.rglob("*")
        if path.is_file() and any(word in path.read_text("latin-1") for word in secret_words())
    ]
    # The certificate and the heartbeat key are in files, which nobody else may read
    assert {path.name for path in secrets} >= {"server.pem", "agent.conf"}
    for path in secrets:
        assert path.stat().st_mode & 0o077 == 0, path
    assert (folder / "a").stat().st_mode & 0o077 == 0
    # And in no command line
    assert not any(word in line for line in site.processes().values() for word in secret_words())
    # And in no record
    for path in site.folder.glob("*/*.json"):
        assert not any(word in path.read_text() for word in secret_words())


def test_heartbeats_come_signed_to_the_bridges_address(site: Site, controller: Controller) -> None:
    with heard(site) as listener:
        device = site.build(agent=controller.wish(), wait=False)
        data = listener.recv(65535)
    payload, digest = data[:-64], data[-64:]
    expected = hmac.new(HEARTBEAT_KEY.encode(), payload, hashlib.sha256).hexdigest()
    assert digest.decode() == expected
    assert json.loads(zlib.decompress(payload))["id"] == device.amphora_id


def test_an_agent_that_dies_is_started_again(
    site: Site, controller: Controller, device: Device
) -> None:
    first = agent_of(site)
    os.kill(first, signal.SIGKILL)
    until(lambda: answers(site, controller, device), "the agent answers again", 60)
    assert agent_of(site) != first
    assert site.state(device) is DeviceState.ACTIVE


def test_a_device_and_its_agent_are_gone_without_a_trace(site: Site, device: Device) -> None:
    site.cloud().delete_device(device)
    assert site.of_devices() == []
    assert not site.folder_of(device).exists()


@pytest.mark.parametrize("step", ["local_guard_started", "local_linked", "local_up"])
def test_a_build_killed_at_any_step_is_ended_by_a_rerun(
    site: Site, controller: Controller, step: str
) -> None:
    told = site.folder / "agent.json"
    told.write_text(json.dumps(controller.agent()))
    ordered = wish()
    words = ("create", ordered.key, ordered.name, str(told))
    in_another_process(site, *words, crash_at=step)
    in_another_process(site, *words)
    (device,) = site.cloud().devices()
    until(lambda: answers(site, controller, device), "the agent answers", 60)
    assert agent_of(site)


def test_an_order_with_another_agent_is_another_order(
    site: Site, controller: Controller, device: Device
) -> None:
    same = wish(key=device.key, name=device.name, agent=controller.wish(str(device.amphora_id)))
    assert site.cloud().create_device(same).id == device.id
    for other in (None, controller.wish()):
        with pytest.raises(Conflict, match="made by another job"):
            site.cloud().create_device(wish(key=device.key, name=device.name, agent=other))


@pytest.fixture
def pool(site: Site) -> Iterator[LocalPool]:
    made = LocalPool(site)
    with made:
        made.start()
        yield made


def test_a_pool_manager_that_is_killed_leaves_the_agent_and_the_next_finds_it(
    site: Site, pool: LocalPool, controller: Controller
) -> None:
    agent = controller.agent()
    built = pool.do("BUILD_DEVICE", agent=agent)
    assert built["response"] == "PASS", built
    (device,) = site.cloud().devices()
    assert (built["addr"], built["agent"]) == (device.address, agent)
    until(lambda: answers(site, controller, device), "the agent answers", 60)
    before = agent_of(site)
    # When the pool manager is killed, and another starts
    pool.kill()
    pool.start()
    # Then it tells of the device, whose agent never noticed
    (listed,) = pool.do("LIST_DEVICES")["devices"]
    assert (listed["name"], listed["amphora_id"]) == (built["name"], agent["amphora_id"])
    assert (listed["delivered"], listed["state"], listed["ports"]) == (True, "active", [])
    assert agent_of(site) == before
    # And no secret is in its log
    assert not any(word in pool.said() for word in secret_words())


def test_a_certificate_that_cannot_be_used_is_refused_before_anything_is_built(
    site: Site, pool: LocalPool, controller: Controller
) -> None:
    one, other = controller.agent(), controller.agent()
    key = re.search(r"-----BEGIN [A-Z ]*PRIVATE KEY.*?KEY-----\n", one["certificate"], re.DOTALL)
    certificates = re.sub(
        r"-----BEGIN [A-Z ]*PRIVATE KEY.*?KEY-----\n", "", other["certificate"], flags=re.DOTALL
    )
    assert key is not None
    mixed = {**one, "certificate": key[0] + certificates}
    refused = pool.do("BUILD_DEVICE", agent=mixed)
    assert (refused["response"], refused["error_code"]) == ("FAIL", "bad_request")
    assert refused["error"].startswith("agent.certificate: ")
    nonsense = pool.do("BUILD_DEVICE", agent={**one, "heartbeat_key": "a\nb"})
    assert nonsense["error_code"] == "malformed_message"
    assert nonsense["error"].startswith("agent.heartbeat_key: ")
    assert site.cloud().devices() == []


@contextlib.contextmanager
def heard(site: Site) -> Iterator[socket.socket]:
    """A socket that heartbeats come to."""
    with site.cloud().outer.entered():
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind((GATEWAY, 5555))
    with listener:
        listener.settimeout(60)
        yield listener


def secret_words() -> tuple[str, ...]:
    return ("PRIVATE KEY", HEARTBEAT_KEY, HEARTBEAT_KEY.replace("$", "$$"))


def agent_of(site: Site) -> int:
    return _running(site, "libra_amphora")


def worker_of(site: Site) -> int:
    return _running(site, "libra_worker")


def _running(site: Site, module: str) -> int:
    begins = re.compile(rf"\S+ -m {module}\.main ")
    (found,) = [pid for pid, words in site.processes().items() if begins.match(words)]
    return found


def status(pid: int, field: str) -> str:
    found = re.search(rf"^{field}:\s*(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def user_namespace(pid: int) -> Path:
    return Path(f"/proc/{pid}/ns/user").readlink()
