"""Puts an Instance together from plain settings: the one place that knows all its parts."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass, field
from pathlib import Path

from libra_haproxy import downs
from libra_haproxy.downs import Downs
from libra_haproxy.errors import DiskError
from libra_haproxy.instance import Instance
from libra_haproxy.keeper_client import KeeperClient
from libra_haproxy.lingering import Lingering
from libra_haproxy.logbounds import Bounds
from libra_haproxy.logshelf import LogShelf
from libra_haproxy.ports import default_bind
from libra_haproxy.privileges import Identity, identity
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
    `linger` is how long those of a replaced process may go on, in seconds.
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


def make_instance(settings: InstanceSettings) -> Instance:
    """Build the Instance; nothing is opened or started yet.

    Raises StartFailed for an unknown user or group, DiskError where `run_dir` cannot be used.
    """
    who = identity(user=settings.user, group=settings.group)
    store = Store(directory=settings.state_dir, group=who.group)
    _own(settings.run_dir, who)
    _own(store.ledger.parent, who)
    # A directory of its own: HAProxy's user may write in it, and nothing else is there.
    logs = settings.log_dir / "access"
    _own(logs, who)
    admin_socket = settings.run_dir / "admin.sock"
    keeper = KeeperClient(
        run_dir=settings.run_dir,
        config=store.config,
        ledger=store.ledger,
        logs=logs,
        log_bounds=settings.log_bounds,
        logfile=settings.logfile,
        haproxy=settings.haproxy,
        identity=who,
    )
    master = Master(socket_path=settings.run_dir / "master.sock")
    service = Service(
        process=Process(
            keeper=keeper,
            master=master,
            worker=Worker(socket_path=admin_socket),
            downs=Downs(admin_socket.with_name(downs.NAME)),
        ),
        syslog=settings.syslog_socket if settings.logfile else None,
        logs=LogShelf(logs, seal=keeper.seal, bounds=settings.log_bounds),
        haproxy=settings.haproxy,
        bind=settings.bind or default_bind(),
        admin_socket=admin_socket,
        certificates=store.certificates,
        lingering=Lingering(master=master, seconds=settings.linger),
        maxconn=settings.maxconn,
        open_files=lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[1],
    )
    return Instance(store=store, service=service)


def _own(directory: Path, who: Identity) -> None:
    """Make a directory that HAProxy and its keeper write in, and nobody else."""
    try:
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        if who.user is not None and who.group is not None:
            os.chown(directory, who.user, who.group)
            directory.chmod(0o770)
    except OSError as error:
        raise DiskError(f"cannot use {directory}: {error.strerror}") from error
