"""What goes wrong in OpenStack is answered by its code and reason, and leaves nothing behind."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.integration.pool.nova.conftest import MakeNovaManager
from tests.integration.pool.test_crash import STEPS, killed
from tests.support.booting import Booting
from tests.support.openstack import OpenStack
from tests.support.pool_manager import Answer
from tests.support.wait import until

pytestmark = pytest.mark.slow


def failed(answer: Answer, code: str) -> str:
    """The reason of an answer that must be FAIL with this code."""
    assert (answer["response"], answer.get("error_code")) == ("FAIL", code), answer
    return str(answer["error"])


def nothing_is_left(stack: OpenStack) -> None:
    until(lambda: not stack.servers(), "no server is left", 60)
    assert stack.addresses() == {}


def test_a_full_quota_is_told_for_servers_and_for_addresses(
    stack: OpenStack, nova_manager: MakeNovaManager
) -> None:
    manager = nova_manager().start()
    with stack.quota(instances=0, addresses=0):
        assert "Quota exceeded for instances" in failed(manager.do("BUILD_DEVICE"), "quota")
        assert "Quota exceeded" in failed(manager.do("BUILD_IP"), "quota")
    nothing_is_left(stack)


def test_what_fits_no_host_is_told_and_deleted(
    stack: OpenStack, nova_manager: MakeNovaManager
) -> None:
    answer = nova_manager().start().do("BUILD_DEVICE", flavor="bench.huge")
    assert "No valid host" in failed(answer, "capacity")
    assert answer["name"].startswith("libra-stg-haproxy-")
    nothing_is_left(stack)


@pytest.mark.parametrize(
    ("fault", "reason"), [("failspawn", "Exhausted all hosts"), ("abort", "told to abort")]
)
def test_a_build_that_fails_is_answered_in_nova_s_words_and_deleted(
    stack: OpenStack, nova_manager: MakeNovaManager, fault: str, reason: str
) -> None:
    answer = nova_manager(node_basename=f"libra-{fault}").start().do("BUILD_DEVICE")
    assert reason in failed(answer, "build_failed")
    nothing_is_left(stack)


@pytest.mark.parametrize(
    ("fault", "timeout", "reason"),
    # The second is to be seen active, which takes nova its time on a busy machine.
    [("slow20", 10, "not active within 10 s"), ("mute", 45, "not registered")],
)
def test_a_device_that_is_too_slow_or_never_speaks_is_deleted_at_its_deadline(
    stack: OpenStack,
    nova_manager: MakeNovaManager,
    booting: Booting,
    fault: str,
    timeout: int,
    reason: str,
) -> None:
    manager = nova_manager(node_basename=f"libra-{fault}", build_timeout=timeout).start()
    assert reason in failed(manager.do("BUILD_DEVICE"), "timeout")
    nothing_is_left(stack)


def test_a_device_that_cannot_be_deleted_is_said_to_be_there_still(
    stack: OpenStack, nova_manager: MakeNovaManager, booting: Booting
) -> None:
    # Given a device that nova will not get rid of
    manager = nova_manager(node_basename="libra-faildel", build_timeout=60).start()
    built = manager.do("BUILD_DEVICE")
    assert built["response"] == "PASS", built

    # When it is to be deleted
    answer = manager.do("DELETE_DEVICE", name=built["name"])

    # Then the answer is the truth
    assert "told to fail the delete" in failed(answer, "delete_failed")
    assert stack.servers()[built["name"]]["status"] == "ERROR"


@pytest.mark.parametrize("what", ["image", "flavor", "network", "az"])
def test_what_the_cloud_does_not_know_is_named(
    stack: OpenStack, nova_manager: MakeNovaManager, what: str
) -> None:
    manager = nova_manager().start()
    reason = failed(manager.do("BUILD_DEVICE", **{what: "no-such-thing"}), "bad_request")
    assert f"{what} = 'no-such-thing'" in reason
    nothing_is_left(stack)


def test_a_wrong_password_is_answered_and_not_written_anywhere(
    stack: OpenStack, nova_manager: MakeNovaManager
) -> None:
    # Given the original's settings, with a wrong password
    secret = uuid.uuid4().hex
    auth = stack.member.config.get_auth_args()
    manager = nova_manager(
        nova={"os_cloud": ""},
        nova_auth_url=auth["auth_url"],
        nova_user=auth["username"],
        nova_tenant=auth["project_name"],
        nova_pass=secret,
    ).start()

    # When a device is asked for
    answer = manager.do("BUILD_DEVICE")

    # Then the answer says what is wrong, and nobody the password
    failed(answer, "unauthorized")
    assert secret not in manager.said()
    assert secret not in str(answer)


@pytest.mark.parametrize("step", STEPS)
def test_a_manager_killed_at_any_step_leaves_one_device_to_the_next_one(
    stack: OpenStack, nova_manager: MakeNovaManager, booting: Booting, step: str
) -> None:
    # Given a manager that dies at this step of a build, which takes three seconds in nova
    manager = nova_manager(build_timeout=90, node_basename="libra-slow3")
    manager.start(crash_at=step)
    key = str(uuid.uuid4())
    sent = manager.begin("BUILD_DEVICE", unique=key)
    until(lambda: killed(manager), "it was killed", 90)
    ordered = {name: one["id"] for name, one in stack.servers().items()}
    assert len(ordered) == (0 if step == "before_create" else 1)

    # When a new one is started, which remembers nothing
    manager.start()
    answer = sent.result(timeout=110)

    # Then the caller has the device that was begun, and there is no other
    assert answer["response"] == "PASS", answer
    servers: dict[str, Any] = dict(stack.servers())
    assert list(servers) == [f"libra-slow3-{key}"] == [answer["name"]]
    assert ordered.get(answer["name"]) in (None, servers[answer["name"]]["id"])
    assert servers[answer["name"]]["metadata"]["libra_delivered"] == "yes"


@pytest.mark.parametrize("step", ["before_create_address", "after_create_address", "before_answer"])
def test_a_manager_killed_over_an_address_leaves_one_to_the_next(
    stack: OpenStack, nova_manager: MakeNovaManager, step: str
) -> None:
    manager = nova_manager()
    manager.start(crash_at=step)
    sent = manager.begin("BUILD_IP")
    until(lambda: killed(manager), "it was killed", 60)
    manager.start()
    answer = sent.result(timeout=110)
    assert answer["response"] == "PASS", answer
    assert list(stack.addresses()) == [answer["ip"]]
    assert "delivered=yes" in stack.addresses()[answer["ip"]]["description"]
