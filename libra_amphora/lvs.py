"""UDP and SCTP listeners: each has a keepalived that keeps its services in the kernel's IP_VS.

    state_dir/lvs/<id>.json            the text as it came, and the one in force
    run_dir/lvs/<12 digits>/           keepalived.conf, derived from it; its log and pid files

Traffic flows in the kernel: keepalived may die, and is started again at the next look, with the
same members meanwhile. A service is taken out when its listener is stopped, whoever left it there.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from libra_amphora import lvs_forward, lvs_report
from libra_amphora.check_user import check_user
from libra_amphora.files import private
from libra_amphora.growing import Growing
from libra_amphora.ip_vs import IpVs, Key
from libra_amphora.keepalived_process import CHECKERS, KeepalivedProcess
from libra_amphora.lvs_config import LvsConfig, read
from libra_amphora.lvs_errors import LvsError, LvsGone, NoIpVs, NoSuchLvsListener
from libra_amphora.lvs_listener import LvsListener, keys
from libra_amphora.lvs_store import Kept, LvsStore
from libra_amphora.namespace import Namespace
from libra_amphora.network_errors import NetworkError
from libra_amphora.plugged import IPAddress
from libra_amphora.reporting import pool_details
from libra_amphora.snapshot import Snapshot, Traffic
from libra_common.errors import LibraError

LOG = logging.getLogger(__name__)

_NAME_LENGTH = 12


class LvsListeners:
    """All of a node; `script_user` are the user and group that checks of members run as.

    `forward` has the kernel pass on what comes to some addresses, by a table of a name.
    """

    def __init__(
        self,
        *,
        program: Path,
        namespace: Namespace,
        run_dir: Path,
        state_dir: Path,
        script_user: tuple[str, str],
        ip_vs: IpVs | None = None,
        forward: Callable[[Namespace, str, list[IPAddress]], None] = lvs_forward.put,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._program = program
        self._namespace = namespace
        self._run_dir = run_dir / "lvs"
        self._store = LvsStore(state_dir / "lvs")
        self._script_user = check_user(script_user)
        self._ip_vs = ip_vs or IpVs(namespace)
        self._forward = forward
        self._clock = clock
        self._table = lvs_forward.table_of(state_dir)
        self._turn = threading.RLock()
        self._listeners: dict[str, LvsListener] = {}
        self._totals = Growing()

    # -- life --------------------------------------------------------------------------------

    def open(self) -> None:
        """Bring what was served into force; one that cannot be is told of and stays."""
        with self._turn:
            for id_ in self._store.ids():
                try:
                    kept = self._store.load(id_)
                    config = read((kept.running or kept.uploaded).encode())
                    self._listeners[id_] = self._made(id_, kept, config)
                except LibraError as error:
                    LOG.error("the listener %s cannot be opened: %s", id_, error)
            if any(one.wanted for one in self._listeners.values()):
                with _reported("are not passed on"):
                    self._pass_on()
            self.look()

    def look(self) -> None:
        """Start again what should run and does not, at once, and then ever more rarely."""
        with self._turn:
            now = self._clock()
            for one in self._listeners.values():
                if one.wanted and one.due(now):
                    LOG.warning("no keepalived runs for the listener %s: starting one", one.id)
                    with _reported("are not checked"):
                        one.run()

    # -- what a controller asks --------------------------------------------------------------

    def upload(self, id_: str, data: bytes) -> None:
        """Check a configuration and keep it for the next start or reload.

        Raises NoIpVs, LvsConfigRefused, KeepalivedFailed or DiskError; the present one stays then.
        """
        reason = self._ip_vs.why_not()
        if reason is not None:
            raise NoIpVs(reason)
        config = read(data)
        with self._turn:
            one = self._listeners.get(id_)
            kept = Kept(uploaded=config.text, running=one.kept.running if one else None)
            made = one or self._made(id_, kept, config)
            try:
                made.check(config)
                self._store.save(id_, kept)
            except LibraError:
                if one is None:
                    made.erase()
                raise
            made.kept = kept
            if not made.wanted:
                made.config = config
            self._listeners[id_] = made

    def text(self, id_: str) -> str:
        """The configuration as it came. Raises NoSuchLvsListener."""
        return self._must(id_).kept.uploaded

    def in_force(self, id_: str) -> bool:
        """Whether the text is served now, as far as the kernel shows. Raises NoSuchLvsListener."""
        with self._turn:
            one = self._must(id_)
            config, serves = one.config, one.kept.running == one.kept.uploaded and one.runs
        if not (serves and config.services):
            return serves
        try:
            return lvs_report.in_force(config, self._ip_vs.table(), self._ip_vs.ways())
        except LvsError as error:
            LOG.error("nothing can be said of UDP and SCTP listeners: %s", error)
            return False

    def ids(self) -> tuple[str, ...]:
        """All of them, in order."""
        return tuple(sorted(self._listeners.copy()))

    def has(self, id_: str) -> bool:
        """Whether there is such a listener."""
        return id_ in self._listeners

    def start(self, id_: str) -> None:
        """Serve what was uploaded last, or leave all as it was.

        Raises NoSuchLvsListener, LvsError, KeepalivedFailed or DiskError.
        """
        with self._turn:
            one = self._must(id_)
            before, config = one.config, read(one.kept.uploaded.encode())
            self._must_be_free(one, config)
            if not one.runs and one.kept.running != one.kept.uploaded:
                self._clear(one.keys)  # nobody has kept it up to date
            one.config = config
            try:
                self._pass_on(config)
                one.run()
                self._clear(keys(before) - one.keys)
                kept = replace(one.kept, running=one.kept.uploaded)
                self._store.save(id_, kept)
            except LibraError:
                one.config = before
                raise
            one.kept = kept

    def stop(self, id_: str) -> None:
        """Serve it no longer. Raises NoSuchLvsListener, LvsError, or LvsGone where it was dead."""
        with self._turn:
            one = self._must(id_)
            wanted, pid = one.wanted, one.last_pid
            kept = replace(one.kept, running=None)
            self._store.save(id_, kept)
            one.kept = kept
            ran = one.stop()
            self._clear(one.keys)
            with _reported("are still passed on"):
                self._pass_on()
            if wanted and not ran:
                raise LvsGone(f"keepalived process with PID {pid} not found")

    def delete(self, id_: str) -> bool:
        """Stop it and erase all of it; whether there was one. Raises LvsError or DiskError."""
        with self._turn:
            if id_ not in self._listeners:
                return False
            with contextlib.suppress(LvsGone):
                self.stop(id_)
            self._store.forget(id_)
            self._totals.forget(id_)
            self._listeners.pop(id_).erase()
            return True

    # -- what is said of them ----------------------------------------------------------------

    def addresses(self) -> tuple[IPAddress, ...]:
        """Where clients of all of them come to, each once."""
        configs = (one.config for one in self._all())
        return tuple(dict.fromkeys(found for config in configs for found in config.addresses))

    @property
    def any(self) -> bool:
        """Whether there is a listener; costs nothing."""
        return bool(self._listeners)

    def statuses(self) -> list[dict[str, str]]:
        """Each listener's status, id and type."""
        return [lvs_report.status(one.view) for one in self._all()]

    def details(self, id_: str) -> dict[str, object] | None:
        """One listener's status with its pool and members; None where there is none."""
        found = next((one for one in self._all() if one.id == id_), None)
        if found is None:
            return None
        pools = [pool for pool in self.snapshot().pools if pool.listener_id == id_]
        return {**lvs_report.status(found.view), "pools": [pool_details(pool) for pool in pools]}

    def snapshot(self) -> Snapshot:
        """All listeners and pools at this moment; no HAProxy is among them."""
        views = [one.view for one in self._all()]
        if not views:
            return Snapshot()
        try:
            table, traffic = self._ip_vs.table(), self._ip_vs.traffic()
        except LvsError as error:
            LOG.error("nothing can be said of UDP and SCTP listeners: %s", error)
            table, traffic = {}, {}
        return lvs_report.snapshot(views, table=table, traffic=traffic, total=self._total)

    # -- in parts ----------------------------------------------------------------------------

    def _all(self) -> list[LvsListener]:
        return list(self._listeners.copy().values())

    def _must(self, id_: str) -> LvsListener:
        found = self._listeners.get(id_)
        if found is None:
            raise NoSuchLvsListener(f"No UDP listener with UUID: {id_}")
        return found

    def _made(self, id_: str, kept: Kept, config: LvsConfig) -> LvsListener:
        short = hashlib.sha256(id_.encode()).hexdigest()[:_NAME_LENGTH]
        process = KeepalivedProcess(
            program=self._program,
            run_dir=private(self._run_dir / short),
            inside=self._namespace.run,
            part=CHECKERS,
        )
        return LvsListener(
            id_=id_, process=process, script_user=self._script_user, kept=kept, config=config
        )

    def _must_be_free(self, one: LvsListener, config: LvsConfig) -> None:
        for other in self._all():
            if other is not one and other.wanted:
                for protocol, (address, port) in other.keys & keys(config):
                    raise LvsError(f"another listener has {protocol} port {port} of {address}")

    def _clear(self, gone: set[Key]) -> None:
        for key in gone:
            self._ip_vs.remove(key)

    def _pass_on(self, *more: LvsConfig) -> None:
        """Have the kernel pass on what comes for listeners that run, and answers to it."""
        configs = (*(one.config for one in self._all() if one.wanted), *more)
        found = dict.fromkeys(address for config in configs for address in config.addresses)
        try:
            self._forward(self._namespace, self._table, list(found))
        except NetworkError as error:
            raise LvsError(str(error)) from error

    def _total(self, id_: str, key: Key, traffic: Traffic) -> Traffic:
        """Over all services that the kernel had for a listener."""

        def grown(name: str, value: int) -> int:
            return self._totals.seen((id_, key, name), value)

        return replace(
            traffic,
            bytes_in=grown("in", traffic.bytes_in),
            bytes_out=grown("out", traffic.bytes_out),
            total_connections=grown("connections", traffic.total_connections),
        )


@contextlib.contextmanager
def _reported(what: str) -> Iterator[None]:
    try:
        yield
    except LibraError as error:
        LOG.error("UDP and SCTP listeners %s: %s", what, error)
