"""An Instance that serves a controller's own text: one directory, one keeper, one HAProxy.

The controller uploads a text, which is checked and kept, and has it served by a start or a
reload. Each call either did what it says when it returns, or raises an `EngineError` and has
changed nothing: what was served before is served still.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from libra_common.crash import crash_point
from libra_haproxy import (
    commands,
    text_certificates,
    text_plan,
    text_rules,
    text_servers,
    text_stat,
)
from libra_haproxy.errors import EngineError, NoLoadBalancer, NotInForce
from libra_haproxy.keeper_client import KeeperClient
from libra_haproxy.leaving import Leaving
from libra_haproxy.ledger import Books
from libra_haproxy.loaded import Loaded
from libra_haproxy.process import Process
from libra_haproxy.readings import Snapshot
from libra_haproxy.store import Store
from libra_haproxy.text import Text, TextRefused, parse, refused, without
from libra_haproxy.text_check import complaints
from libra_haproxy.text_confirm import differences
from libra_haproxy.text_derive import Derived, TextPlace, derive
from libra_haproxy.text_stat import Stat
from libra_haproxy.text_store import Record, TextStore, Wanted

LOG = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How long a HAProxy may think when it is only asked how it is."""


class NotRunning(EngineError):
    """HAProxy should have been running and was not; the text names the process."""

    code = "haproxy_down"


