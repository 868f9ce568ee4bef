"""A device's link made slow and lossy: by the kernel's netem, or frame by frame where it has none.

In the second way the device's link is taken off the bridge, and a thread carries what goes through
to the bridge and back, each frame after its delay, unless it is lost.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import heapq
import itertools
import os
import random
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from libra_pool_mgm.clouds.base import Device
from libra_pool_mgm.clouds.local import kernel
from libra_pool_mgm.clouds.local.marks import GUARD_BYTE, NETWORK_FD
from libra_pool_mgm.clouds.local.network import BRIDGE, DEVICE_LINK, outer_link
from libra_pool_mgm.clouds.local.outer import descriptor_of
from tests.support.localcloud import Site

_ETH_P_ALL = 3
_SIOCETHTOOL, _ETHTOOL_STXCSUM = 0x8946, 0x17  # ethtool(8)'s -K tx
_FRAME = 1 << 16


class Wire:
    """Carries frames between two links; `delay` is in seconds, `loss` a share from 0 to 1."""

    def __init__(self, one: socket.socket, other: socket.socket, *, delay: float, loss: float):
        self.delay, self.loss = delay, loss
        self.carried = self.lost = 0
        self._to = {one: other, other: one}
        self._waiting: list[tuple[float, int, socket.socket, bytes]] = []
        self._numbers = itertools.count()
        self._random = random.Random(1)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Wire:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)
        for end in self._to:
            end.close()

    def _run(self) -> None:
        selector = selectors.DefaultSelector()
        for end in self._to:
            end.setblocking(False)
            selector.register(end, selectors.EVENT_READ)
        while not self._over.is_set():
            patience = 0.05
            if self._waiting:
                patience = min(patience, max(0.0, self._waiting[0][0] - time.monotonic()))
            for key, _ in selector.select(patience):
                self._take(key.fileobj)
            while self._waiting and self._waiting[0][0] <= time.monotonic():
                _, _, end, frame = heapq.heappop(self._waiting)
                with contextlib.suppress(OSError):  # a full queue loses frames, as wires do
                    end.send(frame)

    def _take(self, end: Any) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                frame, (_, _, kind, *_) = end.recvfrom(_FRAME)
                if kind == socket.PACKET_OUTGOING:
                    continue
                if self._random.random() < self.loss:
                    self.lost += 1
                    continue
                self.carried += 1
                due = time.monotonic() + self.delay
                heapq.heappush(self._waiting, (due, next(self._numbers), self._to[end], frame))


def has_netem(site: Site) -> bool:
    """Whether the kernel can do it by itself."""
    with site.cloud().outer.entered(), IPRoute() as netlink:
        (loopback,) = netlink.link_lookup(ifname="lo")
        try:
            netlink.tc("add", "netem", loopback, delay=1)
        except NetlinkError:
            return False
        netlink.tc("del", "netem", loopback)
        return True


@contextlib.contextmanager
def by_netem(site: Site, device: Device, *, delay: float, loss: float) -> Iterator[None]:
    """Delay and lose frames in both directions, by tc netem."""
    microseconds, percent = int(delay * 1e6), loss * 100
    with _ends(site, device) as (inside, number):
        with site.cloud().outer.entered(), IPRoute() as netlink:
            (outer,) = netlink.link_lookup(ifname=outer_link(number))
            netlink.tc("add", "netem", outer, delay=microseconds, loss=percent)
        with kernel.entered(inside), IPRoute() as netlink:
            (eth0,) = netlink.link_lookup(ifname=DEVICE_LINK)
            netlink.tc("add", "netem", eth0, delay=microseconds, loss=percent)
        yield  # they go with the link


@contextlib.contextmanager
def by_hand(site: Site, device: Device, *, delay: float, loss: float) -> Iterator[Wire]:
    """Delay and lose frames in both directions, by a thread of ours."""
    with _ends(site, device) as (inside, number):
        far, near = f"w{number}", f"n{number}"
        with kernel.entered(inside):
            _sum_in_software(DEVICE_LINK)
        with site.cloud().outer.entered(), IPRoute() as netlink:
            (bridge,) = netlink.link_lookup(ifname=BRIDGE)
            (link,) = netlink.link_lookup(ifname=outer_link(number))
            netlink.link("add", ifname=far, kind="veth", peer={"ifname": near}, master=bridge)
            _sum_in_software(far)
            for name in (far, near):
                (index,) = netlink.link_lookup(ifname=name)
                netlink.link("set", index=index, state="up")
            netlink.link("set", index=link, master=0)
            ends = [_raw(outer_link(number)), _raw(near)]
        with Wire(*ends, delay=delay, loss=loss) as wire:
            yield wire


@contextlib.contextmanager
def _ends(site: Site, device: Device) -> Iterator[tuple[int, int]]:
    """A descriptor of the device's network namespace, and its number."""
    folder = site.folder_of(device)
    inside = descriptor_of(folder / "lock", GUARD_BYTE, NETWORK_FD)
    assert inside is not None
    try:
        yield inside, int(folder.name)
    finally:
        os.close(inside)


def _raw(name: str) -> socket.socket:
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    link.bind((name, _ETH_P_ALL))
    return link


def _sum_in_software(name: str) -> None:
    """Have the kernel fill in checksums and cut segments before frames leave by this link."""
    value = array.array("I", [_ETHTOOL_STXCSUM, 0])
    address, _ = value.buffer_info()
    request = struct.pack("16sP16x", name.encode(), address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCETHTOOL, request)
