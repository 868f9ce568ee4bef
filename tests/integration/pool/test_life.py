"""The pool manager's own life: stops, reloads, servers that go, settings that cannot work."""

from __future__ import annotations

import signal
import uuid

import pytest

from libra_common.exits import Exit
from tests.integration.pool.conftest import MakeManager
from tests.support.gearmand import Gearmand
from tests.support.pool_manager import PoolManager
from tests.support.wait import until


def test_a_stop_waits_for_builds_that_end_in_time(make_manager: MakeManager) -> None:
    manager = make_manager(stop_timeout=60).start()
    sent = manager.begin("BUILD_DEVICE", flavor="slow3")
    until(lambda: manager.device_names(), "the device is ordered")
    assert manager.stop() == Exit.OK
    answer = sent.result(timeout=30)
    assert answer["response"] == "PASS"
    assert manager.device_names() == {answer["name"]}


def test_a_stop_undoes_builds_that_take_too_long_and_answers_them(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(stop_timeout=12).start()
    sent = [manager.begin("BUILD_DEVICE", flavor="slow100 mute") for _ in "123"]
    until(lambda: len(manager.device_names()) == 3, "the devices are ordered")
    assert manager.stop() == Exit.OK
    for one in sent:
        answer = one.result(timeout=30)
        assert (answer["response"], answer["error_code"]) == ("FAIL", "shutting_down")
    assert manager.device_names() == set()


def test_a_second_signal_leaves_at_once_and_the_next_manager_ends_the_build(
    make_manager: MakeManager,
) -> None:
    # Given a build under way
    manager = make_manager(stop_timeout=300).start()
    sent = manager.begin("BUILD_DEVICE", flavor="slow4")
    until(lambda: manager.device_names(), "the device is ordered")
    assert manager.process is not None
    # When the manager is told twice to stop
    manager.process.terminate()
    until(lambda: "stopping" in manager.said(), "it stops")
    manager.process.send_signal(signal.SIGTERM)
    assert manager.process.wait(30) == Exit.HURRIED
    # Then the device is left as it is, and the next manager goes on with it
    assert len(manager.device_names()) == 1
    manager.start()
    answer = sent.result(timeout=60)
    assert answer["response"] == "PASS"
    assert manager.device_names() == {answer["name"]}


def test_a_job_run_again_while_its_first_run_goes_on_is_not_done_twice(
    make_manager: MakeManager, gearmand: Gearmand
) -> None:
    # Given a build under way, whose job server is killed
    manager = make_manager().start()
    key = str(uuid.uuid4())
    lost = manager.begin("BUILD_DEVICE", unique=key, flavor="slow3")
    until(lambda: manager.device_names(), "the device is ordered")
    gearmand.kill()
    gearmand.start()
    assert type(lost.exception(timeout=30)).__name__ == "ConnectionLost"
    # When its caller sends it once more
    answer = manager.do("BUILD_DEVICE", unique=key, flavor="slow3")
    # Then there is one device, ordered once
    assert answer["response"] == "PASS"
    assert manager.device_names() == {answer["name"]}
    assert [name for _, name in manager.cloud.calls()].count("create_device") == 1
    assert "under way already" in manager.said()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_device_that_nobody_asks_for_again_is_not_delivered_but_deleted(
    make_manager: MakeManager, gearmand: Gearmand
) -> None:
    # Given a build under way, whose job and caller a restart of the job server takes away
    manager = make_manager().start()
    lost = manager.begin("BUILD_DEVICE", flavor="slow3")
    until(lambda: manager.device_names(), "the device is ordered")
    gearmand.kill()
    gearmand.start()
    assert type(lost.exception(timeout=30)).__name__ == "ConnectionLost"
    # Then it is not given to nobody
    until(lambda: not manager.device_names(), "the device is deleted", 200)
    assert "mark_delivered" not in [name for _, name in manager.cloud.calls()]


def test_a_stop_undoes_what_nobody_waits_for(make_manager: MakeManager, gearmand: Gearmand) -> None:
    manager = make_manager().start()
    manager.begin("BUILD_DEVICE", flavor="slow100 mute")
    until(lambda: manager.device_names(), "the device is ordered")
    gearmand.kill()
    until(lambda: "nobody will hear its answer" in manager.said(), "the loss is noticed")
    assert manager.stop() == Exit.OK
    assert manager.device_names() == set()


def test_sighup_takes_new_settings_and_ends_what_runs_by_the_old_ones(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(az="1").start()
    sent = manager.begin("BUILD_DEVICE", flavor="slow3")
    until(lambda: manager.device_names(), "the device is ordered")
    manager.write_config(az="2")
    assert manager.process is not None
    manager.process.send_signal(signal.SIGHUP)
    until(lambda: "reloaded" in manager.said(), "it reloads")
    # The old service's slots may still take one: ask until the new one's answer comes.
    until(lambda: manager.do("BUILD_DEVICE")["az"] == "2", "the new settings are in force", 60)
    assert sent.result(timeout=60)["az"] == "1"


def test_settings_that_are_wrong_at_sighup_change_nothing(manager: PoolManager) -> None:
    manager.write_config(cloud="no.such.module")
    assert manager.process is not None
    manager.process.send_signal(signal.SIGHUP)
    until(lambda: "reload refused" in manager.said(), "it refuses")
    assert manager.do("BUILD_IP")["response"] == "PASS"


def test_check_config_asks_the_cloud_itself(make_manager: MakeManager) -> None:
    manager = make_manager()
    assert manager.run("--check-config").returncode == Exit.OK
    manager.cloud.fault("locked")
    said = manager.run("--check-config")
    assert said.returncode == Exit.CONFIG
    assert "[mgm] cloud = tests.support.file_cloud: wrong password" in said.stderr


def test_a_cloud_that_is_none_ends_it_with_the_reason(make_manager: MakeManager) -> None:
    for cloud in ("no.such.module", "json", ""):
        manager = make_manager()
        manager.write_config(cloud=cloud)
        said = manager.run()
        assert said.returncode == Exit.CONFIG
        assert "[mgm] cloud" in said.stderr + manager.said()


def test_a_cloud_that_is_away_at_the_start_is_logged_and_no_reason_to_stay_away(
    make_manager: MakeManager,
) -> None:
    manager = make_manager()
    manager.cloud.fault("away")
    manager.start()
    until(lambda: "the cloud cannot be used" in manager.said(), "it is logged")
    manager.cloud.fault("away", on=False)
    assert manager.do("BUILD_IP")["response"] == "PASS"
