"""The gate in front of gearmand as a daemon, from its settings to its end."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from libra_common.daemon import Daemon, Readiness
from libra_common.entry import live
from libra_common.errors import SettingsError
from libra_common.health import Subject
from libra_common.settings import Settings, load
from libra_common.settings.differing import differing
from libra_gate import PROG
from libra_gate.counters import Counters
from libra_gate.health import GateHealth
from libra_gate.server import GateServer, materials
from libra_gate.trust import fault_of_own

LOG = logging.getLogger(__name__)

_ONLY_AT_START = ("bind", "gearmand", "pid", "stop_timeout")
_STUCK_SECONDS = 30.0


class GateDaemon(Daemon):
    """Lets nobody near gearmand but by its rules. `reread` gives the settings anew at SIGHUP."""

    def __init__(self, *, settings: Settings, reread: Callable[[], Settings]) -> None:
        super().__init__(
            name=PROG,
            settings=settings.default,
            pid_file=settings.gate.pid,
            stop_timeout=settings.gate.stop_timeout + 2.0,
            health=settings.gate.health,
        )
        self.counters = Counters()
        """What is counted; may be read from any thread, by `snapshot`."""
        self._in_force = settings
        self._reread = reread
        self._server: GateServer | None = None

    def start(self) -> None:
        """Read the certificates and listen."""
        for server in self._in_force.gate.gearmand:
            if server.host not in {"localhost", "127.0.0.1", "::1"}:
                LOG.warning(
                    "[gate] gearmand %s: is not on this machine, the way there is in plain text",
                    server,
                )
        self._server = GateServer(self._in_force.gate, counters=self.counters)
        self._server.start()
        self._look_at_own(self._in_force)
        LOG.info("listening on %s", ", ".join(map(str, self._server.addresses)))

    def cycle(self) -> None:
        """See that the event loop goes on; if not, no progress is told to the watchdog."""
        if self._server is not None and self._server.silent_for > _STUCK_SECONDS:
            raise RuntimeError(f"nothing was done for {self._server.silent_for:.0f} s")

    def reload(self) -> None:
        """Read settings, certificates and lists again; connections stay."""
        new = self._reread()
        if self._server is None:
            raise RuntimeError("reloaded before it was started")
        self._server.renew(new.gate)
        self._look_at_own(new)
        self.use_default_settings(new.default)
        for name in only_at_start(self._in_force, new):
            LOG.warning("%s has changed: it takes effect at the next start", name)
        self._in_force = new

    def shutdown(self, *, fast: bool) -> None:
        """Let nobody in any more, wait for the answers under way, and go."""
        if self._server is not None:
            self._server.stop(0.0 if fast else float(self._in_force.gate.stop_timeout))

    def subject(self) -> Subject:
        """What /readyz and /metrics tell of the gate."""
        return GateHealth(
            counters=self.counters,
            readiness=self.readiness,
            connections=lambda: 0 if self._server is None else self._server.connections,
            certificate=self._in_force.gate.ssl_cert,
        )

    def _look_at_own(self, settings: Settings) -> None:
        for fault in _fault_of_own(settings):
            LOG.error("%s", fault)

    def certificates(self) -> Iterable[Path | None]:
        """Our own."""
        return (self._in_force.gate.ssl_cert,)

    def readiness(self) -> Readiness:
        """Serving once it listens, ready once a gearmand answers."""
        if self._server is None:
            return Readiness.STARTING
        return Readiness.READY if self._server.gearmand else Readiness.SERVING

    def status(self) -> str:
        """What `systemctl status` shows."""
        if self._server is None:
            return "starting"
        where = self._server.gearmand or "no gearmand"
        return f"{self._server.connections} connection(s) to {where}"


def only_at_start(old: Settings, new: Settings) -> list[str]:
    """The settings that differ and that a running gate cannot take over."""
    return [
        *differing("gate", old.gate, new.gate, _ONLY_AT_START),
        *differing("DEFAULT", old.default, new.default, ("daemon",)),
    ]


def run(arguments: Sequence[str]) -> int:
    """Run the gate; the exit code is one of `libra_common.exits`."""
    read = partial(load, arguments, prog=PROG, check=_faults)
    return live(PROG, read=read, make=GateDaemon)


def _faults(settings: Settings) -> Iterable[str]:
    try:
        materials(settings.gate)
    except SettingsError as error:
        yield from error.faults
    else:
        yield from _fault_of_own(settings)


def _fault_of_own(settings: Settings) -> Iterable[str]:
    path = settings.gate.ssl_cert
    if path is not None and (fault := fault_of_own(path, datetime.datetime.now(datetime.UTC))):
        yield f"[gate] ssl_cert = {str(path)!r}: nobody will trust it: {fault}"
