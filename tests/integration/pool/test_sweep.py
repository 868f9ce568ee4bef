"""Sweeps remove what nobody was given, and never anything else."""

from __future__ import annotations

from libra_common.exits import Exit
from tests.integration.pool.conftest import MakeManager
from tests.support.pool_manager import PoolManager
from tests.support.wait import until

DAY = 86400.0


def fill(manager: PoolManager, *, delivered: int, orphans: int, age: float = DAY) -> set[str]:
    """Have devices and addresses there; return the names of those that were delivered."""
    for number in range(delivered):
        manager.cloud.put_device(f"libra-test-good{number}", age=age, delivered=True)
    for number in range(orphans):
        manager.cloud.put_device(f"libra-test-orphan{number}", age=age, delivered=False)
    return {f"libra-test-good{number}" for number in range(delivered)}


def test_of_50_delivered_and_20_orphans_exactly_the_20_go(make_manager: MakeManager) -> None:
    # Given a cloud full of them, and a manager that has never seen any
    manager = make_manager()
    good = fill(manager, delivered=50, orphans=20)
    addresses = {manager.cloud.put_address(age=DAY, delivered=True) for _ in range(5)}
    orphans = {manager.cloud.put_address(age=DAY, delivered=False) for _ in range(3)}
    # When it is asked what it would do
    said = manager.run("--sweep", "--dry-run")
    assert said.returncode == Exit.OK
    assert len([line for line in said.stdout.splitlines() if "would remove device" in line]) == 20
    assert len(manager.device_names()) == 70
    # and then to do it
    said = manager.run("--sweep")
    # Then exactly these are gone
    assert said.returncode == Exit.OK, said.stderr
    assert manager.device_names() == good
    assert {one.ip for one in manager.cloud.addresses()} == addresses
    for ip in orphans:
        assert f"removed address {ip}" in said.stdout
    # And a second sweep finds nothing
    assert manager.run("--sweep").stdout == ""


def test_what_is_young_is_left_alone(make_manager: MakeManager) -> None:
    manager = make_manager(sweep_grace=3600)
    fill(manager, delivered=0, orphans=3, age=3000)
    assert manager.run("--sweep").stdout == ""
    assert len(manager.device_names()) == 3


def test_a_sweep_of_too_much_removes_nothing_and_says_so(make_manager: MakeManager) -> None:
    # Given a cloud in which every mark was lost
    manager = make_manager(sweep_share=50)
    fill(manager, delivered=10, orphans=11)
    said = manager.run("--sweep")
    # Then nothing goes
    assert said.returncode == Exit.UNAVAILABLE
    assert "11 of 21 devices" in said.stderr
    assert len(manager.device_names()) == 21
    # Until somebody says that it may
    assert manager.run("--sweep", "--mgm-sweep-share", "100").returncode == Exit.OK
    assert len(manager.device_names()) == 10


def test_a_cloud_that_cannot_be_listed_is_told_of_and_nothing_goes(
    make_manager: MakeManager,
) -> None:
    manager = make_manager()
    fill(manager, delivered=2, orphans=2)
    manager.cloud.fault("away")
    said = manager.run("--sweep")
    assert said.returncode == Exit.UNAVAILABLE
    assert "the cloud is away" in said.stderr
    manager.cloud.fault("away", on=False)
    assert len(manager.device_names()) == 4


def test_an_address_in_use_and_its_device_are_never_swept(make_manager: MakeManager) -> None:
    manager = make_manager()
    fill(manager, delivered=0, orphans=1)
    ip = manager.cloud.put_address(age=DAY, delivered=False)
    device, address = manager.cloud.devices()[0], manager.cloud.find_address(ip)
    assert address is not None
    manager.cloud.assign_address(address, device)
    assert manager.run("--sweep").stdout == ""


def test_a_running_manager_sweeps_now_and_then_but_not_what_it_builds(
    make_manager: MakeManager,
) -> None:
    # Given a manager that sweeps each second
    manager = make_manager(sweep_interval=1).start()
    good = fill(manager, delivered=5, orphans=2)
    # Then the orphans go by themselves
    until(lambda: manager.device_names() == good, "the orphans are swept")
    # And a device that it builds stays, were it as old as they
    manager.begin("BUILD_DEVICE", flavor="slow100 mute")
    until(lambda: len(manager.device_names()) == 6, "it is ordered")
    manager.cloud.age(DAY)
    sweeps = manager.said().count("sweep: 0 removed")
    until(lambda: manager.said().count("sweep: 0 removed") > sweeps + 1, "two sweeps more")
    assert len(manager.device_names()) == 6


def test_dry_run_alone_is_refused(make_manager: MakeManager) -> None:
    assert make_manager().run("--dry-run").returncode == Exit.USAGE
