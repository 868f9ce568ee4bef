"""A pool manager goes to this release and back to the one before; devices serve on."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support import folders, netns
from tests.support.gearmand import Gearmand
from tests.support.localcloud import Site
from tests.support.localpool import LocalPool
from tests.support.previous import Previous

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def site(gearmand: Gearmand) -> Iterator[Site]:
    netns.must_be_possible()
    made = Site(folder=folders.folder(), gearmand=gearmand)
    yield made
    made.close()


@pytest.fixture
def pool(site: Site, previous: Previous) -> Iterator[LocalPool]:
    """That of the release before."""
    made = LocalPool(site)
    made.prefix = previous.prefix
    with made.start():
        yield made


def give_to(pool: LocalPool, *prefix: str) -> None:
    """Stop the manager that there is, and start this release's, or that of `prefix`."""
    assert pool.stop() == 0
    pool.prefix = prefix
    pool.start()


def listed(pool: LocalPool) -> dict[str, Any]:
    """What the command of the release that is in turn says of all that there is."""
    command = [*pool.prefix, sys.executable, "-m", "libra_pool_mgm.clouds.local"]
    done = subprocess.run(
        [*command, f"--config-file={pool.config}", "list"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return {
        "devices": sorted(one["name"] for one in found["devices"]),
        "addresses": sorted((one["ip"], one["device"]) for one in found["addresses"]),
    }


@contextmanager
def clients(site: Site, ip: str) -> Iterator[list[str]]:
    """Ask at an address all the time; gives what came back that was not right."""
    end, wrong = threading.Event(), list[str]()

    def ask() -> None:
        while not end.is_set():
            try:
                if (body := site.get(ip).body) != b"web":
                    wrong.append(repr(body))
            except (OSError, http.client.HTTPException) as error:
                wrong.append(repr(error))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield wrong
    finally:
        end.set()
        thread.join(30)


def test_devices_and_addresses_serve_on_and_are_known_and_built_each_way(
    site: Site, pool: LocalPool, previous: Previous
) -> None:
    # Given a device with an address, by the release before, and clients that go on
    def do(action: str, **fields: Any) -> dict[str, Any]:
        answer = pool.do(action, **fields)
        assert answer["response"] == "PASS", answer
        return answer

    def build() -> tuple[str, str]:
        """A device that serves at an address; their names."""
        name, ip = do("BUILD_DEVICE")["name"], do("BUILD_IP")["ip"]
        (device,) = [one for one in site.cloud().devices() if one.name == name]
        assert device.delivered
        site.wait_for(device)
        assert site.serve(device, web).ok
        do("ASSIGN_IP", ip=ip, name=name)
        return name, ip

    web = site.web("web")
    name, ip = build()
    with clients(site, ip) as wrong:
        # When this release's manager takes over / Then it knows what there is, and builds more
        before = listed(pool)
        give_to(pool)
        assert listed(pool) == before
        other, its_ip = build()
        assert site.get(its_ip).body == b"web"
        # And when the one before does again / Then it knows that too, and may take it away
        more = listed(pool)
        give_to(pool, *previous.prefix)
        assert listed(pool) == more
        do("REMOVE_IP", ip=its_ip, name=other)
        do("DELETE_IP", ip=its_ip)
        do("DELETE_DEVICE", name=other)
        assert listed(pool) == before
    # And nothing was lost meanwhile
    assert wrong == []
    # And what it built is this one's to delete
    give_to(pool)
    do("REMOVE_IP", ip=ip, name=name)
    do("DELETE_IP", ip=ip)
    do("DELETE_DEVICE", name=name)
    assert listed(pool) == {"devices": [], "addresses": []}
