"""`outer = own`: devices hang in the network namespace that the pool manager itself runs in."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from libra_pool_mgm.clouds.errors import BadRequest
from libra_pool_mgm.clouds.local import kernel
from tests.integration.local.test_agents import answers, ask
from tests.integration.local.test_ports import VIP, serve_on_vips
from tests.support import folders, netns
from tests.support.backends import HttpBackend
from tests.support.device_agent import Controller
from tests.support.gearmand import Gearmand
from tests.support.localcloud import GATEWAY, Site
from tests.support.localpool import LocalPool
from tests.support.traffic import get
from tests.support.wait import until


@pytest.fixture
def room() -> Iterator[str]:
    """A network namespace that this thread is in while the test runs; gives its name."""
    netns.must_be_possible()
    with netns.namespace() as name:
        descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            with kernel.entered(descriptor):
                yield name
        finally:
            os.close(descriptor)


@pytest.fixture
def site(room: str) -> Iterator[Site]:
    with Gearmand() as gearmand:
        made = Site(folder=folders.folder(), gearmand=gearmand, own=True)
        yield made
        made.close()
        until(lambda: made.processes() == {}, "no process of the cloud is left")


def test_who_is_beside_the_pool_manager_reaches_devices_and_they_it(site: Site, room: str) -> None:
    # Given a pool manager, a web server and a listener for heartbeats in one namespace
    controller = Controller([f"{GATEWAY}:5555"])
    with (
        LocalPool(site).start() as pool,
        HttpBackend("web", host=GATEWAY) as web,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener,
    ):
        listener.bind((GATEWAY, 5555))
        listener.settimeout(60)
        # When a device is built and has a VIP
        name = pool.do("BUILD_DEVICE", agent=controller.agent())["name"]
        (device,) = site.cloud().devices()
        until(lambda: answers(site, controller, device), "the agent answers", 60)
        answer = pool.do("ATTACH_PORT", name=name, key="vip", addresses=[VIP])
        serve_on_vips(site, controller, device, answer, web)
        # Then it is reached from there, directly, and it reaches them
        assert get(80, host=VIP).body == b"web"
        assert listener.recv(65535)
        # When the pool manager is another, the device is still its own
        pool.kill()
        pool.start()
        assert pool.do("LIST_DEVICES")["devices"][0]["name"] == name
        assert get(80, host=VIP).body == b"web"
        assert ask(site, controller, device, "GET", "/1.0/info").status == 200
        assert pool.do("DELETE_DEVICE", name=name)["response"] == "PASS"
    # And with everything removed nothing of it is left there
    site.cloud().remove_everything()
    assert "libra0" not in netns.ip("link", namespace=room)


def test_the_bridge_is_there_from_the_pool_managers_start_on(site: Site, room: str) -> None:
    site.cloud().remove_everything()
    assert "libra0" not in netns.ip("link", namespace=room)
    with LocalPool(site).start():
        until(
            lambda: {"198.18.0.1/15", "198.19.0.1/16"} <= addresses_of_bridge(room),
            "the bridge has its addresses",
            60,
        )


def addresses_of_bridge(room: str) -> set[str]:
    if "libra0" not in netns.ip("link", namespace=room):
        return set()
    return netns.addresses(room, "libra0")


def test_a_cloud_of_another_namespace_is_refused_by_name(site: Site, room: str) -> None:
    site.build(wait=False)
    with netns.namespace() as other:
        descriptor = os.open(f"/run/netns/{other}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            with (
                kernel.entered(descriptor),
                pytest.raises(BadRequest, match=r"\[mgm:local\] outer = own"),
            ):
                site.build(wait=False)
        finally:
            os.close(descriptor)
    # And where it belongs it goes on
    assert Path(f"/run/netns/{room}").exists()
    site.build(wait=False)
