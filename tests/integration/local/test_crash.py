"""Whoever builds or deletes may be killed at any step: the next one ends what was begun."""

from __future__ import annotations

import pytest

from libra_pool_mgm.clouds.base import DeviceState
from tests.support.backends import HttpBackend
from tests.support.localcloud import Site, in_another_process, traces_on_the_host, wish
from tests.support.wait import until

BUILDING = ("local_recorded", "local_guard_started", "local_linked", "local_up")
DELETING = ("local_deleting", "local_ended")


@pytest.mark.parametrize("step", BUILDING)
def test_a_build_killed_at_any_step_is_ended_by_a_rerun(
    site: Site, web: HttpBackend, step: str
) -> None:
    # Given a build that was killed
    ordered = wish()
    in_another_process(site, "create", ordered.key, ordered.name, crash_at=step)
    # When the job runs again, in a process that knows nothing
    made = in_another_process(site, "create", ordered.key, ordered.name)
    # Then there is one device, and it works
    (device,) = site.cloud().devices()
    assert device.id == made["id"]
    until(lambda: site.state(device) is DeviceState.ACTIVE, "the device is active")
    site.wait_for(device)
    assert site.serve(device, web).ok
    assert site.get(device.address).body == b"web"


@pytest.mark.parametrize("step", BUILDING)
def test_a_build_killed_at_any_step_leaves_what_a_deletion_removes(site: Site, step: str) -> None:
    ordered = wish()
    in_another_process(site, "create", ordered.key, ordered.name, crash_at=step)
    (device,) = site.cloud().devices()
    assert not device.delivered
    site.cloud().delete_device(device)
    assert site.cloud().devices() == []
    until(lambda: not site.of_devices(), "no process of it is left")
    assert traces_on_the_host(site) == []


@pytest.mark.parametrize("step", DELETING)
def test_a_deletion_killed_at_any_step_is_ended_by_a_rerun(site: Site, step: str) -> None:
    device = site.build(wait=False)
    address = site.cloud().create_address(key="k")
    site.cloud().assign_address(address, device)
    in_another_process(site, "delete", device.name, crash_at=step)
    assert site.state(device) is DeviceState.DELETING
    in_another_process(site, "delete", device.name)
    assert site.cloud().devices() == []
    (left,) = site.cloud().addresses()
    assert left.device is None


def test_an_assignment_killed_half_way_is_ended_by_a_rerun(site: Site, web: HttpBackend) -> None:
    device = site.build()
    assert site.serve(device, web).ok
    address = site.cloud().create_address(key="k")
    in_another_process(site, "assign", address.ip, device.name, crash_at="local_assigning")
    in_another_process(site, "assign", address.ip, device.name)
    assert site.get(address.ip).body == b"web"
    in_another_process(site, "remove", address.ip, device.name, crash_at="local_unrouted")
    in_another_process(site, "remove", address.ip, device.name)
    (left,) = site.cloud().addresses()
    assert left.device is None
