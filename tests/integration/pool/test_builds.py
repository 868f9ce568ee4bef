"""Builds that go wrong: the answer says why, and nothing is left."""

from __future__ import annotations

from tests.integration.pool.conftest import MakeManager
from tests.support.pool_manager import BASENAME, PoolManager
from tests.support.wait import until


def test_a_device_that_is_no_good_is_deleted_and_its_reason_answered(
    manager: PoolManager,
) -> None:
    # Given devices that go wrong, each in its own way, built together
    wanted = {
        "fails mute": ("build_failed", "no such luck"),
        "relapses mute": ("build_failed", "failed"),
        "huge mute": ("capacity", "no host is large enough"),
        "quota": ("quota", "0 left"),
        "unknown": ("bad_request", "flavor unknown"),
        "ill": ("build_failed", "127.0.0.1"),
    }
    sent = {flavor: manager.begin("BUILD_DEVICE", flavor=flavor) for flavor in wanted}
    # Then each has its reason
    for flavor, (code, word) in wanted.items():
        answer = sent[flavor].result(timeout=90)
        assert (answer["response"], answer["error_code"]) == ("FAIL", code)
        assert word in answer["error"]
        # and what API servers read wherever there is a name
        assert answer["name"].startswith(f"{BASENAME}-")
        assert isinstance(answer["addr"], str)
        assert answer["type"].startswith(f"basename: {BASENAME}, image: ")
        assert answer["az"] == "1"
    # And nothing is left
    assert manager.device_names() == set()


def test_a_device_that_is_too_slow_is_deleted_and_the_step_is_named(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(build_timeout=3).start()
    wanted = {"slow60 mute": "active", "mute": "registered", "homeless mute": "active"}
    sent = {flavor: manager.begin("BUILD_DEVICE", flavor=flavor) for flavor in wanted}
    for flavor, step in wanted.items():
        answer = sent[flavor].result(timeout=90)
        assert (answer["response"], answer["error_code"]) == ("FAIL", "timeout")
        assert f"not {step}" in answer["error"]
        assert answer["addr"] == ("198.51.100.7" if flavor == "mute" else "")
    assert manager.device_names() == set()


def test_orders_that_nobody_confirmed_are_looked_for_and_not_repeated(
    manager: PoolManager,
) -> None:
    answer = manager.do("BUILD_DEVICE", flavor="lost")
    assert answer["response"] == "PASS"
    assert manager.device_names() == {answer["name"]}
    manager.cloud.fault("lose-addresses")
    got = manager.do("BUILD_IP")
    assert got["response"] == "PASS"
    assert [one.ip for one in manager.cloud.addresses()] == [got["ip"]]
    calls = [name for _, name in manager.cloud.calls()]
    assert calls.count("create_device") == calls.count("create_address") == 1


def test_a_device_whose_mark_is_never_confirmed_is_not_given_away(manager: PoolManager) -> None:
    answer = manager.do("BUILD_DEVICE", flavor="unmarked")
    assert (answer["response"], answer["error_code"]) == ("FAIL", "timeout")
    assert manager.device_names() == set()


def test_a_device_that_cannot_be_deleted_is_told_of(make_manager: MakeManager) -> None:
    # Given a device that the cloud cannot delete
    manager = make_manager().start()
    answer = manager.do("BUILD_DEVICE", flavor="faildel")
    assert answer["response"] == "PASS"
    # When it is to be
    deleted = manager.do("DELETE_DEVICE", name=answer["name"])
    # Then that is told, with the cloud's reason
    assert (deleted["response"], deleted["error_code"]) == ("FAIL", "delete_failed")
    assert "the disk is stuck" in deleted["error"]


def test_a_device_deleted_by_hand_while_it_is_built_fails_at_once(manager: PoolManager) -> None:
    sent = manager.begin("BUILD_DEVICE", flavor="slow50 mute")
    until(lambda: [name for _, name in manager.cloud.calls()].count("devices") >= 2, "a listing")
    for device in manager.cloud.devices():
        manager.cloud.delete_device(device)
    answer = sent.result(timeout=60)
    assert (answer["response"], answer["error_code"]) == ("FAIL", "build_failed")
    assert "deleted while it was built" in answer["error"]


def test_a_cloud_that_is_away_for_a_while_delays_builds_and_fails_none(
    manager: PoolManager,
) -> None:
    # Given a build that waits
    sent = manager.begin("BUILD_DEVICE", flavor="slow1")
    until(lambda: manager.device_names(), "the device is ordered")
    # When the cloud is away for a while
    manager.cloud.fault("away")
    until(
        lambda: "the list of devices cannot be asked for" in manager.said(), "the loss is noticed"
    )
    manager.cloud.fault("away", on=False)
    # Then the build comes to its end
    assert sent.result(timeout=90)["response"] == "PASS"


def test_a_cloud_that_cannot_do_it_is_told_of(manager: PoolManager) -> None:
    manager.cloud.fault("no-addresses")
    answer = manager.do("BUILD_IP")
    assert (answer["response"], answer["error_code"]) == ("FAIL", "quota")
    manager.cloud.fault("away")
    for action, fields in (
        ("DELETE_DEVICE", {"name": "libra-test-a"}),
        ("DELETE_IP", {"ip": "192.0.2.1"}),
    ):
        answer = manager.do(action, **fields)
        assert (answer["response"], answer["error_code"]) == ("FAIL", "cloud_unavailable")
