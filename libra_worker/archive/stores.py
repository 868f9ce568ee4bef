"""The kinds of object stores there are, by their names in messages."""

from __future__ import annotations

from collections.abc import Callable

from libra_messages.faults import shown
from libra_messages.fold import ascii_lower
from libra_worker.archive.base import Destination, Store, StoreTypeUnknown, TimeLimit

MakeStore = Callable[[Destination, TimeLimit], Store]

KINDS = ("swift",)
"""All of them."""


def refuse_unknown(kind: str) -> None:
    """Raise StoreTypeUnknown, naming it, where `kind` is none of `KINDS` in any case."""
    if ascii_lower(kind) not in KINDS:
        raise StoreTypeUnknown(
            f"hpcs_object_store_type: this node knows {' and '.join(KINDS)}, got {shown(kind)}"
        )


def make_store(*, ca: str, timeout: float, segment_bytes: int) -> MakeStore:
    """What makes the store of a message."""

    def make(destination: Destination, limit: TimeLimit) -> Store:
        # Here, since it takes a third of a second that a worker which never archives can save.
        from libra_worker.archive.swift import SwiftStore

        return SwiftStore(
            destination, ca=ca, timeout=timeout, limit=limit, segment_bytes=segment_bytes
        )

    return make
