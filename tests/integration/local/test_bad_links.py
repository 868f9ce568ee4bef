"""On links with 50 ms of delay and 1 % of loss everything works, and nothing hangs."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter

import pytest

from libra_pool_mgm.clouds.base import Device
from tests.support import badlink
from tests.support.localcloud import Site
from tests.support.wait import until

DELAY, LOSS = 0.05, 0.01
REQUESTS = 30

pytestmark = pytest.mark.slow


def test_a_load_balancer_lives_on_a_link_that_the_kernel_makes_bad(site: Site) -> None:
    if not badlink.has_netem(site):
        # Not `missing`: CI promises programs, and a kernel is what the machine has.
        pytest.skip("this kernel has no netem (CONFIG_NET_SCH_NETEM)")
    device = site.build()
    with badlink.by_netem(site, device, delay=DELAY, loss=LOSS):
        live(site, device)


def test_a_load_balancer_lives_on_a_link_that_loses_and_delays_frames(site: Site) -> None:
    device = site.build()
    with badlink.by_hand(site, device, delay=DELAY, loss=LOSS) as wire:
        live(site, device)
        # The link was what it should be
        assert wire.lost > 0
        assert wire.carried > 20 * wire.lost


def test_a_link_that_is_cut_hangs_nothing_and_serves_again_when_it_is_back(site: Site) -> None:
    device, web = site.build(), site.web("web")
    monitor = {"type": "CONNECT", "delay": 2, "timeout": 1, "attempts": 1}
    assert site.serve(device, web, monitor=monitor).ok
    with badlink.by_hand(site, device, delay=0, loss=0) as wire:
        # Given clients whose connections are open, one of them in the middle of a request
        open_ones = [_connected(site, device) for _ in range(3)]
        open_ones[0].sendall(b"GET / HTTP/1.1\r\nHost: half")
        # When the link carries nothing any more
        wire.loss = 1.0
        until(lambda: status(site, device) == "DOWN", "the node is found to be away", 60)
        # Then the device answers all the same, on gearman
        for action in ("DIAGNOSTICS", "SUSPEND", "ENABLE"):
            assert site.send(device, {"hpcs_action": action}).ok
        # When it is back / Then the node is too
        wire.loss = 0.0
        until(lambda: status(site, device) == "UP", "the node is found again", 60)
        until(lambda: serves(site, device, b"web"), "it serves again", 60)
        for connection in open_ones:
            connection.close()


def live(site: Site, device: Device) -> None:
    """UPDATE, traffic, a change under it, SUSPEND, ENABLE, DELETE: each as it should be."""
    one, two = site.web("one"), site.web("two")
    assert site.serve(device, one).ok
    until(lambda: serves(site, device, b"one"), "it serves")
    answers = Counter(site.get(device.address).body for _ in range(REQUESTS))
    assert answers == {b"one": REQUESTS}
    assert site.serve(device, two).ok
    assert Counter(site.get(device.address).body for _ in range(REQUESTS)) == {b"two": REQUESTS}
    assert site.send(device, {"hpcs_action": "SUSPEND"}).ok
    with pytest.raises(ConnectionRefusedError):
        site.get(device.address)
    assert site.send(device, {"hpcs_action": "ENABLE"}).ok
    assert site.get(device.address).body == b"two"
    deleted = site.send(device, {"hpcs_action": "DELETE"})
    assert deleted.ok
    assert deleted.answer["totals"][0]["sessions"] >= 2 * REQUESTS


def serves(site: Site, device: Device, body: bytes) -> bool:
    with contextlib.suppress(OSError):
        return site.get(device.address).body == body
    return False


def status(site: Site, device: Device) -> str:
    (node,) = site.send(device, {"hpcs_action": "STATS"}).answer["nodes"]
    return str(node["status"])


def _connected(site: Site, device: Device) -> socket.socket:
    with site.cloud().outer.entered():
        return socket.create_connection((str(device.address), 80), timeout=30)
