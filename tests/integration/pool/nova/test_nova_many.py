"""Many builds at once in a real OpenStack, a fifth of them with faults, and two kills."""

from __future__ import annotations

import uuid
from functools import partial

import pytest

from libra_common.settings import load
from libra_pool_mgm.clouds.nova import make_cloud
from tests.integration.pool.nova.conftest import MakeNovaManager, wish
from tests.support.crowd import crowd
from tests.support.gearmand import Gearmand
from tests.support.nova_manager import BASENAME
from tests.support.openstack import OpenStack
from tests.support.sizes import size
from tests.support.wait import until

pytestmark = pytest.mark.slow

_BUILDS = size(60, full=200)
_FAULTS: list[dict[str, str]] = [
    {"flavor": "bench.huge"},
    {"image": "no-such-image"},
    {"network": "no-such-network"},
    {},  # finds itself ill
]
_ORPHANS = 20


def in_the_project(stack: OpenStack, count: int) -> bool:
    return len(stack.servers()) >= count


def test_of_many_builds_with_faults_and_kills_one_sweep_leaves_just_what_was_delivered(
    stack: OpenStack, gearmand: Gearmand, nova_manager: MakeNovaManager
) -> None:
    # Given many builds and some addresses; each fifth build goes wrong
    keys = [str(uuid.uuid4()) for _ in range(_BUILDS)]
    wrong = {key: _FAULTS[number % len(_FAULTS)] for number, key in enumerate(keys[::5])}
    good = [f"{BASENAME}-{key}" for key in keys if key not in wrong]
    ill = [f"{BASENAME}-{key}" for key, fault in wrong.items() if not fault]
    manager = nova_manager(build_timeout=600, build_diag_timeout=60, sweep_grace=900)
    with (
        stack.quota(instances=-1, addresses=-1),
        crowd(good, gearmand.address, bad=ill),
    ):
        manager.start()
        sent = {
            key: manager.begin("BUILD_DEVICE", unique=key, timeout=1700, **wrong.get(key, {}))
            for key in keys
        }
        ips = [manager.begin("BUILD_IP", timeout=1700) for _ in range(10)]

        # When the pool manager is killed twice in the midst of them
        for count in (_BUILDS * 3 // 40, _BUILDS * 3 // 10):
            until(partial(in_the_project, stack, count), f"{count} servers", 900)
            manager.kill()
            manager.start()
        answers = {key: one.result(1700) for key, one in sent.items()}
        delivered = {answer["name"] for answer in answers.values() if answer["response"] == "PASS"}
        addresses = {one.result(100)["ip"] for one in ips}
        manager.stop()

        # Then all the good ones were built, and none of the others
        outcome = {
            key: answer.get("error_code", answer["response"]) for key, answer in answers.items()
        }
        assert {key for key, code in outcome.items() if code != "PASS"} == set(wrong), outcome
        assert {outcome[key] for key in wrong} == {"capacity", "bad_request", "build_failed"}

        # When there are 20 orphans more, and another process sweeps, which remembers nothing
        sweeper = nova_manager(build_timeout=1, build_diag_timeout=1, sweep_grace=3)
        cloud = make_cloud(load(["--config-file", str(sweeper.config)], prog="libra_pool_mgm"))
        orphans = [cloud.create_device(wish()).name for _ in range(_ORPHANS)]
        until(lambda: all(one.state != "building" for one in cloud.devices()), "all are built", 300)
        cloud.close()
        done = sweeper.run("--sweep")

        # Then they go, and what was delivered stays: every server, every address
        assert done.returncode == 0, done.stderr
        assert all(f"removed device {name}\n" in done.stdout for name in orphans)
        until(lambda: len(stack.servers()) <= len(delivered), "they are gone", 300)
        assert set(stack.servers()) == delivered
        assert set(stack.addresses()) == addresses
