"""What the local cloud works with: the processes of each device, and the outer namespace."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from libra_pool_mgm.clouds.local import network, ranges
from libra_pool_mgm.clouds.local.books import Books
from libra_pool_mgm.clouds.local.node import Node, NodeSettings
from libra_pool_mgm.clouds.local.outer import Outer
from libra_pool_mgm.clouds.local.records import AddressRecord, DeviceRecord


class Machine:
    """The machine, as far as it is the cloud of `books`; its files are below `folder`.

    `own_outer`: the outer namespace is the one we run in.
    """

    def __init__(
        self, *, folder: Path, books: Books, settings: NodeSettings, own_outer: bool = False
    ) -> None:
        self._folder = folder
        self._books = books
        self.settings = settings
        self.outer = Outer(folder=folder, devices=settings.devices, own=own_outer)

    def node(self, record: DeviceRecord) -> Node:
        """The processes of a device."""
        return Node(
            number=record.number,
            name=record.name,
            folder=self._folder / "d" / str(record.number),
            settings=self.settings,
        )

    def open_outer(self) -> int:
        """A descriptor of the outer namespace, which the caller closes; under the cloud's lock."""
        return self.outer.open(self.node(record).lock for record in self._books.devices)

    @contextlib.contextmanager
    def opened_outer(self) -> Iterator[int]:
        """The same while the block runs."""
        outer = self.open_outer()
        try:
            yield outer
        finally:
            os.close(outer)

    def prepare(self) -> None:
        """Lay the outer namespace out, with its addresses among devices and ports."""
        settings = self.settings
        with self.opened_outer() as outer:
            network.lay_out_ports(
                outer, gateway=ranges.gateway_of_ports(settings.ports), ports=settings.ports
            )

    def links(self) -> frozenset[str]:
        """The names of the outer namespace's links; none where there is no such namespace."""
        outer = self.outer.find()
        if outer is None:
            return frozenset()
        try:
            return network.links(outer)
        finally:
            os.close(outer)

    def unroute(self, record: AddressRecord, device: DeviceRecord | None) -> None:
        """Route a floating IP nowhere any more, and take it from the device."""
        with contextlib.ExitStack() as stack:
            outer = stack.enter_context(self.opened_outer())
            inside = None
            if device is not None:
                inside = stack.enter_context(self.node(device).opened())
            network.unroute(outer, inside, ip=record.ip)
