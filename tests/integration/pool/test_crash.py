"""Pool managers killed at any step: the job's next run, in a new process, ends what was begun."""

from __future__ import annotations

import uuid

import pytest

from tests.integration.pool.conftest import MakeManager
from tests.support.pool_manager import BASENAME, PoolManager
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
    sent = manager.begin("BUILD_DEVICE", unique=key)
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


def test_a_failure_after_a_kill_leaves_nothing_either(make_manager: MakeManager) -> None:
    manager = make_manager(build_timeout=60)
    manager.start(crash_at="while_building")
    sent = manager.begin("BUILD_DEVICE", flavor="slow1 mute fails")
    until(lambda: killed(manager), "it was killed", 60)
    assert len(manager.cloud.devices()) == 1
    manager.start()
    answer = sent.result(timeout=100)
    assert (answer["response"], answer["error_code"]) == ("FAIL", "build_failed")
    assert manager.device_names() == set()
