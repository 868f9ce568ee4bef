"""One UDP or SCTP listener and its keepalived."""

from __future__ import annotations

import contextlib
import sys

from libra_amphora import lvs_check
from libra_amphora.files import replace
from libra_amphora.ip_vs import Key
from libra_amphora.keepalived_process import KeepalivedProcess
from libra_amphora.lvs_config import LvsConfig
from libra_amphora.lvs_errors import LvsConfigRefused
from libra_amphora.lvs_report import View
from libra_amphora.lvs_store import Kept
from libra_amphora.vrrp_errors import KeepalivedFailed

_CHECK = (sys.executable, "-I", "-S", lvs_check.__file__)
_LONGEST_PAUSE, _STEADY_SECONDS = 30.0, 60.0


class LvsListener:
    """`config` is that of the text in force, else of the one that was uploaded last.

    `script_user` are the user and group that checks of members run as.
    """

    def __init__(
        self,
        *,
        id_: str,
        process: KeepalivedProcess,
        script_user: tuple[str, str],
        kept: Kept,
        config: LvsConfig,
    ) -> None:
        self.id = id_
        self.kept = kept
        self.config = config
        self._tries = 0
        self._next_try = 0.0
        self._process = process
        self._script_user = script_user

    @property
    def wanted(self) -> bool:
        """Whether it should serve."""
        return self.kept.running is not None

    @property
    def runs(self) -> bool:
        """Whether a keepalived runs, where there is anything for one to do."""
        return not self.config.services or self._process.pid() is not None

    @property
    def last_pid(self) -> int | None:
        """The pid of the keepalived that runs or ran last."""
        return self._process.last_pid()

    @property
    def keys(self) -> set[Key]:
        """Its services in the kernel."""
        return keys(self.config)

    @property
    def view(self) -> View:
        """What is known of it."""
        return View(id=self.id, config=self.config, should_run=self.wanted, runs=self.runs)

    def due(self, now: float) -> bool:
        """Whether it does not run and is to be tried again at `now`; if so, this is a try."""
        if self.runs:
            if now > self._next_try + _STEADY_SECONDS:
                self._tries = 0
            return False
        if now < self._next_try:
            return False
        self._tries += 1
        self._next_try = now + min(2.0**self._tries, _LONGEST_PAUSE)
        return True

    def check(self, config: LvsConfig) -> None:
        """Have keepalived test it. Raises LvsConfigRefused, KeepalivedFailed or DiskError."""
        candidate = self._process.config.with_name("candidate.conf")
        replace(candidate, config.to_check().encode())
        try:
            self._process.check(candidate)
        except KeepalivedFailed as error:
            if "cannot run" in str(error) or "did not end" in str(error):
                raise
            raise LvsConfigRefused(str(error)) from error
        finally:
            candidate.unlink(missing_ok=True)

    def run(self) -> None:
        """Start keepalived, or have it read `config`. Raises KeepalivedFailed or DiskError."""
        if not self.config.services:
            self._process.stop()
            return
        replace(self._process.config, self._derived(self.config))
        if self._process.pid() is None:
            self._process.end_leftovers()
            self._process.start()
        else:
            self._process.reload()

    def stop(self) -> bool:
        """Stop keepalived; whether it ran, where there was anything for it to do."""
        ran = self.runs
        self._process.stop()
        self._process.end_leftovers()
        return ran

    def erase(self) -> None:
        """Remove its files."""
        directory = self._process.config.parent
        for path in directory.glob("*"):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            directory.rmdir()

    def _derived(self, config: LvsConfig) -> bytes:
        return config.to_run(check=_CHECK, script_user=self._script_user).encode()


def keys(config: LvsConfig) -> set[Key]:
    """The services of a configuration in the kernel."""
    return {(service.protocol, place) for service in config.services for place in service.places}
