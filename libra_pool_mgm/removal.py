"""Deleting a device, and waiting until it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from libra_pool_mgm.build import Devices
from libra_pool_mgm.calls import Calls
from libra_pool_mgm.clouds.base import Cloud, DeviceState
from libra_pool_mgm.clouds.errors import CloudTimeout, DeleteFailed
from libra_pool_mgm.poller import Poller

_FAILED_AFTER = 3
"""Listings in which a device must be failed: it may have been so before it was deleted."""


class Remover:
    """Deletes devices; `timeout` is in seconds, for all that follows the order to delete."""

    def __init__(
        self, *, cloud: Cloud, calls: Calls, devices: Poller[Devices], timeout: float
    ) -> None:
        self._cloud = cloud
        self._calls = calls
        self._devices = devices
        self._timeout = timeout

    async def delete(self, name: str) -> None:
        """Delete the device `name`; one that is not there is no fault.

        Raises DeleteFailed with the cloud's reason, CloudTimeout where it is still there in the
        end (the deletion goes on), or the cloud's other errors.
        """
        device = await self._calls.run(partial(self._cloud.find_device, name))
        if device is None:
            return
        await self._calls.run(partial(self._cloud.delete_device, device))
        try:
            async with asyncio.timeout(self._timeout):
                await self._devices.wait(gone(name))
        except TimeoutError:
            raise CloudTimeout(
                f"device {name} is being deleted and not gone after {self._timeout:g} s"
            ) from None


def gone(name: str) -> Callable[[Devices], bool | None]:
    """Return what looks at listings until the device is in none; raises DeleteFailed."""
    failed = 0

    def look(devices: Devices) -> bool | None:
        nonlocal failed
        device = devices.get(name)
        if device is None:
            return True
        failed = failed + 1 if device.state is DeviceState.FAILED else 0
        if failed >= _FAILED_AFTER:
            raise DeleteFailed(f"device {name} was not deleted: {device.fault or 'no reason'}")
        return None

    return look
