"""The `libra_pool_mgm` command: the pool manager, from its settings to its end."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from libra_common import logs
from libra_common.complaint import complain
from libra_common.daemon import Daemon, Readiness
from libra_common.errors import LibraError
from libra_common.exits import Exit
from libra_common.health import Subject, Tally
from libra_common.jobs import GearmanServer, proof
from libra_common.settings import Settings, load
from libra_common.settings.differing import differing
from libra_pool_mgm.health import PoolHealth
from libra_pool_mgm.opening import open_cloud
from libra_pool_mgm.service import Service, make_registration, make_rules, make_sweeper
from libra_pool_mgm.sweep import Sweeper

LOG = logging.getLogger(__name__)

PROG = "libra_pool_mgm"

_SWEEP = "--sweep"
_DRY_RUN = "--dry-run"
_FLAGS = {
    _SWEEP: "remove old devices and addresses that nobody was ever given, then exit with 0, or"
    " with 69 where any of them stays",
    _DRY_RUN: "with --sweep: remove nothing, only say what would be removed",
}


class PoolDaemon(Daemon):
    """Takes jobs and sweeps now and then; devices outlive it.

    `reread` gives the settings anew at SIGHUP.
    """

    def __init__(self, *, settings: Settings, reread: Callable[[], Settings]) -> None:
        super().__init__(
            name=PROG,
            settings=settings.default,
            pid_file=settings.mgm.pid,
            stop_timeout=settings.mgm.stop_timeout,
            health=settings.mgm.health,
        )
        self._tally = Tally()
        self._in_force = settings
        self._reread = reread
        self._service: Service | None = None
        self._leaving: dict[threading.Thread, Service] = {}
        self._sweeping: threading.Thread | None = None
        self._next_sweep = time.monotonic() + settings.mgm.sweep_interval

    def start(self) -> None:
        """Take jobs; whether the cloud can be used is found out beside that, and logged."""
        self._service = Service(self._in_force, open_cloud(self._in_force), self._tally)
        self._service.start()
        self._beside(self._check, "check")

    def cycle(self) -> None:
        """Let a sweep begin when it is time for one."""
        interval = self._in_force.mgm.sweep_interval
        if not interval or time.monotonic() < self._next_sweep:
            return
        self._next_sweep = time.monotonic() + interval
        if self._sweeping is None or not self._sweeping.is_alive():
            self._sweeping = self._beside(self._sweep, "sweep")

    def reload(self) -> None:
        """Read settings and certificates again: a new service takes jobs, the old one finishes."""
        new = self._reread()
        old = self._service
        if old is None:
            raise RuntimeError("reloaded before it was started")
        service = Service(new, open_cloud(new), self._tally)
        self.use_default_settings(new.default)
        for name in only_at_start(self._in_force, new):
            LOG.warning("%s has changed: it takes effect at the next start", name)
        self._in_force, self._service = new, service
        service.start()
        thread = self._beside(lambda: self._finish(old), "leaving service")
        self._leaving = {one: its for one, its in self._leaving.items() if one.is_alive()}
        self._leaving[thread] = old

    def shutdown(self, *, fast: bool) -> None:
        """Deliver the answers of running jobs, undo what takes too long, and go."""
        if fast or self._service is None:
            return  # what is half done is found again by its job's next run, or by a sweep
        self._finish(self._service)
        for thread in self._leaving:
            thread.join(self.stop_timeout)

    def subject(self) -> Subject:
        """What /readyz and /metrics tell of this pool manager."""
        return PoolHealth(
            registration=make_registration(self._in_force, self._registered),
            tally=self._tally,
            devices=lambda: self._service.cloud.devices() if self._service else (),
            busy=lambda: self._service.jobs.status().busy if self._service else 0,
            certificate=self._in_force.gearman.ssl_cert,
        )

    def _registered(self) -> tuple[GearmanServer, ...]:
        return () if self._service is None else self._service.jobs.registered

    def certificates(self) -> Iterable[Path | None]:
        """Our own."""
        return (self._in_force.gearman.ssl_cert,)

    def readiness(self) -> Readiness:
        """Ready once gearmand knows a slot."""
        if self._service is None:
            return Readiness.STARTING
        return Readiness.READY if self._service.jobs.registered else Readiness.SERVING

    def status(self) -> str:
        """What `systemctl status` shows: where it is registered, and how busy it is."""
        if self._service is None:
            return "starting"
        jobs = self._service.jobs
        servers = ", ".join(str(server) for server in jobs.registered) or "no server"
        return f"registered at {servers}; {jobs.status().busy} job(s) running"

    def _finish(self, service: Service) -> None:
        # A second less than the daemon grants, which would leave at once after that.
        service.stop(max(0.5, self.stop_timeout - 1.0))
        service.close()

    def _check(self) -> None:
        service = self._service
        if service is None:
            return
        try:
            service.cloud.check()
            service.cloud.prepare()
        except LibraError as error:
            LOG.error("the cloud cannot be used as it is set up: %s", error)
        else:
            LOG.info("the cloud %s can be used", self._in_force.mgm.cloud)

    def _sweep(self) -> None:
        service = self._service
        if service is None:
            return
        sweeper = Sweeper(
            cloud=service.cloud, rules=make_rules(self._in_force), under_way=self._under_way
        )
        try:
            swept = sweeper.sweep(dry_run=False)
        except LibraError as error:
            LOG.error("sweep: %s", error)
        else:
            removed = len(swept.devices) + len(swept.addresses) + len(swept.ports)
            LOG.info("sweep: %d removed", removed)

    def _under_way(self) -> frozenset[str]:
        services = [self._service, *self._leaving.values()]
        return frozenset().union(*(one.controller.under_way() for one in services if one))

    def _beside(self, work: Callable[[], None], name: str) -> threading.Thread:
        def body() -> None:
            try:
                work()
            except Exception:
                LOG.exception("%s failed unexpectedly", name)

        thread = threading.Thread(target=body, name=name, daemon=True)
        thread.start()
        return thread


def only_at_start(old: Settings, new: Settings) -> list[str]:
    """The settings that differ and that a running pool manager cannot take over."""
    return [
        *differing("mgm", old.mgm, new.mgm, ("pid", "stop_timeout")),
        *differing("DEFAULT", old.default, new.default, ("daemon",)),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the pool manager, or one sweep; the exit code is one of `libra_common.exits`."""
    arguments = list(sys.argv[1:] if argv is None else argv)

    def read() -> Settings:
        return load(arguments, prog=PROG, flags=_FLAGS, check=_faults)

    try:
        settings = read()
        if _SWEEP in arguments:
            return sweep_once(settings, dry_run=_DRY_RUN in arguments)
    except LibraError as error:
        return complain(PROG, error)
    if _DRY_RUN in arguments:
        _complain(f"{_DRY_RUN} is for {_SWEEP}")
        return Exit.USAGE
    return PoolDaemon(settings=settings, reread=read).main()


