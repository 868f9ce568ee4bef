"""Floating IPs: made, given to a device, taken from it, given back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial

from libra_common.crash import crash_point
from libra_pool_mgm.build import LOOK_SECONDS, Wanted
from libra_pool_mgm.calls import Calls
from libra_pool_mgm.clouds.base import Address, Cloud
from libra_pool_mgm.clouds.errors import (
    CloudError,
    CloudTimeout,
    CloudUnavailable,
    Conflict,
    NotFound,
)
from libra_pool_mgm.turns import Turns
from libra_pool_mgm.undo import Undo

LOG = logging.getLogger(__name__)

_CONNECT_SECONDS = 3.0
_TRY_AGAIN = 0.5  # seconds


class Unreachable(CloudError):
    """Nothing answers at a floating IP that the cloud says is at its device."""

    code = "unreachable"


class FloatingIps:
    """Everything that is done to floating IPs; jobs that are about the same one take turns.

    `assign_timeout` is in seconds, from the order to the check of it; `check_port` is the TCP port
    that must then answer, None for no such check.
    """

    def __init__(
        self, *, cloud: Cloud, calls: Calls, assign_timeout: float, check_port: int | None
    ) -> None:
        self._cloud = cloud
        self._calls = calls
        self._assign_timeout = assign_timeout
        self._check_port = check_port
        self._turns = Turns()

    async def build(self, key: str, *, wanted: Wanted) -> Address:
        """Get an address, or the one that an earlier run of the job got; marked as delivered.

        `wanted` returns when somebody waits for it. Raises CloudError; no address is left then,
        unless it cannot be given back.
        """
        marking = asyncio.Event()
        async with Undo() as undo:
            undo.register(f"address of job {key}", partial(self._discard, key, marking))
            crash_point("before_create_address")
            address = await self._ordered(key)
            crash_point("after_create_address")
            if not address.delivered:
                await wanted()
                marking.set()
                await self._calls.run(partial(self._cloud.mark_address_delivered, address))
            undo.forget()
        return address

    async def assign(self, ip: str, name: str) -> None:
        """Give `ip` to the device `name`, see it there, and see its port answer if one is set.

        Raises Conflict where another device holds it, NotFound, CloudTimeout, Unreachable, or
        the cloud's other errors; an address that the device did not have before is taken away.
        """
        async with self._turns.of(ip), Undo() as undo:
            address = await self._address(ip)
            device = await self._calls.run(partial(self._cloud.find_device, name))
            if device is None:
                raise NotFound(f"there is no device {name}")
            if address.device not in (None, name):
                raise Conflict(f"{ip} is held by device {address.device}; remove it there first")
            if address.device is None:
                act = partial(self._cloud.remove_address, address, device)
                undo.register(f"{ip} at {name}", partial(self._calls.run, act))
                crash_point("before_assign")
                await self._calls.run(partial(self._cloud.assign_address, address, device))
            crash_point("after_assign")
            await self._verify(ip, name)
            undo.forget()

    async def remove(self, ip: str, name: str) -> None:
        """Take `ip` from the device `name` and keep it; nobody's already is no fault.

        Raises Conflict where another device holds it, NotFound, or the cloud's other errors.
        """
        async with self._turns.of(ip):
            address = await self._address(ip)
            if address.device not in (None, name):
                raise Conflict(f"{ip} is held by device {address.device}, not by {name}")
            if address.device is None:
                return
            device = await self._calls.run(partial(self._cloud.find_device, name))
            if device is not None:
                await self._calls.run(partial(self._cloud.remove_address, address, device))

    async def delete(self, ip: str) -> None:
        """Give `ip` back to the cloud, whoever holds it; one that is gone is no fault."""
        async with self._turns.of(ip):
            address = await self._calls.run(partial(self._cloud.find_address, ip))
            if address is not None:
                await self._calls.run(partial(self._cloud.delete_address, address))

    async def _address(self, ip: str) -> Address:
        address = await self._calls.ask(partial(self._cloud.find_address, ip))
        if address is None:
            raise NotFound(f"there is no floating IP {ip}")
        return address

    async def _ordered(self, key: str) -> Address:
        """Order an address; an order that nobody confirmed is looked for, never repeated."""
        try:
            return await self._calls.run(partial(self._cloud.create_address, key=key))
        except (CloudTimeout, CloudUnavailable) as error:
            LOG.warning("an address may have been ordered or not, looking: %s", error)
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    return await self._found(key)
            except TimeoutError:
                raise error from None

    async def _found(self, key: str) -> Address:
        while True:
            with contextlib.suppress(CloudTimeout, CloudUnavailable):
                if (found := await self._made_for(key)) is not None:
                    return found
            await asyncio.sleep(1)

    async def _made_for(self, key: str) -> Address | None:
        addresses = await self._calls.ask(self._cloud.addresses)
        return next((address for address in addresses if address.key == key), None)

    async def _discard(self, key: str, marking: asyncio.Event) -> None:
        address = await self._made_for(key)
        if address is not None and (marking.is_set() or not address.delivered):
            await self._calls.run(partial(self._cloud.delete_address, address))

    async def _verify(self, ip: str, name: str) -> None:
        """Wait until the address is seen at the device, and until its port answers."""
        step: CloudError = CloudTimeout(
            f"{ip} was not seen at device {name} within {self._assign_timeout:g} s"
        )
        try:
            async with asyncio.timeout(self._assign_timeout):
                while (await self._address(ip)).device != name:
                    await asyncio.sleep(_TRY_AGAIN)
                if self._check_port is None:
                    return
                step = Unreachable(
                    f"nothing answers at port {self._check_port} of {ip}, at device {name},"
                    f" within {self._assign_timeout:g} s"
                )
                while not await _answers(ip, self._check_port):
                    await asyncio.sleep(_TRY_AGAIN)
        except TimeoutError:
            raise step from None


async def _answers(ip: str, port: int) -> bool:
    """Say whether a TCP connection can be made."""
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(ip, port)
    except OSError:  # TimeoutError is one
        return False
    writer.close()
    return True
