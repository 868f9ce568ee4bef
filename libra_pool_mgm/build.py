"""The story of a device, from the order to the moment at which it may be given to somebody."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from libra_common.crash import crash_point
from libra_common.jobs import GearmanServer
from libra_pool_mgm.calls import Calls
from libra_pool_mgm.clouds.base import Cloud, Device, DeviceState, DeviceWish
from libra_pool_mgm.clouds.errors import (
    BuildFailed,
    CloudError,
    CloudTimeout,
    CloudUnavailable,
    NoCapacity,
)
from libra_pool_mgm.inspection import Inspection, Registered
from libra_pool_mgm.poller import Poller
from libra_pool_mgm.undo import Undo

LOG = logging.getLogger(__name__)

R = TypeVar("R")

Devices = Mapping[str, Device]
"""All devices of ours by their names."""

Wanted = Callable[[], Awaitable[None]]
"""Returns while somebody waits for what is made; raises CloudError when nobody does for long."""

LOOK_SECONDS = 15.0
"""How long a device, or an address, is looked for whose order nobody confirmed."""

_GONE_AFTER = 3  # listings in a row without a device that was ordered
_MARK_TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Times:
    """How long things may take, in seconds.

    `build` is from order to registration, `grace` the age at which the sweep may remove what was
    not delivered.
    """

    build: float
    grace: float

    @property
    def deliverable(self) -> timedelta:
        """The age up to which a device may be delivered, so that no sweep gets in between."""
        return timedelta(seconds=self.grace - min(60.0, self.grace / 10))


class Builder:
    """Builds devices, any number at once; a build that waits holds no thread.

    `calls` are for the cloud, `looks` for DIAGNOSTICS; `devices` and `registered` ask for all
    builds together. `now` is the wall clock, `clock` monotonic seconds.
    """

    def __init__(
        self,
        *,
        cloud: Cloud,
        inspection: Inspection,
        calls: Calls,
        looks: Calls,
        devices: Poller[Devices],
        registered: Poller[Registered],
        times: Times,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._cloud = cloud
        self._inspection = inspection
        self._calls = calls
        self._looks = looks
        self._devices = devices
        self._registered = registered
        self._times = times
        self._now = now

    async def build(
        self, wish: DeviceWish, *, seen: Callable[[Device], None], wanted: Wanted
    ) -> Device:
        """Build the device that is wished for, or go on with what an earlier run left of it.

        `seen` is told what is known of the device as soon as that is; `wanted` returns when
        somebody waits for it. Returns a device that was marked as delivered. Raises CloudError; no
        device is left then, unless it cannot be deleted, or an earlier run delivered it.
        """
        began = self._clock()
        marking = asyncio.Event()
        async with Undo() as undo:
            undo.register(f"device {wish.name}", partial(self._discard, wish.name, marking))
            crash_point("before_create")
            device = await self._ordered(wish)
            crash_point("after_create")
            seen(device)
            deadline = asyncio.get_running_loop().time() + self._times.build
            progress = Progress(wish.name, seen)
            if device.delivered:
                # An earlier run came this far, and its answer may have been read.
                undo.forget()
                return await self._active(progress, deadline)
            device = await self._active(progress, deadline)
            crash_point("after_active")
            LOG.info("device %s is active, at %s", device.name, device.address)
            servers = await self._registration(progress, deadline)
            await self._looks.run(partial(self._inspection.diagnose, device.name, servers))
            await wanted()
            self._refuse_old(device)
            crash_point("before_delivered")
            marking.set()
            await self._mark(device)
            undo.forget()
        LOG.info(
            "device %s is delivered, %.1f s after its job came", device.name, self._clock() - began
        )
        return device

    async def _ordered(self, wish: DeviceWish) -> Device:
        """Order the device; an order that nobody confirmed is looked for, never repeated."""
        try:
            return await self._calls.run(partial(self._cloud.create_device, wish))
        except (CloudTimeout, CloudUnavailable) as error:
            LOG.warning("device %s may have been ordered or not, looking: %s", wish.name, error)
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    return await self._devices.wait(lambda devices: devices.get(wish.name))
            except TimeoutError:
                raise error from None

    async def _active(self, progress: Progress, deadline: float) -> Device:
        """Wait until the device is active and has its address."""
        what = f"device {progress.name} was not active"
        return await self._in_time(self._devices.wait(progress), deadline, what)

    async def _registration(self, progress: Progress, deadline: float) -> tuple[GearmanServer, ...]:
        """Wait until the device is registered, and say where."""
        what = f"device {progress.name} was not registered at a job server"
        return await self._in_time(self._whereabouts(progress), deadline, what)

    async def _in_time(self, step: Awaitable[R], deadline: float, what: str) -> R:
        try:
            async with asyncio.timeout_at(deadline):
                return await step
        except TimeoutError:
            trouble = self._devices.trouble or self._registered.trouble
            why = f" ({trouble})" if trouble else ""
            raise CloudTimeout(f"{what} within {self._times.build:g} s{why}") from None

    async def _whereabouts(self, progress: Progress) -> tuple[GearmanServer, ...]:
        """Wait until the device is registered; raises what `progress` does meanwhile."""
        here = asyncio.create_task(self._registered.wait(lambda found: found.get(progress.name)))
        lost: asyncio.Task[None] = asyncio.create_task(
            self._devices.wait(progress.lost, patient=True)
        )
        try:
            await asyncio.wait([here, lost], return_when=asyncio.FIRST_COMPLETED)
            if not here.done():
                lost.result()
            return await here
        finally:
            here.cancel()
            lost.cancel()
            await asyncio.gather(here, lost, return_exceptions=True)

    def _refuse_old(self, device: Device) -> None:
        if self._now() - device.created_at > self._times.deliverable:
            raise CloudTimeout(
                f"device {device.name} was ordered at {device.created_at:%Y-%m-%d %H:%M:%S} UTC,"
                " too long ago to be given away"
            )

    async def _mark(self, device: Device) -> None:
        for attempt in range(1, _MARK_TRIES + 1):
            try:
                return await self._calls.run(partial(self._cloud.mark_delivered, device))
            except (CloudTimeout, CloudUnavailable):
                if attempt == _MARK_TRIES:
                    raise
                await asyncio.sleep(attempt)
        raise AssertionError("not reached")

    async def _discard(self, name: str, marking: asyncio.Event) -> None:
        """Delete what there is of a device, unless an earlier run of the job delivered it."""
        device = await self._calls.run(partial(self._cloud.find_device, name))
        if device is not None and (marking.is_set() or not device.delivered):
            await self._calls.run(partial(self._cloud.delete_device, device))


class Progress:
    """Looks at listings until the device `name` is active and has its address.

    It must have been ordered before the first one is asked for. `seen` is told of each sight of it.
    Raises CloudError when that will not come any more.
    """

    def __init__(self, name: str, seen: Callable[[Device], None]) -> None:
        self.name = name
        self._seen = seen
        self._missed = 0

    def __call__(self, devices: Devices) -> Device | None:
        """Return the device once it is good, None while it is not."""
        device = devices.get(self.name)
        if device is None:
            self._missed += 1
            if self._missed >= _GONE_AFTER:
                raise BuildFailed(f"device {self.name} was deleted while it was built")
            return None
        self._missed = 0
        self._seen(device)
        if device.state is DeviceState.BUILDING:
            crash_point("while_building")
        return _good(device) if _settled(device) else None

    def lost(self, devices: Devices) -> None:
        """Look at a listing after the device was good, for it may turn bad again."""
        self(devices)


def _settled(device: Device) -> bool:
    return device.state is not DeviceState.BUILDING and (
        device.state is not DeviceState.ACTIVE or device.address is not None
    )


def _good(device: Device) -> Device:
    """Return an active device; raises the error of one that will never be."""
    match device.state:
        case DeviceState.FAILED:
            kind: type[CloudError] = NoCapacity if device.out_of_room else BuildFailed
            raise kind(f"device {device.name} failed: {device.fault or 'no reason is given'}")
        case DeviceState.DELETING:
            raise BuildFailed(f"device {device.name} is being deleted")
        case DeviceState.BUILDING | DeviceState.ACTIVE:
            return device
