"""The life of a daemon, the same for all of them: start, cycles, reload, stop.

A daemon is a loop. Signal handlers only put the signal's number into a queue; the loop takes it
out between two cycles and acts on it, so that no handler ever runs in the middle of a change.
What a daemon does is in five methods of a subclass; when they are called is decided here:

    pid file -> start() -> [ cycle() -> readiness() ... reload() on SIGHUP ... ] -> shutdown()
"""

from __future__ import annotations

import abc
import contextlib
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType

from libra_common import detach, logs
from libra_common.detach import Readiness, Reporter
from libra_common.errors import LibraError
from libra_common.exits import Exit, exit_code_of
from libra_common.health import HealthServer, Page, Started, Subject, serve
from libra_common.health.certificate import CertificateWarner
from libra_common.pidfile import PidFile
from libra_common.settings.model import DefaultSettings
from libra_common.settings.values import HostPort
from libra_common.systemd import Notifier

__all__ = ["Daemon", "Readiness"]

LOG = logging.getLogger(__name__)

_WAKE = 0
"""In the queue of signals: no signal, only a wish for the next cycle."""
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_FAST_SECONDS = 1.0
"""How long shutdown(fast=True) may take; "at once" must hold even for one that hangs."""
_WARN_SECONDS = 3600.0
"""How often it is looked how long certificates are still good."""
_POLL_SECONDS = 0.05
"""How often readiness is asked for while a command waits to hear of it."""


