"""The provider agent as a daemon, from its settings to its end."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path

from libra_common.daemon import Daemon, Readiness
from libra_common.entry import live
from libra_common.errors import SettingsError
from libra_common.jobs import Job, JobWorker, servers_of, tls_of
from libra_common.settings import Settings, load
from libra_common.settings.differing import differing
from libra_octavia import PROG
from libra_octavia.agent.agent import Agent
from libra_octavia.agent.devices import Devices
from libra_octavia.agent.latest import Latest
from libra_octavia.agent.octavia import Octavia, library
from libra_octavia.agent.reconcile import Patience, Reconciler
from libra_octavia.checks import faults
from libra_octavia.devices.opening import Parts, open_devices, open_parts, open_upkeep
from libra_octavia.devices.upkeep import Upkeep
from libra_octavia.health.service import Health
from libra_octavia.inventory import Database, Intents, Leases, migrate
from libra_octavia.inventory.sync import sync_all
from libra_octavia.waker import FUNCTION

LOG = logging.getLogger(__name__)

LIFELINE = "LIBRA_LIFELINE"
"""Names an open file: its end, when whoever started this process dies, ends this process too."""


class OctaviaDaemon(Daemon):
    """Serves what the inventory holds; many may run on one inventory, on several machines.

    `reread` gives the settings anew at SIGHUP.
    """

    interval = 0.25
    """Seconds from look to look: hints come at once, but Octavia's commits come unannounced."""

    def __init__(self, *, settings: Settings, reread: Callable[[], Settings]) -> None:
        super().__init__(
            name=PROG,
            settings=settings.default,
            pid_file=settings.octavia.pid,
            stop_timeout=settings.octavia.stop_timeout,
            health=settings.octavia.health,
        )
        self._in_force = settings
        self._reread = reread
        self._agent: Agent | None = None
        self._jobs: JobWorker | None = None
        self._upward: Health | None = None
        self._upkeep: Upkeep | None = None

    def start(self) -> None:
        """Bring the inventory up to date, and begin to listen for hints."""
        settings = self._in_force
        _follow_lifeline()
        database = Database(settings.octavia.inventory)
        # Whoever brings devices of their own sees after them, too.
        parts = None if settings.octavia.devices else open_parts(settings, database)
        devices = load_devices(settings) if parts is None else open_devices(parts)
        migrate(database)
        # The pid file is ours, so whoever was killed before us left these.
        left = Leases(database, seconds=settings.octavia.lease).release_dead()
        if left:
            LOG.info("took over %d load balancer(s) from a process that is dead", left)
        LOG.info("%d load balancer(s) are looked at anew", len(sync_all(database)))
        latest = Latest()
        self._agent = make_agent(settings, database, devices, latest)
        self._jobs = JobWorker(
            name=FUNCTION,
            servers=servers_of(settings.gearman),
            slots=1,
            handler=self._hear,
            on_oversize=lambda _size: b"",
            tls=tls_of(settings.gearman),
        )
        self._jobs.start()
        self._upkeep = None if parts is None else make_upkeep(parts)
        self._upward = make_health(settings, database, latest)

    def cycle(self) -> None:
        """Begin what is due; the end of each makes the next cycle come at once."""
        if self._agent is not None:
            self._agent.cycle(self.wake)

    def reload(self) -> None:
        """Use new settings of logs; the others need a restart, and are named."""
        new = self._reread()
        for name in only_at_start(self._in_force, new):
            LOG.warning("%s has changed and takes effect at the next start", name)
        self.use_default_settings(new.default)

    def shutdown(self, *, fast: bool) -> None:
        """Begin nothing more, and finish what is under way; others go on with what is left."""
        seconds = 0.0 if fast else float(self.stop_timeout)
        if self._jobs is not None:
            self._jobs.stop(min(seconds, 1.0))
        if self._upward is not None and not fast:
            self._upward.stop(min(seconds, 5.0))
        if self._upkeep is not None:
            self._upkeep.stop(0.0)
        if self._agent is not None:
            # What still runs after the stop time must not keep this process: it is left at once.
            self._agent.stop(seconds if fast else seconds + 60)

    def certificates(self) -> Iterable[Path | None]:
        """Our own."""
        return (self._in_force.gearman.ssl_cert,)

    def readiness(self) -> Readiness:
        """Serving once the inventory is there, ready once gearmand knows where hints go."""
        if self._jobs is None:
            return Readiness.STARTING
        return Readiness.READY if self._jobs.registered else Readiness.SERVING

    def status(self) -> str:
        """What `systemctl status` shows."""
        return "starting" if self._agent is None else f"serving {self._agent.busy} load balancer(s)"

    def _hear(self, _job: Job) -> bytes:
        self.wake()
        return b""


