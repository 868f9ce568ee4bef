"""What only a look outside can find wrong with the settings of an agent, for --check-config."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from sqlalchemy import text

from libra_common.authority import Authority, AuthorityError
from libra_common.errors import LibraError, SettingsError
from libra_common.jobs import NoServer, servers_of, tls_of
from libra_common.jobs.dial import dial
from libra_common.jobs.proof import prove
from libra_common.pidfile import is_held
from libra_common.settings import Settings
from libra_octavia.health.receiver import listen
from libra_octavia.inventory import Database
from libra_octavia.inventory.migrate import is_known

_CONNECT_SECONDS = 3.0
_DAYS = 30
"""An authority that ends before that is told of."""


def faults(settings: Settings) -> Iterator[str]:
    """One sentence for each thing that is missing or wrong; changes nothing."""
    yield from _inventory(settings)
    yield from _sockets(settings.octavia.driver_agent_sockets)
    yield from _gearmand(settings)
    if not settings.octavia.devices:
        yield from _authority(settings.octavia.ca_dir)
    yield from _heartbeats(settings)


def _inventory(settings: Settings) -> Iterable[str]:
    ours = settings.octavia
    try:
        database = Database(ours.inventory)
    except SettingsError as error:
        yield f"[octavia] inventory: {error}"
        return
    file = database.url.database if database.url.get_backend_name() == "sqlite" else None
    if file is not None and ours.controllers > 1:
        yield (
            f"[octavia] controllers = {ours.controllers}: SQLite serves one machine alone;"
            " [octavia] inventory must be in PostgreSQL where there are more"
        )
    if file is not None and not Path(file).exists():
        # The agent will make it.
        if not os.access(Path(file).parent, os.W_OK | os.X_OK):
            yield f"[octavia] inventory: {Path(file).parent} is no folder that this user may write"
        return
    try:
        with database.read() as connection:
            connection.execute(text("SELECT 1"))
        if not is_known(database):
            yield ("[octavia] inventory: is of a newer release of Libra, which this one cannot use")
    except LibraError as error:
        yield f"[octavia] inventory: {error}"
    finally:
        database.close()


def _sockets(folder: Path) -> Iterable[str]:
    named = f"[octavia] driver_agent_sockets = {str(folder)!r}"
    for path in (folder / f"{name}.sock" for name in ("status", "stats", "get")):
        if not path.is_socket():
            yield f"{named}: there is no {path.name}; does Octavia's driver-agent run?"
        elif not os.access(path, os.R_OK | os.W_OK):
            yield f"{named}: this user may not use {path.name}; its owner is driver-agent's user"


def _gearmand(settings: Settings) -> Iterable[str]:
    try:
        tls = tls_of(settings.gearman)
    except SettingsError as error:
        yield from error.faults
        return
    for server in servers_of(settings.gearman):
        try:
            if tls is None:
                dial(server, timeout=_CONNECT_SECONDS).close()
                continue
            faults_of_tls = prove(server, tls)
        except OSError as error:
            yield f"[gearman] servers: {server} cannot be reached: {error.strerror or error}"
        except NoServer as error:
            yield f"[gearman] servers: {server} cannot be reached: {error}"
        else:
            yield from (f"[gearman] servers = {server}: {fault}" for fault in faults_of_tls)


def _authority(folder: Path) -> Iterable[str]:
    named = f"[octavia] ca_dir = {str(folder)!r}"
    if not (folder / "ca.pem").exists():
        # It is made when the first device is built.
        above = next(path for path in (folder, *folder.parents) if path.exists())
        if not os.access(above, os.W_OK | os.X_OK):
            yield f"{named}: is not there, and this user may not make it"
        return
    try:
        ends = Authority.open(folder).not_after
    except AuthorityError as error:
        yield f"{named}: {error}"
        return
    left = (ends - datetime.datetime.now(datetime.UTC)).days
    if left < 0:
        yield f"{named}: the authority ended on {ends:%Y-%m-%d}, no device can be reached any more"
    elif left < _DAYS:
        yield f"{named}: the authority ends in {left} days, on {ends:%Y-%m-%d}"
    if not os.access(folder / "issued", os.W_OK | os.X_OK):
        yield f"{named}: this user may not write into its folder 'issued'"


def _heartbeats(settings: Settings) -> Iterable[str]:
    ours = settings.octavia
    if not ours.heartbeat_key:
        yield (
            "[octavia] heartbeat_key: is empty, so Octavia would show neither health nor"
            " statistics of load balancers"
        )
        return
    if not ours.heartbeat_controllers:
        yield (
            "[octavia] heartbeat_controllers: is empty, so devices would not know where to send"
            " heartbeats"
        )
    if is_held(ours.pid):
        return  # and has that address
    try:
        listen(ours.heartbeat_bind).close()
    except OSError as error:
        yield (
            f"[octavia] heartbeat_bind = {ours.heartbeat_bind}: cannot be listened at:"
            f" {error.strerror or error}"
        )
