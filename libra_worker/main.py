"""The `libra_worker` command: a node's gearman worker, from its settings to its end."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path

from libra_common.daemon import Daemon, Readiness
from libra_common.entry import live
from libra_common.health import Subject, Tally
from libra_common.jobs import GearmanServer, JobWorker, proof
from libra_common.settings import Settings, load
from libra_common.settings.differing import differing
from libra_worker.drivers.base import Driver
from libra_worker.health import WorkerHealth
from libra_worker.node import make_controller, make_driver, make_jobs, make_registration
from libra_worker.renewal import Renewal

LOG = logging.getLogger(__name__)

PROG = "libra_worker"


class WorkerDaemon(Daemon):
    """Serves the stored state first, then takes jobs; HAProxy outlives it.

    `reread` gives the settings anew at SIGHUP.
    """

    def __init__(self, *, settings: Settings, reread: Callable[[], Settings]) -> None:
        super().__init__(
            name=PROG,
            settings=settings.default,
            pid_file=settings.worker.pid,
            stop_timeout=settings.worker.stop_timeout,
            health=settings.worker.health,
        )
        self._tally = Tally()
        self._renewal = Renewal(when=settings.haproxy.renewal)
        self._in_force = settings
        self._reread = reread
        self._driver: Driver | None = None
        self._jobs: JobWorker | None = None
        self._leaving: list[threading.Thread] = []

    def start(self) -> None:
        """Bring HAProxy to the stored state, and only then be found by gearmand."""
        driver = make_driver(self._in_force)
        jobs = make_jobs(self._in_force, make_controller(self._in_force, driver, self._tally))
        driver.open()
        self._driver = driver
        self._jobs = jobs
        jobs.start()

    def cycle(self) -> None:
        """See after HAProxy."""
        if self._driver is not None:
            self._driver.look()
            self._renewal.look(self._driver)

    def reload(self) -> None:
        """Read settings and certificates again; what cannot change in a running worker is named.

        New slots are opened with the new ones, and the old finish what they have.
        """
        new = self._reread()
        if self._driver is None or self._jobs is None:
            raise RuntimeError("reloaded before it was started")
        jobs = make_jobs(new, make_controller(new, self._driver, self._tally))
        self.use_default_settings(new.default)
        for name in only_at_start(self._in_force, new):
            LOG.warning("%s has changed: it takes effect at the next start", name)
        self._renewal.ask()
        self._in_force, old, self._jobs = new, self._jobs, jobs
        jobs.start()
        thread = threading.Thread(target=old.stop, args=(self.stop_timeout,), name="leaving slots")
        thread.daemon = True
        thread.start()
        self._leaving = [*(one for one in self._leaving if one.is_alive()), thread]

    def shutdown(self, *, fast: bool) -> None:
        """Deliver the answers of running jobs and go; traffic goes on."""
        if self._jobs is not None:
            self._jobs.stop(0.0 if fast else self.stop_timeout)
        if not fast:
            for thread in self._leaving:
                thread.join(self.stop_timeout)
        if self._driver is not None and not fast:
            self._driver.close()

    def subject(self) -> Subject:
        """What /readyz and /metrics tell of this node."""
        return WorkerHealth(
            registration=make_registration(self._in_force, self._registered),
            driver=lambda: self._driver,
            jobs=lambda: self._jobs,
            tally=self._tally,
            certificate=self._in_force.gearman.ssl_cert,
        )

    def _registered(self) -> tuple[GearmanServer, ...]:
        return () if self._jobs is None else self._jobs.registered

    def certificates(self) -> Iterable[Path | None]:
        """Our own."""
        return (self._in_force.gearman.ssl_cert,)

    def readiness(self) -> Readiness:
        """Serving once HAProxy is at the stored state, ready once gearmand knows a slot."""
        if self._jobs is None:
            return Readiness.STARTING
        return Readiness.READY if self._jobs.registered else Readiness.SERVING

    def status(self) -> str:
        """What `systemctl status` shows: where it is registered, and how busy it is."""
        if self._jobs is None:
            return "bringing HAProxy to the stored state"
        servers = ", ".join(str(server) for server in self._jobs.registered) or "no server"
        return f"registered at {servers}; {self._jobs.status().busy} job(s) running"


def only_at_start(old: Settings, new: Settings) -> list[str]:
    """The settings that differ and that a running worker cannot take over."""
    haproxy = [field.name for field in fields(new.haproxy) if field.name != "max_nodes"]
    return [
        *differing("worker", old.worker, new.worker, ("pid", "driver", "stop_timeout")),
        *differing("DEFAULT", old.default, new.default, ("daemon",)),
        *differing("worker:haproxy", old.haproxy, new.haproxy, haproxy),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the worker; the exit code is one of `libra_common.exits`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    read = partial(load, arguments, prog=PROG, check=_faults)
    return live(PROG, read=read, make=WorkerDaemon)


def _faults(settings: Settings) -> Iterable[str]:
    return proof.faults_of(settings.gearman, prog=PROG)


if __name__ == "__main__":
    sys.exit(main())
