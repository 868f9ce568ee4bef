"""The load balancers of a node: one Instance each, by the id under which its text came.

The id is a load balancer's (1.0) or a listener's (v0.1); both are looked after alike.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from libra_amphora import reporting
from libra_amphora.certificates import Certificates
from libra_amphora.conf import PROG, AmphoraSettings
from libra_amphora.growing import Growing
from libra_amphora.lvs import LvsListeners
from libra_amphora.reporting import View
from libra_amphora.resting import Resting
from libra_amphora.snapshot import Listener, Pool, Snapshot, Traffic
from libra_common.errors import LibraError
from libra_haproxy.errors import EngineError
from libra_haproxy.ledger import COLUMNS
from libra_haproxy.text import Section, TextRefused, addresses, everywhere, kind, parse
from libra_haproxy.text_derive import named_files
from libra_haproxy.text_instance import TextInstance
from libra_haproxy.text_opening import TextInstanceSettings, make_text_instance
from libra_haproxy.text_stat import number
from libra_haproxy.text_store import Record, Wanted

LOG = logging.getLogger(__name__)

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_NAME_LENGTH = 12
_ASKERS = 8
_TOTALS = tuple(COLUMNS.index(name) for name in ("bin", "bout", "stot"))


class Balancers:
    """All Instances below the settings' `state_dir`; `lvs` are the listeners that need none."""

    def __init__(
        self,
        *,
        settings: AmphoraSettings,
        certificates: Certificates,
        ping: Path | None,
        lvs: LvsListeners,
    ) -> None:
        self._lvs = lvs
        self._settings = settings
        self._certificates = certificates
        self._ping = ping
        self._directory = settings.own.state_dir / "balancers"
        self._lock = threading.Lock()
        self._instances: dict[str, TextInstance] = {}
        self._errors = Growing()
        self._resting = Resting()
        self._askers = ThreadPoolExecutor(_ASKERS, "ask")

    def open(self) -> None:
        """Bring all that is stored into force; one that cannot be is told of and stays."""
        for path in sorted(self._directory.glob("*")):
            if not _ID.fullmatch(path.name):
                continue
            try:
                instance = self._make(path.name)
                instance.open(PROG)
            except LibraError as error:
                LOG.error("load balancer %s cannot be opened: %s", path.name, error)
                continue
            if instance.record is None:
                with suppress(EngineError):
                    instance.delete()
            else:
                self._instances[path.name] = instance

    def close(self) -> None:
        """Give all of them up; traffic goes on."""
        for instance in self._all().values():
            instance.close()
        self._askers.shutdown(wait=False)

    def find(self, id_: str) -> TextInstance | None:
        """The Instance of an id."""
        return self._instances.get(id_)

    def upload(self, id_: str, source: str, *, peer: str) -> None:
        """Check and keep a text for an id, which may be new. Raises what `upload` of it does."""
        with self._lock:
            instance = self._instances.get(id_)
            if instance is None:
                instance = self._make(id_)
                instance.open(PROG)
                self._instances[id_] = instance
        try:
            instance.upload(source, peer=peer)
        except EngineError:
            with self._lock:
                if instance.record is None and self._instances.get(id_) is instance:
                    del self._instances[id_]
                    instance.delete()
            raise

    def delete(self, id_: str) -> bool:
        """Remove a load balancer, or one listener of one; whether there was such a thing.

        The others of its listeners serve on. Raises EngineError where HAProxy cannot be stopped.
        """
        instance = self.find(id_)
        if instance is not None or self._certificates.known(id_):
            if instance is not None:
                instance.delete()
                with self._lock:
                    if self._instances.get(id_) is instance:
                        del self._instances[id_]
            self._certificates.drop(id_)
            self._errors.forget(id_)
            self._resting.forget(id_)
            return True
        if self._lvs.delete(id_):
            return True
        for owner, other in self._all().items():
            view = self._view(owner, other)
            if view is not None and id_ in reporting.listeners(view):
                before = _named(other)
                if not other.cut(id_):
                    return self.delete(owner)
                self._certificates.drop_unused(owner, before, _named(other))
                return True
        return False

    def addresses(self, id_: str | None = None) -> tuple[str, ...]:
        """The addresses that clients of one load balancer come to, or those of all."""
        found: dict[str, None] = {}
        for name, instance in self._all().items():
            text = instance.text
            if text is not None and id_ in (None, name):
                found.update(dict.fromkeys(addresses(text)))
        if id_ is None:
            found.update(dict.fromkeys(map(str, self._lvs.addresses())))
        return tuple(found)

    def listen_everywhere(self) -> bool:
        """Whether any listens at whatever address the node has."""
        texts = (instance.text for instance in self._all().values())
        return any(text is not None and everywhere(text) for text in texts)

    def tell(self, backend: str) -> bool:
        """Whether any has a backend of this name."""
        for instance in self._all().values():
            with suppress(TextRefused):
                text = instance.text
                if text is not None and any(one.name == backend for one in text.backends):
                    return True
        return False

    def admin_sockets(self) -> tuple[Path, ...]:
        """The sockets of the HAProxys that should run."""
        return tuple(
            instance.admin_socket
            for instance in self._all().values()
            if instance.record is not None and instance.record.wanted is Wanted.STARTED
        )

    def look(self) -> None:
        """See after all of them."""
        for instance in self._all().values():
            instance.look()

    # -- what is said of them ----------------------------------------------------------------

    def statuses(self) -> list[dict[str, str]]:
        """Each listener's status, id and type."""
        records = self._records()
        found: list[dict[str, str]] = []
        for view in self._views():
            statuses = [
                {
                    "status": reporting.status(view, frontend),
                    "uuid": id_,
                    "type": kind(view.text, frontend),
                }
                for id_, frontend in reporting.listeners(view).items()
            ]
            found += statuses
            record = records.get(view.id)
            if record is not None and not view.should_run:
                self._resting.keep(view.id, record, source=view.text.source, statuses=statuses)
        return found + self._lvs.statuses()

    def resting(self) -> list[dict[str, str]] | None:
        """The statuses, where they are known without asking or waiting for anybody; else None."""
        return None if self._lvs.any else self._resting.all(self._records())

    def details(self, id_: str) -> dict[str, object] | None:
        """One listener's status with its pools and members; None where there is none."""
        for name, instance in self._all().items():
            view = self._view(name, instance)
            if view is None:
                continue
            found: dict[str, Section] = reporting.listeners(view)
            if id_ in found:
                return reporting.details(view, id_, found[id_])
        return self._lvs.details(id_)

    def snapshot(self) -> Snapshot:
        """All listeners and pools at this moment."""
        listeners: list[Listener] = []
        pools: list[Pool] = []
        running, complete = 0, True
        for view in self._views(with_totals=True):
            running += view.stat is not None
            complete = complete and (view.stat is not None or not view.should_run)
            listeners += [
                reporting.listener(view, id_, frontend)
                for id_, frontend in reporting.listeners(view).items()
            ]
            pools += reporting.pools(view) if view.should_run else []
        lvs = self._lvs.snapshot()
        return Snapshot(
            listeners=(*listeners, *lvs.listeners),
            pools=(*pools, *lvs.pools),
            haproxy_count=running,
            complete=complete,
        )

    def _views(self, *, with_totals: bool = False) -> list[View]:
        """All of them, asked side by side: one that hangs must not make the others late."""

        def view(one: tuple[str, TextInstance]) -> View | None:
            return self._view(*one, with_totals=with_totals)

        instances = sorted(self._all().items())
        # One alone makes no other late, and a thread for it costs more than most answers.
        found = self._askers.map(view, instances) if len(instances) > 1 else map(view, instances)
        return [one for one in found if one is not None]

    def _view(self, id_: str, instance: TextInstance, *, with_totals: bool = False) -> View | None:
        record = instance.record
        try:
            text = instance.text
        except TextRefused as error:
            LOG.error("the stored text of %s cannot be read: %s", id_, error)
            return None
        if record is None or text is None:
            return None
        should_run = record.wanted is Wanted.STARTED
        view = View(
            id=id_, text=text, should_run=should_run, stat=instance.stat() if should_run else None
        )
        if not with_totals:
            return view
        try:
            totals = instance.books().totals
        except EngineError:
            return view

        def of(frontend: str) -> Traffic:
            counts = totals.get(frontend, ())
            first, second, third = (counts[i] if i < len(counts) else 0 for i in _TOTALS)
            row = view.stat.frontends.get(frontend, {}) if view.stat else {}
            return Traffic(
                bytes_in=first,
                bytes_out=second,
                connections=number(row, "scur"),
                total_connections=third,
                request_errors=self._errors.seen((id_, frontend), number(row, "ereq")),
            )

        return replace(view, traffic=of)

    def _records(self) -> dict[str, Record | None]:
        # Without the lock, behind which files are written: the loop of the API asks too.
        return {id_: instance.record for id_, instance in self._instances.copy().items()}

    def _all(self) -> dict[str, TextInstance]:
        with self._lock:
            return dict(self._instances)

    def _make(self, id_: str) -> TextInstance:
        settings = self._settings
        # Short, since sockets lie below and their paths end at 107 bytes.
        short = hashlib.sha256(id_.encode()).hexdigest()[:_NAME_LENGTH]
        return make_text_instance(
            TextInstanceSettings(
                haproxy=settings.haproxy.haproxy_cmd,
                state_dir=self._directory / id_,
                run_dir=settings.own.run_dir / short,
                user=settings.own.user,
                group=settings.own.group,
                netns=settings.own.netns,
                ping=self._ping,
            ),
            files=self._certificates.of(id_),
        )


def _named(instance: TextInstance) -> frozenset[tuple[str, str]]:
    """The files that an Instance's texts name, those in force and those that wait."""
    record = instance.record
    texts = (record.uploaded, record.running) if record else ()
    return frozenset(one for text in texts if text for one in named_files(parse(text)))
