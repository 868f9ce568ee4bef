"""Puts a TextInstance together from plain settings: the one place that knows all its parts."""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from libra_haproxy import downs
from libra_haproxy.downs import Downs
from libra_haproxy.keeper_client import KeeperClient
from libra_haproxy.logbounds import Bounds
from libra_haproxy.privileges import identity, own
from libra_haproxy.process import Process
from libra_haproxy.runtime import Master, Worker
from libra_haproxy.store import Store
from libra_haproxy.text_derive import Files, TextPlace
from libra_haproxy.text_instance import TextInstance
from libra_haproxy.text_service import TextService
from libra_haproxy.text_store import TextStore


@dataclass(frozen=True, kw_only=True)
class TextInstanceSettings:
    """Where an Instance lives and how its HAProxy runs.

    `state_dir` outlives reboots, `run_dir` need not; `netns` is the network namespace of its
    traffic, empty for this process's own; `ping` the program for health checks by ping.
    """

    haproxy: Path
    state_dir: Path
    run_dir: Path
    user: str = ""
    group: str = ""
    netns: str = ""
    ping: Path | None = None
    maxconn: int = 50_000


def make_text_instance(settings: TextInstanceSettings, *, files: Files) -> TextInstance:
    """Build the Instance; nothing is opened or started yet.

    Raises StartFailed for an unknown user or group, DiskError where `run_dir` cannot be used.
    """
    who = replace(identity(user=settings.user, group=settings.group), netns=settings.netns)
    owner = Store(directory=settings.state_dir, group=who.group)
    store = TextStore(directory=settings.state_dir, group=who.group)
    own(settings.run_dir, who)
    own(owner.ledger.parent, who)
    own(settings.state_dir / "logs", who)
    keeper = KeeperClient(
        run_dir=settings.run_dir,
        config=store.config,
        ledger=owner.ledger,
        logs=settings.state_dir / "logs",
        log_bounds=Bounds(),
        haproxy=settings.haproxy,
        identity=who,
    )
    process = Process(
        keeper=keeper,
        master=Master(socket_path=settings.run_dir / "master.sock"),
        worker=Worker(socket_path=settings.run_dir / "admin.sock"),
        downs=Downs(settings.run_dir / downs.NAME),
    )
    service = TextService(
        store=store,
        process=process,
        keeper=keeper,
        haproxy=settings.haproxy,
        place=_place(settings, files),
    )
    return TextInstance(store=store, owner=owner, service=service, run_dir=settings.run_dir)


def _place(settings: TextInstanceSettings, files: Files) -> Callable[[str], TextPlace]:
    # The keeper raises its limit to the hard one, which is ours.
    open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    def place(peer: str) -> TextPlace:
        return TextPlace(
            admin_socket=settings.run_dir / "admin.sock",
            peer=peer,
            maxconn=settings.maxconn,
            open_files=open_files,
            files=files,
            ping=settings.ping,
        )

    return place
