"""A local device is a node like any other, and leaves the host as it was."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from libra_pool_mgm.clouds.base import DeviceState
from libra_pool_mgm.clouds.errors import BadRequest, Conflict
from tests.support.backends import HttpBackend
from tests.support.localcloud import Site, in_another_process, traces_on_the_host, wish
from tests.support.wait import until


def test_a_device_serves_on_its_own_address_and_is_gone_without_a_trace(
    site: Site, web: HttpBackend
) -> None:
    # When a device is built
    device = site.build()
    # Then it is a node that answers, reaches the job server, and serves what it is told
    assert (device.state, device.address) == (DeviceState.ACTIVE, "198.18.0.2")
    assert site.send(device, {"hpcs_action": "DIAGNOSTICS"}).answer["network"] == "PASS"
    assert site.serve(device, web).ok
    assert site.get(device.address).body == b"web"
    # And nothing of it is in the host's network
    assert traces_on_the_host(site) == []
    # When it is deleted / Then no process, file or record is left of it
    site.cloud().delete_device(device)
    assert site.cloud().find_device(device.name) is None
    assert not site.folder_of(device).exists()
    assert not site.of_devices()
    assert traces_on_the_host(site) == []
    # And deleting it again is no fault
    site.cloud().delete_device(device)


def test_what_runs_in_a_device_has_no_rights_and_its_guard_gave_them_up(
    site: Site, web: HttpBackend
) -> None:
    device = site.build()
    assert site.serve(device, web).ok
    inside = _inside(site.init_of(device))
    # The init, the worker, the keeper and two of HAProxy
    assert len(inside) >= 5
    for pid in (*inside, site.guard_of(device)):
        assert int(_status(pid, "CapEff"), 16) == 0 or site.user == "root"
    for pid in inside:
        assert (_status(pid, "Uid").split()[0] != "0") or site.user == "root"


def test_a_device_outlives_who_built_it_and_is_found_by_the_next(
    site: Site, web: HttpBackend
) -> None:
    # Given a device that another process has built, which is gone
    ordered = wish()
    made = in_another_process(site, "create", ordered.key, ordered.name)
    # When the same job runs again
    device = site.cloud().create_device(ordered)
    # Then it is the same device, still a single one, and it serves
    assert device.id == made["id"]
    assert [one.name for one in site.cloud().devices()] == [ordered.name]
    site.wait_for(device)
    assert site.serve(device, web).ok
    assert site.get(device.address).body == b"web"


def test_a_worker_that_dies_is_started_again_while_traffic_goes_on(
    site: Site, web: HttpBackend
) -> None:
    device = site.build()
    assert site.serve(device, web).ok
    (worker,) = _workers(site)
    os.kill(worker, signal.SIGKILL)
    until(lambda: _workers(site) not in ([], [worker]), "there is another worker")
    assert site.get(device.address).body == b"web"
    site.wait_for(device)
    until(lambda: site.send(device, {"hpcs_action": "STATS"}).ok, "the new worker has adopted it")
    assert site.state(device) is DeviceState.ACTIVE


@pytest.mark.parametrize("which", ["guard", "init"])
def test_a_device_whose_processes_died_has_failed_and_can_be_deleted(
    site: Site, which: str
) -> None:
    device = site.build()
    os.kill(site.guard_of(device) if which == "guard" else site.init_of(device), signal.SIGKILL)
    until(lambda: site.state(device) is DeviceState.FAILED, "the cloud says that it failed")
    # Then nothing runs in it any more, a rerun does not revive it, and it says why
    until(lambda: not _workers(site), "its processes are gone")
    found = site.cloud().find_device(device.name)
    assert found is not None
    assert found.fault
    again = site.cloud().create_device(wish(key=device.key, name=device.name))
    assert (again.id, again.state) == (device.id, DeviceState.FAILED)
    site.cloud().delete_device(device)
    assert site.cloud().devices() == []


def test_a_worker_that_cannot_run_is_told_as_the_fault(make_site: Callable[..., Site]) -> None:
    # Given a device whose settings are broken as soon as they are there
    site = make_site()
    device = site.build()
    (site.folder_of(device) / "libra.cfg").write_text("[worker]\nslots = many\n")
    # When its worker has to start again and again
    for worker in _workers(site):
        os.kill(worker, signal.SIGKILL)
    # Then the device has failed, and says what its worker's end was
    until(lambda: site.state(device) is DeviceState.FAILED, "the device has failed", 60)
    found = site.cloud().find_device(device.name)
    assert found is not None
    assert found.fault is not None
    assert re.search(r"the worker ended \d times: exit code 78", found.fault)


def test_the_outer_namespace_outlives_its_holder_as_long_as_a_device_does(
    site: Site, web: HttpBackend
) -> None:
    one = site.build()
    assert site.serve(one, web).ok
    holder = site.cloud().outer.pid
    assert holder is not None
    os.kill(holder, signal.SIGKILL)
    until(lambda: site.cloud().outer.pid is None, "the holder is gone")
    # When the next device is built / Then it is in the same namespace as the first
    two = site.build()
    assert site.serve(two, web).ok
    assert [site.get(device.address).body for device in (one, two)] == [b"web", b"web"]


def test_a_gearman_server_that_restarts_finds_its_devices_again(site: Site) -> None:
    device = site.build()
    site.gearmand.kill()
    site.gearmand.start()
    site.wait_for(device)
    assert site.send(device, {"hpcs_action": "DISCOVER"}).ok


def test_one_order_given_many_times_at_once_is_one_device(site: Site) -> None:
    # When several processes have the same job, as when a job server believes the first one dead
    ordered = wish()
    with ThreadPoolExecutor() as threads:
        runs = [
            threads.submit(in_another_process, site, "create", ordered.key, ordered.name)
            for _ in range(4)
        ]
        made = [run.result() for run in runs]
    # Then all of them have the same device, and it is there once
    assert len({one["id"] for one in made}) == 1
    (device,) = site.cloud().devices()
    site.wait_for(device)
    assert len(_workers(site)) == 1
    # When it is deleted by several at once / Then it is gone once and for all
    with ThreadPoolExecutor() as threads:
        list(threads.map(site.cloud().delete_device, [device] * 4))
    assert site.cloud().devices() == []
    assert site.of_devices() == []


@pytest.mark.slow
def test_a_builder_with_many_open_files_builds_as_well(site: Site) -> None:
    # Given open files that push the descriptors handed to a guard over every number it uses
    opened: list[int] = []
    try:
        for _ in range(24):
            opened.append(os.open(os.devnull, os.O_RDONLY))
            # When a device is built / Then it is there, whatever numbers it was handed
            device = site.build(wait=False)
            assert device.state is DeviceState.ACTIVE
            site.cloud().delete_device(device)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def test_a_name_of_another_job_is_refused(site: Site) -> None:
    device = site.build(wait=False)
    with pytest.raises(Conflict, match="made by another job"):
        site.cloud().create_device(wish(name=device.name))


@pytest.mark.parametrize("field", ["flavor", "image", "az", "network"])
def test_what_the_local_cloud_does_not_have_is_refused_by_name(site: Site, field: str) -> None:
    with pytest.raises(BadRequest, match=f"{field} 'big'"):
        site.cloud().create_device(wish(**{field: "big"}))
    assert site.cloud().devices() == []


def test_a_name_that_is_no_name_is_refused(site: Site) -> None:
    with pytest.raises(BadRequest, match="letters, digits"):
        site.cloud().create_device(wish(name="a/../b"))


def _workers(site: Site) -> list[int]:
    begins = re.compile(r"\S+ -m libra_worker\.main ")
    return [pid for pid, words in site.processes().items() if begins.match(words)]


def _inside(init: int) -> list[int]:
    """Every process that has the init's process ids."""
    where = Path(f"/proc/{init}/ns/pid").readlink()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "ns" / "pid").readlink() == where:
                found.append(int(entry.name))
        except OSError:  # gone meanwhile
            continue
    return found


def _status(pid: int, field: str) -> str:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{field}:\s*(.*)$", text, re.MULTILINE)
    assert found is not None
    return found[1]
