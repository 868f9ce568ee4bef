"""The configurations that were in force, so that one can be had back: the last five, on disk.

A record beside the truth and never a part of it: an entry is written after its configuration was
proved in force, and a history that cannot be read or written is logged and hinders nothing. Kept
as encoded text, one piece an entry: of 10,000 servers five times over only the newest is ever
encoded, and none is held as objects.

Beside it the fence, which keeps an older configuration from coming after a newer one unasked.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pydantic

from libra_haproxy.errors import EngineError, NoSuchEntry, StaleGeneration
from libra_haproxy.model import Model, State
from libra_haproxy.store import Store

LOG = logging.getLogger(__name__)

SCHEMA = 2
"""The number of the stored form; a history of a higher one is begun anew. 2 is 1 with TLS, and
written only where an entry has some."""

KEPT = 5
"""How many configurations are kept."""

UPDATE = "update"
FOUND = "found in force at the start"
WENT_BACK = "HAProxy refused the one after it"
"""Reasons; that of a rollback names the entry."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A configuration that was in force from `time` on.

    `number` names it: the engine's generation of it, so it grows, has gaps and is never used
    twice. `sender_generation` is the sender's own, `job` the id of the job that brought it, both
    where known. `restores` is the entry that a rollback took its configuration from.
    """

    number: int
    time: datetime
    reason: str
    model: Model
    sender_generation: int | None = None
    job: str = ""
    restores: int | None = None


_ENTRY = pydantic.TypeAdapter(Entry)
_FORM = pydantic.TypeAdapter(list[Entry])


class History:
    """The kept configurations of one Instance, oldest first in the file of its store.

    Written in the turn of a change only; read by anybody at any time.
    """

    def __init__(
        self, store: Store, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self._clock = clock
        self._kept: tuple[tuple[int, bytes], ...] = ()
        self._newest: Model | None = None
        self.applied: datetime | None = None
        """Since when the configuration in force is so, where that is known."""

    def open(self, state: State) -> None:
        """Read what is kept, and enter `state` where its own entry was lost to a crash."""
        entries: list[Entry] = []
        try:
            data = self._store.history()
            entries = [] if data is None else decode(data)
        except (EngineError, ValueError, RecursionError) as error:
            LOG.error("the history cannot be read and is begun anew: %s", error)
        self._kept = tuple((entry.number, _text(entry)) for entry in entries)
        self._newest = entries[-1].model if entries else None
        self.applied = entries[-1].time if entries else None
        self.record(state, FOUND, sender_generation=state.sender_generation)

    def record(
        self,
        state: State,
        reason: str,
        *,
        sender_generation: int | None = None,
        job: str = "",
        restores: int | None = None,
        time: datetime | None = None,
    ) -> None:
        """Enter a configuration in force since `time`, if it is not the newest entry's.

        Raises nothing.

        Changes of anything but the configuration (suspend, enable) make no entry.
        """
        if state.model is None or state.model == self._newest:
            return
        entry = Entry(
            number=state.generation,
            time=time or self._clock(),
            reason=reason,
            model=state.model,
            sender_generation=sender_generation,
            job=job,
            restores=restores,
        )
        # A state that was put back by hand is older than what was entered since.
        older = [kept for kept in self._kept if kept[0] < entry.number]
        self._kept = (*older, (entry.number, _text(entry)))[-KEPT:]
        self._newest, self.applied = state.model, entry.time
        try:
            self._store.keep_history(_encoded([text for _, text in self._kept]))
        except EngineError as error:
            LOG.error("the history was not written: %s", error)

    def forget(self) -> None:
        """Begin anew; the store has erased the file."""
        self._kept, self._newest, self.applied = (), None, None

    def entries(self) -> tuple[Entry, ...]:
        """What is kept, newest first."""
        return tuple(_ENTRY.validate_python(json.loads(text)) for _, text in reversed(self._kept))

    def find(self, number: int) -> Entry:
        """The entry of that number, or the newest that restored it. Raises NoSuchEntry.

        The second keeps a rollback to the oldest entry, which makes that one fall off, repeatable.
        """
        entries = self.entries()
        for entry in entries:
            if entry.number == number:
                return entry
        for entry in entries:
            if entry.restores == number:
                return entry
        known = ", ".join(str(entry.number) for entry in entries) or "none"
        raise NoSuchEntry(f"the history has no entry {number}; kept are {known}")


def refuse_stale(generation: int | None, *, applied: int | None, same: bool) -> None:
    """Let no configuration undo a newer one. Raises StaleGeneration.

    An equal generation passes with the `same` configuration, which is a job that is run again.
    """
    if generation is None or applied is None or generation > applied:
        return
    if generation < applied:
        raise StaleGeneration(f"generation {generation} is older than the applied {applied}")
    if not same:
        raise StaleGeneration(
            f"generation {generation} was applied, and what is in force is not this configuration:"
            " another writer changed it, or a rollback; send a newer generation"
        )


def encode(entries: list[Entry]) -> bytes:
    """The stored form of entries, oldest first."""
    return _encoded([_text(entry) for entry in entries])


def decode(data: bytes) -> list[Entry]:
    """Read the stored form, oldest first. Raises ValueError on damage or a newer schema."""
    stored = json.loads(data)
    schema = stored.get("schema") if isinstance(stored, dict) else None
    if schema not in range(1, SCHEMA + 1):
        raise ValueError(f"the stored history has schema {schema!r}, this release reads {SCHEMA}")
    return _FORM.validate_python(stored.get("entries"))


def _text(entry: Entry) -> bytes:
    """One entry in ASCII, as in `store.encode`: a label may hold half a surrogate pair."""
    return json.dumps(_ENTRY.dump_python(entry, mode="json")).encode("ascii")


def _encoded(texts: list[bytes]) -> bytes:
    """One entry a line, for those who look into the file."""
    # Text of others has its quotes escaped, so this can be nothing but the field.
    schema = 2 if any(b'"tls": {' in text for text in texts) else 1
    head = f'{{"schema": {schema}, "entries": [\n'.encode()
    return head + b",\n".join(texts) + b"\n]}\n"
