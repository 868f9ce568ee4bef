"""Puts a worker together from its settings: the one place that knows all its parts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from libra_common.errors import SettingsError
from libra_common.health import Tally
from libra_common.health.registration import Registration
from libra_common.jobs import GearmanServer, Job, JobWorker, probe, servers_of, tls_of
from libra_common.logs import job_context
from libra_common.settings import Settings
from libra_haproxy.logbounds import Bounds
from libra_haproxy.opening import InstanceSettings, make_instance
from libra_worker.archive.archiver import Archiver
from libra_worker.archive.stores import make_store
from libra_worker.controller import Controller
from libra_worker.diagnostics import LOOK_SECONDS, diagnose
from libra_worker.drivers.base import Driver
from libra_worker.drivers.haproxy import HaproxyDriver

_MOST_SLOTS = 64
"""No number of waiting jobs opens more slots than this at one server."""


def make_driver(settings: Settings) -> Driver:
    """Make the driver that `[worker] driver` names.

    Raises SettingsError for an unknown one, LibraError where its directories cannot be used.
    """
    if settings.worker.driver != "haproxy":
        raise SettingsError(f"[worker] driver: there is no driver {settings.worker.driver!r}")
    instance = make_instance(instance_settings(settings))
    return HaproxyDriver(instance=instance, door=f"libra_worker {settings.worker.name}")


def instance_settings(settings: Settings) -> InstanceSettings:
    """What [worker:haproxy] says, as the engine takes it."""
    haproxy = settings.haproxy
    return InstanceSettings(
        haproxy=haproxy.haproxy,
        state_dir=haproxy.state_dir,
        run_dir=haproxy.run_dir,
        log_dir=haproxy.log_dir,
        logfile=haproxy.logfile,
        syslog_socket=haproxy.syslog_socket,
        log_bounds=Bounds(
            most_bytes=haproxy.log_max_bytes,
            most_seconds=haproxy.log_max_age,
            free_percent=haproxy.log_free_percent,
            file_bytes=haproxy.log_rotate_bytes,
        ),
        bind=haproxy.bind_address,
        user=haproxy.user,
        group=haproxy.group,
        maxconn=haproxy.maxconn,
        linger=haproxy.linger,
        keeper_service=haproxy.keeper == "service",
    )


def make_controller(settings: Settings, driver: Driver, tally: Tally) -> Controller:
    """Make what answers the messages, and counts them."""
    tls = tls_of(settings.gearman)

    def ask(host: str, port: int) -> None:
        probe(GearmanServer(host, port), tls, LOOK_SECONDS)

    archive = settings.archive
    return Controller(
        driver=driver,
        archiver=Archiver(
            logs=driver,
            make_store=make_store(
                ca=str(archive.ca or ""),
                timeout=archive.timeout,
                segment_bytes=archive.segment_bytes,
            ),
            allow_http=archive.allow_http,
            deadline=archive.deadline,
        ),
        diagnose=partial(
            diagnose,
            gearman=[(server.host, server.port) for server in settings.gearman.servers],
            probe=ask,
            outside=settings.worker.diagnostics_address,
        ),
        max_nodes=settings.haproxy.max_nodes,
        message_limit=settings.gearman.message_limit,
        tally=tally,
    )


def make_registration(
    settings: Settings, own: Callable[[], Collection[GearmanServer]]
) -> Registration:
    """Make what asks job servers whether they know this node; `own` is what we believe."""
    return Registration(
        servers=servers_of(settings.gearman),
        tls=tls_of(settings.gearman),
        function=settings.worker.name,
        client_id=settings.worker.name,
        own=own,
    )


def make_jobs(settings: Settings, controller: Controller) -> JobWorker:
    """Make what takes jobs from gearmand; nothing is connected yet."""

    def handle(job: Job) -> bytes:
        with job_context(job.unique or job.handle):
            return controller.answer(job.data)

    slots = settings.worker.slots
    return JobWorker(
        name=settings.worker.name,
        servers=servers_of(settings.gearman),
        slots=slots,
        # Long jobs must not keep short ones waiting.
        max_slots=max(slots, min(4 * slots, _MOST_SLOTS)),
        handler=handle,
        on_oversize=controller.refuse_oversize,
        tls=tls_of(settings.gearman),
        message_limit=settings.gearman.message_limit,
    )