def load_devices(settings: Settings) -> Devices:
    """What the module of [octavia] devices brings. Raises SettingsError where it cannot be used."""
    name = settings.octavia.devices
    try:
        found: Devices = importlib.import_module(name).make_devices(settings)
    except (ImportError, AttributeError) as error:
        raise SettingsError(
            f"[octavia] devices = {name!r}: no module with make_devices: {error}"
        ) from error
    return found


def make_agent(settings: Settings, database: Database, devices: Devices, latest: Latest) -> Agent:
    """Put the agent together; it begins nothing before its first cycle."""
    ours = settings.octavia
    intents = Intents(database)
    leases = Leases(database, seconds=ours.lease)
    reconciler = Reconciler(
        intents=intents,
        leases=leases,
        octavia=Octavia(lambda: library(ours.driver_agent_sockets)),
        devices=devices,
        patience=Patience(commit=ours.commit_timeout, deadline=ours.deadline),
        latest=latest,
    )
    return Agent(
        intents=intents,
        leases=leases,
        reconciler=reconciler,
        slots=ours.slots,
        lease_seconds=ours.lease,
    )


def make_health(settings: Settings, database: Database, latest: Latest) -> Health | None:
    """Begin to receive heartbeats and to report; None where devices send none."""
    if not settings.octavia.heartbeat_key:
        LOG.warning(
            "[octavia] heartbeat_key is empty: devices send no heartbeats, and Octavia shows"
            " neither health nor statistics"
        )
        return None
    sockets = settings.octavia.driver_agent_sockets
    health = Health(
        settings=settings,
        database=database,
        octavia=Octavia(lambda: library(sockets)),
        latest=latest,
    )
    health.start()
    return health


def make_upkeep(parts: Parts) -> Upkeep:
    """Begin to look after the pool manager's devices."""
    octavia = Octavia(lambda: library(parts.settings.octavia.driver_agent_sockets))
    upkeep = open_upkeep(parts, exists=lambda name: octavia.tree(name) is not None)
    upkeep.start()
    return upkeep


def only_at_start(old: Settings, new: Settings) -> list[str]:
    """The settings that differ and that a running agent cannot take over."""
    ours, gearman = ([one.name for one in fields(of)] for of in (new.octavia, new.gearman))
    return [
        *differing("octavia", old.octavia, new.octavia, ours),
        *differing("gearman", old.gearman, new.gearman, gearman),
        *differing("DEFAULT", old.default, new.default, ("daemon",)),
    ]


def _follow_lifeline() -> None:
    """End in good order when whoever started this process is no more, however it ended."""
    named = os.environ.pop(LIFELINE, "")
    if not named.isdecimal():
        return

    def watch() -> None:
        while os.read(int(named), 1):
            pass
        LOG.warning("whoever started this process is gone")
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def run(arguments: Sequence[str]) -> int:
    """Run the agent; the exit code is one of `libra_common.exits`."""
    read = partial(load, arguments, prog=PROG, check=faults)
    return live(PROG, read=read, make=OctaviaDaemon)
