"""Pool managers killed at any step: the job's next run, in a new process, ends what was begun."""

from __future__ import annotations

import uuid

import pytest

from libra_common.jobs import AdminClient, parse_server
from tests.integration.pool.conftest import MakeManager
from tests.support import folders
from tests.support.pool_manager import BASENAME, FUNCTION, PoolManager
from tests.support.wait import until

STEPS = (
    pytest.param("before_create", marks=pytest.mark.slow),
    "after_create",
    "while_building",
    pytest.param("after_active", marks=pytest.mark.slow),
    pytest.param("before_delivered", marks=pytest.mark.slow),
    "before_answer",
)


def killed(manager: PoolManager) -> bool:
    return manager.process is not None and manager.process.poll() == -9


@pytest.mark.parametrize("step", STEPS)
def test_a_build_whose_manager_is_killed_is_ended_by_the_next_with_one_device(
    make_manager: MakeManager, step: str
) -> None:
    # Given a manager that dies at this step of a build
    manager = make_manager(build_timeout=60)
    manager.start(crash_at=step)
    key = str(uuid.uuid4())
    # Slow enough to be seen while it is built, where that is the step.
    flavor = "slow5" if step == "while_building" else "slow0"
    sent = manager.begin("BUILD_DEVICE", unique=key, flavor=flavor)
    until(lambda: killed(manager), "it was killed", 60)
    ordered = {one.name: one.id for one in manager.cloud.devices()}
    assert len(ordered) == (0 if step == "before_create" else 1)
    # When a new one is started, which remembers nothing
    manager.start()
    answer = sent.result(timeout=100)
    # Then the caller has the device that was begun, and there is no other
    assert answer["response"] == "PASS", answer
    assert answer["name"] == f"{BASENAME}-{key}"
    assert answer["addr"] == "198.51.100.7"
    (device,) = manager.cloud.devices()
    assert device.name == answer["name"]
    assert device.delivered
    assert ordered.get(device.name, device.id) == device.id


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("before_create_address", marks=pytest.mark.slow),
        "after_create_address",
        pytest.param("before_answer", marks=pytest.mark.slow),
    ],
)
def test_an_address_whose_manager_is_killed_is_had_by_the_next_run_once(
    make_manager: MakeManager, step: str
) -> None:
    manager = make_manager()
    manager.start(crash_at=step)
    sent = manager.begin("BUILD_IP")
    until(lambda: killed(manager), "it was killed", 60)
    manager.start()
    answer = sent.result(timeout=100)
    assert answer["response"] == "PASS", answer
    (address,) = manager.cloud.addresses()
    assert (address.ip, address.id) == (answer["ip"], answer["id"])
    assert address.delivered


@pytest.mark.slow
@pytest.mark.parametrize("step", ["before_assign", "after_assign", "before_answer"])
def test_an_assignment_whose_manager_is_killed_is_ended_by_the_next(
    make_manager: MakeManager, step: str
) -> None:
    manager = make_manager()
    manager.cloud.put_device("libra-test-a", age=0, delivered=True)
    ip = manager.cloud.put_address(age=0, delivered=True)
    manager.start(crash_at=step)
    sent = manager.begin("ASSIGN_IP", ip=ip, name="libra-test-a")
    until(lambda: killed(manager), "it was killed", 60)
    manager.start()
    assert sent.result(timeout=100)["response"] == "PASS"
    assert [one.device for one in manager.cloud.addresses()] == ["libra-test-a"]


def test_a_failure_after_a_kill_leaves_nothing_either(make_manager: MakeManager) -> None:
    manager = make_manager(build_timeout=60)
    manager.start(crash_at="while_building")
    sent = manager.begin("BUILD_DEVICE", flavor="slow5 mute fails")
    until(lambda: killed(manager), "it was killed", 60)
    assert len(manager.cloud.devices()) == 1
    manager.start()
    answer = sent.result(timeout=100)
    assert (answer["response"], answer["error_code"]) == ("FAIL", "build_failed")
    assert manager.device_names() == set()


@pytest.mark.slow
def test_a_device_as_old_as_what_sweeps_remove_is_not_given_away(
    make_manager: MakeManager,
) -> None:
    # Given a device that was begun an hour ago, by a manager that was killed
    manager = make_manager(build_timeout=60, sweep_grace=3600)
    manager.start(crash_at="after_create")
    sent = manager.begin("BUILD_DEVICE")
    until(lambda: killed(manager), "it was killed", 60)
    manager.cloud.age(3600)
    # When the job is run again only now
    manager.start()
    answer = sent.result(timeout=100)
    # Then a sweep elsewhere may be about to remove it, so that it goes
    assert (answer["response"], answer["error_code"]) == ("FAIL", "timeout")
    assert "too long ago" in answer["error"]
    assert manager.device_names() == set()


@pytest.mark.slow
def test_a_pool_with_two_managers_loses_one_and_no_build(farmed: PoolManager) -> None:
    # Given forty builds, worked at by two managers of one pool
    other = PoolManager(
        folder=folders.folder(), servers=farmed.servers, cloud=farmed.cloud, build_timeout=60
    )
    with other:
        for one in (farmed, other):
            one.write_config(slots=15)
            one.start()
        until(lambda: len(clients(farmed)) == 30, "both are registered")
        sent = [farmed.begin("BUILD_DEVICE", flavor="slow2") for _ in range(40)]
        until(lambda: len(farmed.device_names()) >= 25, "both are at work")
        # When one of them is killed
        farmed.kill()
        answers = [one.result(timeout=100) for one in sent]
    # Then each is built, once
    assert {answer["response"] for answer in answers} == {"PASS"}
    assert {answer["name"] for answer in answers} == farmed.device_names()
    assert len(farmed.device_names()) == 40


def clients(manager: PoolManager) -> list[str]:
    admin = AdminClient(server=parse_server(manager.servers[0]))
    return [one.client_id for one in admin.workers() if FUNCTION in one.functions]