class Daemon(abc.ABC):
    """A daemon named `name` with its own pid file; call `main` once, in the main thread.

    The constructor must start nothing: with `daemon` set, the process forks afterwards. The
    `settings` are those of [DEFAULT]; a reload gives the new ones to `use_default_settings`.
    `stop_timeout` is how many seconds running work gets to end after SIGTERM; `health` is where
    its pages of health and metrics are served, if anywhere.
    """

    interval = 1.0
    """Seconds between two cycles, unless `wake` is called."""

    def __init__(
        self,
        *,
        name: str,
        settings: DefaultSettings,
        pid_file: Path,
        stop_timeout: float = 60.0,
        health: Path | HostPort | None = None,
    ) -> None:
        self.name = name
        self.stop_timeout = stop_timeout
        self._settings = settings
        self._pid_file = pid_file
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._notifier = Notifier()
        self._reporter = Reporter(fd=None)
        self._stops = 0
        self._watches_for_second_stop = False
        self._ready_said = False
        self._logs_go_elsewhere = False
        self._health = health
        self._progress = time.monotonic()
        self._days = CertificateWarner()
        self._next_warning = 0.0

    @abc.abstractmethod
    def start(self) -> None:
        """Bring up what must be there before the first cycle.

        Raises LibraError to end the daemon with that error's exit code and text.
        """

    @abc.abstractmethod
    def cycle(self) -> None:
        """Do one round of work and return within seconds: signals wait and the watchdog starves.

        An exception is logged and the next cycle tried; only a cycle that returns counts as
        progress for the watchdog.
        """

    @abc.abstractmethod
    def reload(self) -> None:
        """Read settings and certificates again and use them; raises to keep the old ones.

        Everything new must be checked before anything old is replaced.
        """

    @abc.abstractmethod
    def shutdown(self, *, fast: bool) -> None:
        """Take no more work, finish what runs and return; runs in a thread of its own.

        With `fast`, perhaps while a slow call still runs: drop what can be dropped, within a
        second. Serving must not end with the daemon.
        """

    @abc.abstractmethod
    def readiness(self) -> Readiness:
        """Say how far the daemon got; asked often, so it must cost nothing."""

    def status(self) -> str:
        """Give the line that `systemctl status` shows."""
        return self.readiness().name.lower()

    def subject(self) -> Subject:
        """Whom the pages of health are about; asked for once, before `start`."""
        return Started(self.readiness)

    def certificates(self) -> Iterable[Path | None]:
        """The files of certificates of ours, whose end is warned of; as of now."""
        return ()

    def wake(self) -> None:
        """Have the next cycle begin now; may be called from any thread."""
        self._signals.put(_WAKE)

    def use_default_settings(self, settings: DefaultSettings) -> None:
        """Log as these settings say from now on; raises SettingsError and changes nothing."""
        logs.setup(settings, prog=self.name, detached=self._settings.daemon)
        self._settings = settings

    def main(self) -> int:
        """Live, detached if the settings say so; give the exit code of this process."""
        if self._settings.daemon:
            return detach.detached(self._main, prog=self.name)
        return self._main(Reporter(fd=None))

    def _main(self, reporter: Reporter) -> int:
        self._reporter = reporter
        self._notifier = Notifier.from_environment()
        try:
            logs.setup(self._settings, prog=self.name, detached=self._settings.daemon)
            logs.hook_uncaught()
            self._logs_go_elsewhere = self._settings.log_file is not None or self._settings.syslog
            with PidFile(path=self._pid_file):
                self._install_handlers()
                with contextlib.ExitStack() as stack:
                    if pages := self._pages():
                        stack.callback(pages.close)
                    return self._live()
        except LibraError as error:
            return self._give_up(exit_code_of(error), str(error))
        except Exception as error:
            LOG.critical("the daemon failed", exc_info=True)
            return self._give_up(exit_code_of(error), f"{type(error).__name__}; see the log")

    def _pages(self) -> HealthServer | None:
        """The pages of health, there before anything that may take its time."""
        page = Page(prog=self.name, subject=self.subject(), progress=lambda: self._progress)
        return serve(self._health, page)

    def _give_up(self, code: Exit, message: str) -> int:
        LOG.error("%s", message)
        if not self._reporter.pending and self._logs_go_elsewhere:
            # Whoever started it in the foreground looks at the terminal, not at the log.
            sys.stderr.write(f"{self.name}: {message}\n")
        self._notifier.status(message)
        self._reporter.failed(code, message)
        return code

    def _install_handlers(self) -> None:
        for number in (*_STOP_SIGNALS, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number in _STOP_SIGNALS:
            self._stops += 1
            if self._stops > 1 and not self._watches_for_second_stop:
                # The loop is stuck in start() or in a cycle and would never see the queue.
                os._exit(Exit.HURRIED)
        self._signals.put(number)

    def _live(self) -> int:
        LOG.info("%s starts as process %d", self.name, os.getpid())
        try:
            self.start()
        except BaseException:
            self._bounded(lambda: self.shutdown(fast=True), "shutdown").join(_FAST_SECONDS)
            raise
        while not self._stops:
            if self._succeeds(self.cycle):
                self._progress = time.monotonic()
                self._notifier.alive()
            self._say_readiness()
            self._succeeds(self._warn_of_certificates)
            self._sleep_and_obey()
        return self._stop()

    def _warn_of_certificates(self) -> None:
        if time.monotonic() >= self._next_warning:
            self._next_warning = time.monotonic() + _WARN_SECONDS
            self._days.warn(self.certificates())

    def _sleep_and_obey(self) -> None:
        """Wait for the next cycle's time, a wish for it, or a signal, and act on the signal."""
        deadline = time.monotonic() + self.interval
        while not self._stops:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return
            if self._reporter.pending:
                self._say_readiness()
                remaining = min(remaining, _POLL_SECONDS)
            number = self._next_signal(remaining)
            if number == signal.SIGHUP:
                self._reload()
            if number == _WAKE:
                return

    def _next_signal(self, seconds: float) -> int | None:
        try:
            return self._signals.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None

    def _say_readiness(self) -> None:
        readiness = self.readiness()
        self._reporter.progress(readiness)
        self._notifier.status(self.status())
        if readiness >= Readiness.SERVING and not self._ready_said:
            # Without a job server the node still serves, and must not be killed for being late.
            self._ready_said = True
            self._notifier.ready()

    def _reload(self) -> None:
        LOG.info("SIGHUP: reading settings and certificates again")
        if self._ready_said:
            self._notifier.reloading()
        try:
            self.reload()
        except LibraError as error:
            LOG.error("reload refused, the old settings stay in force: %s", error)
        except Exception:
            LOG.exception("reload failed, the old settings stay in force")
        else:
            LOG.info("reloaded")
        if self._ready_said:
            self._notifier.ready()

    def _stop(self) -> int:
        """End gracefully; at a second signal or after the stop time, leave at once."""
        LOG.info("stopping: running work may end, at most %g s", self.stop_timeout)
        self._notifier.stopping()
        self._reporter.failed(Exit.UNAVAILABLE, "stopped by a signal before it was ready")
        self._watches_for_second_stop = True
        graceful = self._bounded(lambda: self.shutdown(fast=False), "shutdown", wake=True)
        deadline = time.monotonic() + self.stop_timeout
        while graceful.is_alive() and self._stops < 2 and time.monotonic() < deadline:
            self._next_signal(deadline - time.monotonic())
        if not graceful.is_alive():
            LOG.info("stopped")
            return Exit.OK
        why = "a second signal" if self._stops > 1 else f"{self.stop_timeout:g} s are over"
        LOG.warning("leaving at once, work may be unfinished: %s", why)
        self._bounded(lambda: self.shutdown(fast=True), "fast shutdown").join(_FAST_SECONDS)
        # Threads of unfinished work would keep an ordinary exit waiting. The pid file stays and
        # is stale; its lock ends with this process.
        os._exit(Exit.HURRIED)

    def _bounded(
        self, work: Callable[[], None], name: str, *, wake: bool = False
    ) -> threading.Thread:
        """Run `work` in a thread that cannot keep the process alive."""

        def body() -> None:
            self._succeeds(work)
            if wake:
                self.wake()

        thread = threading.Thread(target=body, name=name, daemon=True)
        thread.start()
        return thread

    def _succeeds(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except Exception:
            LOG.exception("%s: unexpected error, going on", self.name)
            return False
        return True
