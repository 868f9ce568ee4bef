"""The pool manager with the local cloud: reruns, sweeps, and many devices at once."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from libra_pool_mgm.clouds.base import DeviceState, DeviceWish
from tests.support.localcloud import Site
from tests.support.localpool import LocalPool
from tests.support.pool_manager import BASENAME
from tests.support.wait import until

AT_ONCE = 50
"""Devices that are built together."""

MakePool = Callable[..., LocalPool]


@pytest.fixture
def make_pool(site: Site) -> Iterator[MakePool]:
    """Make a pool manager that ends before its cloud does."""
    made: list[LocalPool] = []

    def make(**settings: object) -> LocalPool:
        made.append(LocalPool(site, **settings))
        return made[-1]

    yield make
    for pool in made:
        pool.close()


def test_the_actions_of_the_spec_are_carried_out(site: Site, make_pool: MakePool) -> None:
    pool = make_pool().start()
    built = pool.do("BUILD_DEVICE")
    assert built["response"] == "PASS", built
    assert (built["addr"], built["az"]) == ("198.18.0.2", "1")
    assert built["type"] == f"basename: {BASENAME}, image: local"
    ip = pool.do("BUILD_IP")["ip"]
    web, port = site.web("web"), 80
    (device,) = site.cloud().devices()
    assert device.delivered
    assert site.serve(device, web, port=port).ok
    assert pool.do("ASSIGN_IP", ip=ip, name=built["name"])["response"] == "PASS"
    assert site.get(ip, port).body == b"web"
    assert pool.do("REMOVE_IP", ip=ip, name=built["name"])["response"] == "PASS"
    assert pool.do("DELETE_IP", ip=ip)["response"] == "PASS"
    assert pool.do("DELETE_DEVICE", name=built["name"])["response"] == "PASS"
    assert (site.cloud().devices(), site.cloud().addresses()) == ([], [])


@pytest.mark.parametrize(
    "step",
    [
        "local_linked",
        "before_answer",
        *(
            pytest.param(step, marks=pytest.mark.slow)
            for step in (
                *("before_create", "local_recorded", "local_guard_started", "local_up"),
                *("after_create", "after_active", "before_delivered"),
            )
        ),
    ],
)
def test_a_build_whose_manager_is_killed_is_ended_by_the_next(
    site: Site, make_pool: MakePool, step: str
) -> None:
    # Given a manager that is killed while it builds
    pool = make_pool().start(crash_at=step)
    waiting = pool.begin("BUILD_DEVICE", unique=str(uuid.uuid4()))
    until(pool.ended, f"it was killed at {step}")
    # When another starts, and gearmand gives the job to that
    pool.start()
    answer = waiting.result(timeout=90)
    # Then there is one device, it was delivered, and it is the one of the answer
    assert answer["response"] == "PASS", answer
    (device,) = site.cloud().devices()
    assert (device.name, device.state) == (answer["name"], DeviceState.ACTIVE)
    assert device.delivered


def test_a_sweep_removes_what_nobody_was_given_and_nothing_else(
    site: Site, make_pool: MakePool
) -> None:
    # Given a device and an address that were delivered, and ones that were not
    pool = make_pool(build_timeout=1, build_diag_timeout=1, sweep_grace=3, sweep_share=100)
    cloud = site.cloud()
    for delivered in (True, False):
        key = str(uuid.uuid4())
        device = cloud.create_device(DeviceWish(key=key, name=f"{BASENAME}-{key}"))
        address = cloud.create_address(key=key)
        if delivered:
            kept = (device.name, address.ip)
            cloud.mark_delivered(device)
            cloud.mark_address_delivered(address)
    # When sweeps are made until they are old enough
    until(
        lambda: pool.run("--sweep").returncode == 0 and things(site) == (1, 1),
        "the orphans were swept",
        60,
    )
    # Then exactly these went
    (left,), (ip,) = site.cloud().devices(), site.cloud().addresses()
    assert (left.name, ip.ip) == kept
    assert left.state is DeviceState.ACTIVE


def test_an_operator_can_see_everything_and_remove_it(site: Site, make_pool: MakePool) -> None:
    # Given a device with an address, and the pool manager's settings
    pool, device = make_pool(), site.build(wait=False)
    address = site.cloud().create_address(key="k")
    site.cloud().assign_address(address, device)
    # When everything is listed / Then it is there, with the way in
    seen = json.loads(operate(pool, "list"))
    assert [one["name"] for one in seen["devices"]] == [device.name]
    assert [(one["ip"], one["device"]) for one in seen["addresses"]] == [(address.ip, device.name)]
    assert Path(seen["outer_namespace"]).exists()
    # When everything is removed / Then nothing is there, twice
    for _ in range(2):
        assert operate(pool, "remove-everything") == ""
        assert things(site) == (0, 0)
        assert site.processes() == {}


def operate(pool: LocalPool, act: str) -> str:
    command = [sys.executable, "-m", "libra_pool_mgm.clouds.local"]
    done = subprocess.run(
        [*command, f"--config-file={pool.config}", act],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def things(site: Site) -> tuple[int, int]:
    """How many devices and addresses there are."""
    return len(site.cloud().devices()), len(site.cloud().addresses())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fifty_devices_are_built_at_once_and_all_of_them_go(
    site: Site, make_pool: MakePool
) -> None:
    pool = make_pool(build_timeout=300).start()
    waiting = [pool.begin("BUILD_DEVICE", timeout=400) for _ in range(AT_ONCE)]
    answers = [one.result(timeout=400) for one in waiting]
    assert [answer["response"] for answer in answers] == ["PASS"] * AT_ONCE
    assert len({answer["addr"] for answer in answers}) == AT_ONCE
    assert {answer["name"] for answer in answers} <= site.registered()
    gone = [pool.begin("DELETE_DEVICE", timeout=400, name=one["name"]) for one in answers]
    assert [one.result(timeout=400)["response"] for one in gone] == ["PASS"] * AT_ONCE
    assert site.cloud().devices() == []
    assert site.of_devices() == []
