"""The `libra_worker` command: a node's gearman worker, from its settings to its end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from libra_common.daemon import Daemon, Readiness
from libra_common.errors import LibraError, SettingsError
from libra_common.exits import exit_code_of
from libra_common.jobs import JobWorker
from libra_common.settings import Settings, load
from libra_worker.drivers.base import Driver
from libra_worker.node import make_controller, make_driver, make_jobs

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
        )
        self._given = settings
        self._reread = reread
        self._driver: Driver | None = None
        self._jobs: JobWorker | None = None

    def start(self) -> None:
        """Bring HAProxy to the stored state, and only then be found by gearmand."""
        driver = make_driver(self._given)
        driver.open()
        self._driver = driver
        self._jobs = make_jobs(self._given, make_controller(self._given, driver))
        self._jobs.start()

    def cycle(self) -> None:
        """See after HAProxy."""
        if self._driver is not None:
            self._driver.look()

    def reload(self) -> None:
        """Read the settings again; those of the logs are used at once, the others at a restart."""
        self.use_default_settings(self._reread().default)

    def shutdown(self, *, fast: bool) -> None:
        """Deliver the answers of running jobs and go; traffic goes on."""
        if self._jobs is not None:
            self._jobs.stop(0.0 if fast else self.stop_timeout)
        if self._driver is not None and not fast:
            self._driver.close()

    def readiness(self) -> Readiness:
        """Serving once HAProxy is at the stored state, ready once gearmand knows a slot."""
        if self._jobs is None:
            return Readiness.STARTING
        return Readiness.READY if self._jobs.registered else Readiness.SERVING


def main(argv: Sequence[str] | None = None) -> int:
    """Run the worker; the exit code is one of `libra_common.exits`."""
    arguments = list(sys.argv[1:] if argv is None else argv)

    def read() -> Settings:
        return load(arguments, prog=PROG)

    try:
        settings = read()
    except SettingsError as error:
        for fault in error.faults:
            print(f"{PROG}: {fault}", file=sys.stderr)  # noqa: T201 - there is no log yet
        return exit_code_of(error)
    except LibraError as error:
        print(f"{PROG}: {error}", file=sys.stderr)  # noqa: T201 - there is no log yet
        return exit_code_of(error)
    return WorkerDaemon(settings=settings, reread=read).main()


if __name__ == "__main__":
    sys.exit(main())
