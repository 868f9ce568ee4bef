"""Puts a pool manager together from its settings: the one place that knows all its parts."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future
from functools import partial

from libra_common.health import Tally
from libra_common.health.registration import Registration
from libra_common.jobs import GearmanServer, Job, JobWorker, servers_of, tls_of
from libra_common.settings import Settings
from libra_pool_mgm.build import Builder, Devices, Times
from libra_pool_mgm.calls import Calls
from libra_pool_mgm.clouds.base import Cloud, Followed
from libra_pool_mgm.controller import Controller, Everything, Facts
from libra_pool_mgm.floating import FloatingIps
from libra_pool_mgm.inspection import Inspection, Registered
from libra_pool_mgm.loop import LoopThread
from libra_pool_mgm.poller import Poller
from libra_pool_mgm.ports import AllPorts, Ports
from libra_pool_mgm.removal import Remover
from libra_pool_mgm.sweep import Rules, Sweeper

FUNCTION = "libra_pool_mgm"
"""The gearman function of every pool manager (pool manager commands)."""

_LOOKS = 16
"""So many new devices answer DIAGNOSTICS at once: one that does not takes ten seconds."""

_LOOP_SECONDS = 1.0


class Service:
    """Everything that serves by one reading of the settings: loop, threads, jobs, the cloud.

    `under_way` of the sweeper is told by the daemon, which may have more than one service.
    """

    def __init__(self, settings: Settings, cloud: Cloud, tally: Tally) -> None:
        mgm = settings.mgm
        self.cloud = cloud
        self._tally = tally
        self._loop = LoopThread(name="pool")
        self._calls = Calls(threads=mgm.threads, name="cloud")
        self._looks = Calls(threads=_LOOKS, name="look")
        # The two questions that all who wait share must not queue behind other calls.
        self._asks = Calls(threads=2, name="ask")
        self.controller = self._make_controller(settings)
        self.jobs = JobWorker(
            name=FUNCTION,
            servers=servers_of(settings.gearman),
            client_id=client_id(),
            slots=mgm.slots,
            shared_threads=True,
            handler=self._handle,
            on_oversize=self.controller.refuse_oversize,
            on_failure=self.controller.fail,
            tls=tls_of(settings.gearman),
            message_limit=settings.gearman.message_limit,
        )

    def start(self) -> None:
        """Begin to take jobs."""
        self._loop.start()
        self.jobs.start()

    def stop(self, timeout: float) -> None:
        """Take no more jobs and finish the running ones; undo what is not done near the end.

        `timeout` is in seconds, for all of it; the last ten, or half of it, are for undoing.
        """
        reserve = min(10.0, timeout / 2)
        self.jobs.stop(timeout - reserve)
        deadline = time.monotonic() + reserve
        with contextlib.suppress(TimeoutError):
            self._loop.submit(self.controller.give_up()).result(reserve)
        self.jobs.stop(max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        """Let go of threads and sessions, whatever they do; after `stop`, or instead of it."""
        for calls in (self._calls, self._looks, self._asks):
            calls.close()
        self._loop.stop(_LOOP_SECONDS)
        self.cloud.close()

    def _handle(self, job: Job) -> Future[bytes]:
        return self._loop.submit(self.controller.answer(job))

    def _make_controller(self, settings: Settings) -> Controller:
        mgm = settings.mgm
        inspection = Inspection(
            servers=servers_of(settings.gearman),
            tls=tls_of(settings.gearman),
            diag_timeout=mgm.build_diag_timeout,
        )
        devices = Poller[Devices](what="the list of devices", ask=self._list_devices)
        registered = Poller[Registered](
            what="the list of workers", ask=partial(self._asks.run, inspection.registered)
        )
        builder = Builder(
            cloud=self.cloud,
            inspection=inspection,
            calls=self._calls,
            looks=self._looks,
            devices=devices,
            registered=registered,
            times=Times(build=mgm.build_timeout, grace=mgm.sweep_grace),
        )
        return Controller(
            facts=Facts(basename=mgm.node_basename, image=mgm.nova_image, az=mgm.az),
            builder=builder,
            remover=Remover(
                cloud=self.cloud, calls=self._calls, devices=devices, timeout=mgm.delete_timeout
            ),
            floating=FloatingIps(
                cloud=self.cloud,
                calls=self._calls,
                assign_timeout=mgm.assign_timeout,
                check_port=mgm.tcp_check_port,
            ),
            ports=Ports(
                cloud=self.cloud,
                calls=self._calls,
                listed=Poller[AllPorts](what="the list of ports", ask=self._list_ports),
                timeout=mgm.assign_timeout,
            ),
            everything=self._everything,
            message_limit=settings.gearman.message_limit,
            tally=self._tally,
        )

    async def _list_devices(self) -> Devices:
        cloud = self.cloud
        asked = cloud.followed_devices if isinstance(cloud, Followed) else cloud.devices
        return {device.name: device for device in await self._asks.run(asked)}

    async def _list_ports(self) -> AllPorts:
        return {port.id: port for port in await self._asks.run(self.cloud.ports)}

    async def _everything(self) -> Everything:
        devices = await self._calls.ask(self.cloud.devices)
        return devices, await self._calls.ask(self.cloud.ports)


def client_id() -> str:
    """What this pool manager calls itself to job servers."""
    return f"{FUNCTION}@{socket.gethostname()}"


def make_registration(
    settings: Settings, own: Callable[[], Collection[GearmanServer]]
) -> Registration:
    """Make what asks job servers whether they know this pool manager; `own` is what we believe."""
    return Registration(
        servers=servers_of(settings.gearman),
        tls=tls_of(settings.gearman),
        function=FUNCTION,
        client_id=client_id(),
        own=own,
    )


def make_rules(settings: Settings) -> Rules:
    """Say by which rules the settings would have it swept."""
    return Rules(grace=settings.mgm.sweep_grace, share=settings.mgm.sweep_share)


def make_sweeper(settings: Settings, cloud: Cloud) -> Sweeper:
    """Make the sweeper of the command line, which knows of no running jobs."""
    return Sweeper(cloud=cloud, rules=make_rules(settings))