def sweep_once(settings: Settings, *, dry_run: bool) -> int:
    """Sweep and say what went; raises LibraError when nothing could be swept."""
    logs.setup(settings.default, prog=PROG, detached=False)
    cloud = open_cloud(settings)
    try:
        swept = make_sweeper(settings, cloud).sweep(dry_run=dry_run)
    finally:
        cloud.close()
    verb = "would remove" if dry_run else "removed"
    gone = (("device", swept.devices), ("address", swept.addresses), ("port", swept.ports))
    for what, names in gone:
        for name in names:
            print(f"{verb} {what} {name}")  # noqa: T201 - that is what was asked for
    for fault in swept.failed:
        _complain(f"not removed: {fault}")
    return Exit.UNAVAILABLE if swept.failed else Exit.OK


def _faults(settings: Settings) -> Iterable[str]:
    yield from proof.faults_of(settings.gearman, prog=PROG)
    yield from _faults_of_cloud(settings)


def _faults_of_cloud(settings: Settings) -> Iterable[str]:
    try:
        cloud = open_cloud(settings)
        try:
            cloud.check()
        finally:
            cloud.close()
    except LibraError as error:
        yield f"[mgm] cloud = {settings.mgm.cloud}: {error}"


def _complain(text: str) -> None:
    print(f"{PROG}: {text}", file=sys.stderr)  # noqa: T201 - there is no log yet


if __name__ == "__main__":
    sys.exit(main())
