"""Configurations that wait for their turn, and which of them may be carried by one change.

While HAProxy reloads, more updates come in. All that wait in a row are brought into force as one:
the last of them, for each is a whole configuration. Each sender is told the outcome: the last that
its own is in force, the others that it was superseded. Where the last one is refused for a fault
of its own, the one before it is tried, as if they had come one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from libra_haproxy.errors import (
    ConfigRefused,
    EngineError,
    PortForbidden,
    PortTaken,
    StaleGeneration,
    TooFewFiles,
)
from libra_haproxy.model import Model, State

_OWN_FAULTS = (ConfigRefused, PortTaken, PortForbidden, TooFewFiles, StaleGeneration)
"""What is wrong with one configuration and may be right with another."""


@dataclass(frozen=True, kw_only=True)
class Applied:
    """The state in force; `superseded` says that a later configuration took this one's place."""

    state: State
    superseded: bool = False


@dataclass(eq=False, kw_only=True)
class Wish:
    """A configuration that somebody waits for; `job` is the id of the job that brought it."""

    model: Model
    generation: int | None
    job: str
    _outcome: Applied | BaseException | None = None

    @property
    def settled(self) -> bool:
        """Whether there is an outcome."""
        return self._outcome is not None

    def settle(self, outcome: Applied | BaseException) -> None:
        """Set the outcome, if there is none yet."""
        if self._outcome is None:
            self._outcome = outcome

    def outcome(self) -> Applied:
        """What became of it, or raises it."""
        if isinstance(self._outcome, Applied):
            return self._outcome
        raise self._outcome or EngineError("the change ended without an outcome")


def may_be_carried(before: Wish, after: Wish) -> bool:
    """Whether `after` may take the place of `before` unseen.

    Without generations the order of arrival counts; with them both must say the same.
    """
    if before.generation is None or after.generation is None:
        return before.generation is after.generation
    return before.generation < after.generation


def carry(wishes: Sequence[Wish], apply: Callable[[Wish], State]) -> None:
    """Bring the last of `wishes` that can be into force by `apply`, and settle all of them."""
    for last in reversed(range(len(wishes))):
        try:
            state = apply(wishes[last])
        except _OWN_FAULTS as error:
            wishes[last].settle(error)
        except BaseException as error:  # noqa: BLE001 - each sender's own thread raises it
            for wish in wishes:
                wish.settle(error)
            return
        else:
            for wish in wishes[:last]:
                wish.settle(Applied(state=state, superseded=True))
            wishes[last].settle(Applied(state=state))
            return
