"""A mix of changes in fixed proportions, and who may be seen at each moment of it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

MIX = "40 % weight, 20 % add, 20 % remove, 10 % address, 10 % that needs a reload"

PLACES = ("m1", "m1-moved", "m2", "m3", "m4", "m5")
"""Where members stand; who stands there says this name."""


class Kind(StrEnum):
    """What a change changes."""

    WEIGHT = "weight"
    ADD = "add"
    REMOVE = "remove"
    ADDRESS = "address"
    RELOAD = "reload"


@dataclass(frozen=True)
class Member:
    """A member of a load balancer: `number` names it for good, its place may change."""

    number: int
    place: str
    weight: int = 1


@dataclass(frozen=True)
class Wanted:
    """What a load balancer shall be; `client_seconds` stands for all that needs a reload."""

    members: tuple[Member, ...]
    client_seconds: int = 300

    @property
    def places(self) -> frozenset[str]:
        """Who may be seen."""
        return frozenset(one.place for one in self.members)

    def nodes(self, ports: Mapping[str, int]) -> list[dict[str, Any]]:
        """The members as nodes of a message."""
        return [
            {"id": one.number, "address": "127.0.0.1", "port": ports[one.place],
             "weight": one.weight}
            for one in self.members
        ]  # fmt: skip

    def changed(self, number: int, **fields: Any) -> Wanted:
        """With one member changed."""
        return replace(
            self,
            members=tuple(
                replace(one, **fields) if one.number == number else one for one in self.members
            ),
        )

    def plus(self, member: Member) -> Wanted:
        """With one member more."""
        return replace(self, members=(*self.members, member))

    def without(self, number: int) -> Wanted:
        """With one member less."""
        return replace(self, members=tuple(m for m in self.members if m.number != number))


FIRST = Wanted((Member(1, "m1"), Member(2, "m2"), Member(3, "m3")))
"""What every mix begins with."""


def changes() -> Iterator[tuple[Kind, Wanted]]:
    """An endless row of changes from FIRST on, each ten of them in the proportions of MIX."""
    now = FIRST
    for turn in itertools.count():
        for kind, step in _ten(even=turn % 2 == 0):
            now = step(now)
            yield kind, now


def _ten(*, even: bool) -> tuple[tuple[Kind, Callable[[Wanted], Wanted]], ...]:
    place, seconds = ("m1-moved", 301) if even else ("m1", 300)
    return (
        (Kind.WEIGHT, lambda w: w.changed(2, weight=3)),
        (Kind.ADD, lambda w: w.plus(Member(4, "m4"))),
        (Kind.WEIGHT, lambda w: w.changed(2, weight=1)),
        (Kind.REMOVE, lambda w: w.without(4)),
        (Kind.ADDRESS, lambda w: w.changed(1, place=place)),
        (Kind.WEIGHT, lambda w: w.changed(3, weight=2)),
        (Kind.ADD, lambda w: w.plus(Member(5, "m5"))),
        (Kind.RELOAD, lambda w: replace(w, client_seconds=seconds)),
        (Kind.REMOVE, lambda w: w.without(5)),
        (Kind.WEIGHT, lambda w: w.changed(3, weight=1)),
    )


class Truth:
    """Who is there when: during a change those of before and of after it may be, or may not."""

    def __init__(self, wanted: Wanted) -> None:
        self.now = wanted
        self._log = [(time.monotonic(), wanted, wanted)]

    @contextmanager
    def changing(self, wanted: Wanted) -> Iterator[None]:
        """Around a change; when it is answered, it is in force."""
        self._log.append((time.monotonic(), self.now, wanted))
        yield
        self.now = wanted
        self._log.append((time.monotonic(), wanted, wanted))

    def may_answer(self, place: str, *, since: float) -> bool:
        """Whether a request that began then may have been answered from `place`."""
        return any(place in one.places for one in self._since(since))

    def was_there(self, number: int, *, since: float) -> bool:
        """Whether that member was there from then on without a break."""
        return all(
            any(member.number == number for member in one.members) for one in self._since(since)
        )

    def _since(self, began: float) -> Iterator[Wanted]:
        """All that was, or may have been, in force between then and now."""
        for moment, before, after in reversed(self._log[:]):
            yield before
            yield after
            if moment <= began:
                return
