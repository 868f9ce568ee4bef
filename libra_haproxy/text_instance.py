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
from dataclasses import replace
from pathlib import Path

from libra_haproxy import text_stat
from libra_haproxy.errors import EngineError, NoLoadBalancer
from libra_haproxy.ledger import Books
from libra_haproxy.store import Store
from libra_haproxy.text import Text, TextRefused, without
from libra_haproxy.text_service import TextService
from libra_haproxy.text_stat import Stat
from libra_haproxy.text_store import Record, TextStore, Wanted

LOG = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How long a HAProxy may think when it is only asked how it is."""


class NotRunning(EngineError):
    """HAProxy should have been running and was not; the text names the process."""

    code = "haproxy_down"


class TextInstance:
    """One controller's text and its HAProxy; `owner` locks the directory for one door."""

    def __init__(
        self, *, store: TextStore, owner: Store, service: TextService, run_dir: Path
    ) -> None:
        self._store = store
        self._owner = owner
        self._service = service
        self._run_dir = run_dir
        self._changes = threading.Lock()
        self._record: Record | None = None

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
        return None if record is None else self._service.parsed(record.running or record.uploaded)

    def in_force(self) -> bool:
        """Whether HAProxy is seen to serve the text that was uploaded last.

        False too where a change is under way that does not end soon.
        """
        if not self._changes.acquire(timeout=LOOK_SECONDS):
            return False
        try:
            record = self._record
            if record is None or record.wanted is not Wanted.STARTED:
                return False
            return record.running == record.uploaded and self._service.serves_the_last()
        except EngineError:
            return False
        finally:
            self._changes.release()

    def answers(self) -> bool:
        """Whether HAProxy answers on its socket, in any state."""
        try:
            return self._service.answers()
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
        return self._service.books()

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
                    self._bring(record.running, record.peer)
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
                self._service.staged(source, peer)
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
            was_there = self._service.is_there()
            self._service.stop()
            if record.wanted is Wanted.STARTED and not was_there:
                raise NotRunning(f"haproxy process with PID {self._service.pid} not found")

    def cut(self, listener: str) -> bool:
        """Take one listener out, the others serve on; False where it is the only one."""
        with self._changes:
            record = self._must()
            uploaded = without(self._service.parsed(record.uploaded), listener)
            if uploaded is None:
                return False
            running = record.running and without(self._service.parsed(record.running), listener)
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
            self._service.look()
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
        self._service.forget_but({record.uploaded, record.running})

    def _take_over(self, source: str) -> None:
        """Bring a text into force, or leave all as it was."""
        before = self._must()
        derived = self._service.staged(source, before.peer)
        way = self._service.way(before.running, source, derived)
        self._save(replace(before, running=source, wanted=Wanted.STARTED))
        try:
            self._service.bring_into_force(source, derived, way=way)
        except EngineError:
            self._go_back(before)
            raise

    def _go_back(self, before: Record) -> None:
        """Have what was in force before in force again, as far as that can be."""
        self._save(before)
        try:
            if before.wanted is Wanted.STARTED and before.running is not None:
                self._bring(before.running, before.peer)
            else:
                self._service.stop()
        except EngineError as error:
            LOG.error("the load balancer from before the change cannot be served: %s", error)

    def _bring(self, source: str, peer: str) -> None:
        """Have a stored text served, whatever is now."""
        self._service.bring_into_force(source, self._service.staged(source, peer), way=None)

    def _erase(self) -> None:
        self._service.stop()
        self._owner.unlock()
        self._store.erase()
        shutil.rmtree(self._run_dir, ignore_errors=True)
        self._record = None
        self._service.forget()