class TextInstance:
    """One controller's text and its HAProxy.

    `place` says what the running file needs to know of the machine, for a name among peers;
    `owner` locks the directory for one door.
    """

    def __init__(
        self,
        *,
        store: TextStore,
        owner: Store,
        process: Process,
        keeper: KeeperClient,
        haproxy: Path,
        run_dir: Path,
        place: Callable[[str], TextPlace],
    ) -> None:
        self._store = store
        self._owner = owner
        self._process = process
        self._keeper = keeper
        self._haproxy = haproxy
        self._run_dir = run_dir
        self._place = place
        self._changes = threading.Lock()
        self._record: Record | None = None
        self._texts: dict[str, Text] = {}
        self._serving: Derived | None = None  # what HAProxy was last seen to serve
        self._leaving = Leaving()
        self._pid = 0

    # -- what it is ------------------------------------------------------------------------

    @property
    def record(self) -> Record | None:
        """The truth; a frozen value, None before the first text."""
        return self._record

    @property
    def admin_socket(self) -> Path:
        """Where HAProxy answers questions."""
        return self._run_dir / "admin.sock"

    @property
    def text(self) -> Text | None:
        """The text that is served, else the one that was uploaded last."""
        record = self._record
        return None if record is None else self._parsed(record.running or record.uploaded)

    def in_force(self) -> bool:
        """Whether HAProxy is seen to serve the text that was uploaded last.

        False too where a change is under way that does not end soon.
        """
        if not self._changes.acquire(timeout=LOOK_SECONDS):
            return False
        try:
            record, serving = self._record, self._serving
            if record is None or serving is None or record.wanted is not Wanted.STARTED:
                return False
            return record.running == record.uploaded and self._process.digest() == serving.digest
        except EngineError:
            return False
        finally:
            self._changes.release()

    def answers(self) -> bool:
        """Whether HAProxy answers on its socket, in any state."""
        try:
            return self._process.digest() is not None
        except EngineError:
            return False

    def stat(self) -> Stat | None:
        """HAProxy's own figures; None where it does not answer."""
        try:
            return text_stat.stat(self.admin_socket, seconds=LOOK_SECONDS)
        except EngineError:
            return None

    def books(self) -> Books:
        """What went through each frontend, over all processes. Raises HaproxyTimeout."""
        return self._process.books()

    # -- changes ---------------------------------------------------------------------------

    def open(self, door: str) -> None:
        """Own the directory in the name of `door` and bring HAProxy to the stored state.

        Where that cannot be served it is logged and tried on by the keeper. Raises InstanceInUse,
        DiskError or StateUnreadable.
        """
        self._owner.lock(door)
        with self._changes:
            self._record = record = self._store.load()
            if record is None:
                return
            if record.wanted is Wanted.DELETED:
                with contextlib.suppress(EngineError):
                    self._erase()
            elif record.wanted is Wanted.STARTED and record.running is not None:
                try:
                    self._bring(self._staged(record.running, record.peer), way=None)
                except EngineError as error:
                    LOG.error("the stored load balancer cannot be served yet: %s", error)

    def close(self) -> None:
        """Give the directory up; HAProxy goes on serving."""
        with self._changes:
            self._owner.unlock()

    def upload(self, source: str, *, peer: str) -> None:
        """Check a text exactly as it would run and keep it for the next start or reload.

        Raises TextRefused with HAProxy's complaints about it; the text is put aside then.
        """
        with self._changes:
            try:
                self._staged(source, peer)
            except TextRefused:
                if self._record is not None:
                    self._store.put_aside(source)
                raise
            self._save(replace(self._record or Record(uploaded=""), uploaded=source, peer=peer))

    def start(self) -> None:
        """Serve the uploaded text, by a start, a reload or changes at run time, as it needs."""
        with self._changes:
            self._take_over(self._must().uploaded)

    def stop(self) -> None:
        """Serve nothing until the next start. Raises NotRunning where HAProxy was gone already."""
        with self._changes:
            record = self._must()
            self._save(replace(record, wanted=Wanted.STOPPED))
            status = self._keeper.status()
            self._process.stop()
            self._serving = None
            if record.wanted is Wanted.STARTED and (status is None or status.pid is None):
                raise NotRunning(f"haproxy process with PID {self._pid} not found")

    def cut(self, listener: str) -> bool:
        """Take one listener out, the others serve on; False where it is the only one."""
        with self._changes:
            record = self._must()
            uploaded = without(self._parsed(record.uploaded), listener)
            if uploaded is None:
                return False
            running = record.running and without(self._parsed(record.running), listener)
            if running and record.wanted is Wanted.STARTED:
                self._take_over(running)
                record = self._must()
            self._save(replace(record, uploaded=uploaded, running=running))
            return True

    def delete(self) -> None:
        """Stop HAProxy and erase all that there was. Raises HaproxyTimeout where it goes on."""
        with self._changes:
            if self._record is not None:
                self._save(replace(self._record, wanted=Wanted.DELETED))
            self._erase()

    def look(self) -> None:
        """See after the keeper and after servers that wait for their last connection."""
        record = self._record
        if record is None or record.wanted is not Wanted.STARTED:
            return
        if not self._changes.acquire(blocking=False):
            return
        try:
            self._process.look()
            status = self._keeper.status()
            self._pid = (status and status.pid) or self._pid
            self._leaving.look(self._process.worker)
        except EngineError as error:
            LOG.warning("cannot look after HAProxy: %s", error)
        finally:
            self._changes.release()

    # -- the steps -------------------------------------------------------------------------

    def _must(self) -> Record:
        if self._record is None:
            raise NoLoadBalancer("there is no configuration yet")
        return self._record

    def _save(self, record: Record) -> None:
        self._store.save(record)
        self._record = record
        kept = {record.uploaded, record.running}
        self._texts = {source: text for source, text in self._texts.items() if source in kept}

    def _parsed(self, source: str) -> Text:
        found = self._texts.get(source)
        if found is None:
            found = self._texts[source] = parse(source)
        return found

    def _staged(self, source: str, peer: str) -> Derived:
        """Make the running file of a text and have HAProxy check it; it is not in force yet."""
        text, place = self._parsed(source), self._place(peer)
        found = text_rules.complaints(
            text, known=lambda word, path: place.files.local(word, path) is not None
        )
        if found:
            raise refused(found)
        derived = derive(text, place)
        file = self._store.stage(derived.text)
        said = complaints(haproxy=self._haproxy, config=file)
        if said is not None:
            raise TextRefused(derived.in_senders_words(said, file=file))
        return derived

    def _take_over(self, source: str) -> None:
        """Bring a text into force, or leave all as it was."""
        before = self._must()
        derived = self._staged(source, before.peer)
        way = self._way(before, source, derived)
        self._save(replace(before, running=source, wanted=Wanted.STARTED))
        try:
            self._bring(derived, way=way)
        except EngineError:
            self._go_back(before)
            raise

    def _go_back(self, before: Record) -> None:
        """Have what was in force before in force again, as far as that can be."""
        self._save(before)
        try:
            if before.wanted is Wanted.STARTED and before.running is not None:
                self._bring(self._staged(before.running, before.peer), way=None)
            else:
                self._process.stop()
        except EngineError as error:
            LOG.error("the load balancer from before the change cannot be served: %s", error)

    def _way(self, before: Record, source: str, derived: Derived) -> text_plan.TextPlan | None:
        """Changes at run time, where HAProxy is known to serve the text before."""
        known = self._serving
        if known is None or before.running is None:
            return None
        renewed = text_certificates.renewed(known.files, derived.files)
        if renewed is None:
            LOG.info("reloading: more than keys with their certificates has changed")
            return None
        if self._process.digest() != known.digest or self._leaving.too_many:
            return None
        way = text_plan.plan(self._parsed(before.running), self._parsed(source))
        if isinstance(way, str):
            LOG.info("reloading: %s", way)
            return None
        return replace(way, renewed=renewed)

    def _bring(self, derived: Derived, *, way: text_plan.TextPlan | None) -> None:
        """Have a staged file served, and read back that it is."""
        self._store.commit()
        record = self._must()
        text = self._parsed(record.running or record.uploaded)
        found = ["it is not served yet"]
        if self._process.digest() == derived.digest:
            found = self._differences(text, derived, self._process.worker.look())
        elif way is not None:
            found = self._change(way, derived, text)
        if found:
            self._process.serve(derived.digest, text_servers.checked(text))
            self._leaving.clear()
            found = self._differences(text, derived, self._process.worker.look())
        if found:
            raise NotInForce("HAProxy does not serve what was asked: " + "; ".join(found[:5]))
        self._serving = derived
        status = self._keeper.status()
        self._pid = (status and status.pid) or self._pid

    def _change(self, way: text_plan.TextPlan, derived: Derived, text: Text) -> list[str]:
        """Change servers at run time; gives what is not as asked then."""
        before = list(self._leaving.make_way(way.added))
        self._leaving.add(way.removed)
        try:
            text_certificates.renew(Loaded(self._process.worker), way.renewed)
            said, seen = self._process.worker.change(
                commands.lines([*before, *way.commands, commands.marking(derived.digest)])
            )
            crash_point("after_runtime")
            LOG.debug("HAProxy said: %s", said)
            return self._differences(text, derived, seen, changed=way.wanted)
        except EngineError as error:
            return [str(error)]

    def _differences(
        self,
        text: Text,
        derived: Derived,
        seen: Snapshot,
        changed: Mapping[tuple[str, str], text_plan.Server] = MappingProxyType({}),
    ) -> list[str]:
        """What HAProxy does not serve as the text says, one line each."""
        if seen.digest != derived.digest:
            return ["HAProxy answers from another text than the one it was given"]
        return differences(text, seen=seen, leaving=self._leaving, changed=changed)

    def _erase(self) -> None:
        self._process.stop()
        self._owner.unlock()
        self._store.erase()
        shutil.rmtree(self._run_dir, ignore_errors=True)
        self._record, self._serving = None, None
        self._texts.clear()
        self._leaving.clear()
