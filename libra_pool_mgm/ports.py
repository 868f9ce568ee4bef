"""Ports of devices: made, attached, changed, given back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial

from libra_common.crash import crash_point
from libra_pool_mgm.build import LOOK_SECONDS
from libra_pool_mgm.calls import Calls
from libra_pool_mgm.clouds.base import Cloud, Device, Port, PortWish
from libra_pool_mgm.clouds.errors import (
    CloudError,
    CloudTimeout,
    CloudUnavailable,
    Conflict,
    NotFound,
)
from libra_pool_mgm.poller import Poller
from libra_pool_mgm.turns import Turns
from libra_pool_mgm.undo import Undo

LOG = logging.getLogger(__name__)

AllPorts = Mapping[str, Port]
"""All ports of ours by their ids."""


class Ports:
    """Everything that is done to ports; jobs that are about the same one take turns.

    `listed` asks for all that wait together; `timeout` is in seconds, from the order to the sight
    of what was ordered.
    """

    def __init__(
        self, *, cloud: Cloud, calls: Calls, listed: Poller[AllPorts], timeout: float
    ) -> None:
        self._cloud = cloud
        self._calls = calls
        self._listed = listed
        self._timeout = timeout
        self._turns = Turns()

    async def attach(
        self, name: str, wish: PortWish, *, addresses: Sequence[str] | None = None
    ) -> Port:
        """Give the device `name` a port, or go on with what an earlier run left; seen there.

        A port that is there with the wish's key stays as it is, but for `addresses` where they
        are not None. Raises NotFound, Conflict where the port is another device's, CloudTimeout,
        or the cloud's other errors; a port that was not there before is given back then.
        """
        async with self._turns.of(wish.key), Undo() as undo:
            device = await self._calls.run(partial(self._cloud.find_device, name))
            if device is None:
                raise NotFound(f"there is no device {name}")
            port = await self._made_for(wish.key)
            if port is None:
                undo.register(f"port {wish.key} of {name}", partial(self._discard, wish.key, name))
                crash_point("before_create_port")
                port = await self._ordered(wish, device)
            if port.device != name:
                whose = port.device or "one that is gone"
                raise Conflict(f"the port of key {wish.key} is device {whose}'s, not {name}'s")
            crash_point("after_create_port")
            if addresses is not None and set(addresses) != set(port.addresses):
                await self._calls.run(partial(self._cloud.change_port, port, tuple(addresses)))
            port = await self._attached(port, device)
            if not port.fixed_ips:
                raise NotFound(f"port {port.id} has no address, or its subnet is not to be seen")
            undo.forget()
        LOG.info("device %s has port %s, %s", name, port.id, port.fixed_ips[0].ip)
        return port

    async def detach(self, name: str, identity: str) -> None:
        """Take a port from the device `name` and give it back; one that is gone is no fault.

        Raises Conflict where it is another device's, CloudTimeout where it is still there in the
        end, or the cloud's other errors.
        """
        async with self._turns.of(identity):
            port = await self._calls.run(partial(self._cloud.find_port, identity))
            if port is None:
                return
            if port.device not in (None, name):
                raise Conflict(f"port {identity} is device {port.device}'s, not {name}'s")
            crash_point("before_delete_port")
            await self._calls.run(partial(self._cloud.delete_port, port))
            crash_point("after_delete_port")
            try:
                async with asyncio.timeout(self._timeout):
                    await self._listed.wait(lambda ports: identity not in ports or None)
            except TimeoutError:
                raise CloudTimeout(
                    f"port {identity} is not gone after {self._timeout:g} s"
                ) from None

    async def _attached(self, port: Port, device: Device) -> Port:
        """Have it attached, and see it; an order that nobody confirmed is looked for."""
        unheard: CloudError | None = None
        try:
            await self._calls.run(partial(self._cloud.attach_port, port, device))
        except (CloudTimeout, CloudUnavailable) as error:
            LOG.warning("port %s may have been attached or not, looking: %s", port.id, error)
            unheard = error
        crash_point("after_attach_port")
        try:
            return await self._seen(port.id, device.name)
        except CloudTimeout as error:
            raise unheard or error from None

    async def _ordered(self, wish: PortWish, device: Device) -> Port:
        """Order a port; an order that nobody confirmed is looked for, never repeated."""
        try:
            return await self._calls.run(partial(self._cloud.create_port, wish, device))
        except (CloudTimeout, CloudUnavailable) as error:
            LOG.warning("port %s may have been ordered or not, looking: %s", wish.key, error)
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    return await self._listed.wait(lambda ports: _of_key(ports, wish.key))
            except TimeoutError:
                raise error from None

    async def _made_for(self, key: str) -> Port | None:
        ports = await self._calls.ask(self._cloud.ports)
        return next((port for port in ports if port.key == key), None)

    async def _discard(self, key: str, name: str) -> None:
        port = await self._made_for(key)
        if port is not None and port.device == name:
            await self._calls.run(partial(self._cloud.delete_port, port))

    async def _seen(self, identity: str, name: str) -> Port:
        """Wait until the device has the port."""

        def look(ports: AllPorts) -> Port | None:
            port = ports.get(identity)
            if port is None:
                raise NotFound(f"port {identity} was deleted while it was attached to {name}")
            return port if port.attached else None

        try:
            async with asyncio.timeout(self._timeout):
                return await self._listed.wait(look)
        except TimeoutError:
            why = f" ({self._listed.trouble})" if self._listed.trouble else ""
            raise CloudTimeout(
                f"port {identity} was not seen at device {name} within {self._timeout:g} s{why}"
            ) from None


def _of_key(ports: AllPorts, key: str) -> Port | None:
    return next((port for port in ports.values() if port.key == key), None)
