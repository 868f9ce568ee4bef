"""Puts an Instance together from plain settings: the one place that knows all its parts."""

from __future__ import annotations

import resource
from dataclasses import dataclass, field
from pathlib import Path

from libra_haproxy import downs
from libra_haproxy.downs import Downs
from libra_haproxy.instance import Instance
from libra_haproxy.keeper_client import KeeperClient
from libra_haproxy.lingering import Lingering
from libra_haproxy.logbounds import Bounds
from libra_haproxy.logshelf import LogShelf
from libra_haproxy.ports import default_bind
from libra_haproxy.privileges import Identity, identity, own
from libra_haproxy.process import Process
from libra_haproxy.runtime import Master, Worker
from libra_haproxy.service import Service
from libra_haproxy.store import Store


@dataclass(frozen=True, kw_only=True)
class InstanceSettings:
    """Where an Instance lives and how its HAProxy runs.

    `state_dir` and `log_dir` outlive reboots, `run_dir` need not. Access logs are written below
    `log_dir` and kept within `log_bounds`; where a `logfile` is given, HAProxy logs to
    `syslog_socket` and they are taken from that file. `bind` are IP addresses, none meaning all.
    `user` and `group` are changed to when the daemon is root. `maxconn` is the most connections.
    `linger` is how long those of a replaced process may go on, in seconds. With `keeper_service`
    the keeper is a service of its own, see `KeeperClient`.
    """

    haproxy: Path
    state_dir: Path
    run_dir: Path
    log_dir: Path
    log_bounds: Bounds = field(default_factory=Bounds)
    bind: tuple[str, ...] = ()
    user: str = ""
    group: str = ""
    maxconn: int = 20_000
    logfile: Path | None = None
    syslog_socket: Path = Path("/dev/log")
    linger: float = 43_200.0
    keeper_service: bool = False


def make_instance(settings: InstanceSettings) -> Instance:
    """Build the Instance; nothing is opened or started yet.

    Raises StartFailed for an unknown user or group, DiskError where `run_dir` cannot be used.
    """
    who = identity(user=settings.user, group=settings.group)
    store = Store(directory=settings.state_dir, group=who.group)
    keeper = _keeper(settings, store, who)
    admin_socket = settings.run_dir / "admin.sock"
    master = Master(socket_path=settings.run_dir / "master.sock")
    service = Service(
        process=Process(
            keeper=keeper,
            master=master,
            worker=Worker(socket_path=admin_socket),
            downs=Downs(admin_socket.with_name(downs.NAME)),
        ),
        syslog=settings.syslog_socket if settings.logfile else None,
        logs=LogShelf(_logs(settings), seal=keeper.seal, bounds=settings.log_bounds),
        haproxy=settings.haproxy,
        bind=settings.bind or default_bind(),
        admin_socket=admin_socket,
        certificates=store.certificates,
        lingering=Lingering(master=master, seconds=settings.linger),
        maxconn=settings.maxconn,
        open_files=lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[1],
    )
    return Instance(store=store, service=service)


def make_keeper(settings: InstanceSettings) -> KeeperClient:
    """Build what speaks to the keeper of the Instance alone. Raises as `make_instance` does."""
    who = identity(user=settings.user, group=settings.group)
    return _keeper(settings, Store(directory=settings.state_dir, group=who.group), who)


def _keeper(settings: InstanceSettings, store: Store, who: Identity) -> KeeperClient:
    # HAProxy's user may write in these, and nothing else is there.
    for directory in (settings.run_dir, store.ledger.parent, _logs(settings)):
        own(directory, who)
    return KeeperClient(
        run_dir=settings.run_dir,
        config=store.config,
        ledger=store.ledger,
        logs=_logs(settings),
        log_bounds=settings.log_bounds,
        logfile=settings.logfile,
        haproxy=settings.haproxy,
        identity=who,
        is_service=settings.keeper_service,
    )


def _logs(settings: InstanceSettings) -> Path:
    return settings.log_dir / "access"
