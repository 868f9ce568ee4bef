"""A controller's text and the HAProxy that is to serve it: what one has to do with the other.

Knows nothing of what was uploaded or is wanted; `TextInstance` decides which text shall be
served, this has it checked, says whether it is served, and makes it so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from libra_common.crash import crash_point
from libra_haproxy import commands, text_certificates, text_plan, text_rules, text_servers
from libra_haproxy.errors import EngineError, NotInForce
from libra_haproxy.keeper_client import KeeperClient
from libra_haproxy.leaving import Leaving
from libra_haproxy.ledger import Books
from libra_haproxy.loaded import Loaded
from libra_haproxy.process import Process
from libra_haproxy.readings import Snapshot
from libra_haproxy.text import Text, TextRefused, parse, refused
from libra_haproxy.text_check import complaints
from libra_haproxy.text_confirm import differences
from libra_haproxy.text_derive import Derived, TextPlace, derive
from libra_haproxy.text_store import TextStore

LOG = logging.getLogger(__name__)


class TextService:
    """Serves texts by one HAProxy.

    `place` says what the running file needs to know of the machine, for a name among peers.
    """

    def __init__(
        self,
        *,
        store: TextStore,
        process: Process,
        keeper: KeeperClient,
        haproxy: Path,
        place: Callable[[str], TextPlace],
    ) -> None:
        self._store = store
        self._process = process
        self._keeper = keeper
        self._haproxy = haproxy
        self._place = place
        self._texts: dict[str, Text] = {}
        self._serving: Derived | None = None  # what HAProxy was last seen to serve
        self._leaving = Leaving()
        self.pid = 0
        """HAProxy's, as it was last seen; 0 before that."""

    def parsed(self, source: str) -> Text:
        """A text's sections and facts. Raises TextRefused."""
        found = self._texts.get(source)
        if found is None:
            found = self._texts[source] = parse(source)
        return found

    def forget_but(self, sources: Collection[str | None]) -> None:
        """Remember nothing of texts but of these."""
        self._texts = {source: text for source, text in self._texts.items() if source in sources}

    def staged(self, source: str, peer: str) -> Derived:
        """Make the running file of a text and have HAProxy check it; it is not in force yet.

        Raises TextRefused in the sender's words, or what stands in the way of the check.
        """
        text, place = self.parsed(source), self._place(peer)
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

    def way(self, before: str | None, source: str, derived: Derived) -> text_plan.TextPlan | None:
        """Changes at run time from the text `before`, where HAProxy is known to serve that."""
        known = self._serving
        if known is None or before is None:
            return None
        renewed = text_certificates.renewed(known.files, derived.files)
        if renewed is None:
            LOG.info("reloading: more than keys with their certificates has changed")
            return None
        if self._process.digest() != known.digest or self._leaving.too_many:
            return None
        way = text_plan.plan(self.parsed(before), self.parsed(source))
        if isinstance(way, str):
            LOG.info("reloading: %s", way)
            return None
        return replace(way, renewed=renewed)

    def bring_into_force(
        self, source: str, derived: Derived, *, way: text_plan.TextPlan | None
    ) -> None:
        """Have a text served from its staged file, and read back that it is.

        What cannot be proved after changes at run time is done again by a reload. Raises
        NotInForce, or what `Process.serve` raises.
        """
        self._store.commit()
        text = self.parsed(source)
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
        self._note_pid()

    def serves_the_last(self) -> bool:
        """Whether HAProxy serves what it was last brought to. Raises HaproxyTimeout."""
        known = self._serving
        return known is not None and self._process.digest() == known.digest

    def answers(self) -> bool:
        """Whether HAProxy answers on its socket. Raises HaproxyTimeout when it hangs."""
        return self._process.digest() is not None

    def is_there(self) -> bool:
        """Whether the keeper has a HAProxy. Raises HaproxyTimeout."""
        status = self._keeper.status()
        return status is not None and status.pid is not None

    def books(self) -> Books:
        """What went through each frontend, over all processes. Raises HaproxyTimeout."""
        return self._process.books()

    def look(self) -> None:
        """See after the keeper and after servers that wait for their last connection.

        Raises EngineError.
        """
        self._process.look()
        self._note_pid()
        self._leaving.look(self._process.worker)

    def stop(self) -> None:
        """Stop HAProxy and its keeper. Raises HaproxyTimeout where it goes on."""
        self._process.stop()
        self._serving = None

    def forget(self) -> None:
        """Know nothing any more; to be called when all is stopped and erased."""
        self._serving = None
        self._texts.clear()
        self._leaving.clear()

    def _note_pid(self) -> None:
        status = self._keeper.status()
        self.pid = (status and status.pid) or self.pid

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
