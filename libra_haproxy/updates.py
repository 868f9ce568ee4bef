"""Which configuration comes after which: numbered, refused where stale, put down in the history.

Knows nothing of how one is brought into force, which is `truth`'s to do.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from libra_haproxy import numbering
from libra_haproxy.afterwards import Afterwards
from libra_haproxy.errors import EngineError
from libra_haproxy.history import UPDATE, WENT_BACK, History, refuse_stale
from libra_haproxy.late import LateCheck
from libra_haproxy.model import State, Status
from libra_haproxy.truth import Truth
from libra_haproxy.turnstile import Turnstile
from libra_haproxy.wishes import Wish, carry, may_be_carried

LOG = logging.getLogger(__name__)


class Updates:
    """Brings configurations into force, each in the turn of whoever calls; `turns` has others."""

    def __init__(
        self,
        *,
        truth: Truth,
        history: History,
        afterwards: Afterwards,
        late: LateCheck,
        turns: Turnstile[Wish],
    ) -> None:
        self._truth = truth
        self._history = history
        self._afterwards = afterwards
        self._late = late
        self._turns = turns

    def grant(self, wish: Wish) -> None:
        """Carry out a configuration and those that wait right behind it, in one change."""
        applied = self._truth.state.sender_generation
        wishes = [wish]
        # One that may be stale is answered for itself.
        if wish.generation is None or applied is None or wish.generation > applied:
            wishes = self._turns.relieve(wish, may_be_carried)
        if len(wishes) > 1:
            LOG.info("%d updates waited together: the last one stands for all", len(wishes))
        carry(wishes, partial(self.apply, reason=UPDATE))

    def apply(self, wish: Wish, *, reason: str, restores: int | None = None) -> State:
        """Make a configuration the one in force; `reason` and `restores` are for the history.

        Raises StaleGeneration, or what `Truth.change` raises.
        """
        old, generation = self._truth.state, wish.generation
        model, next_numbers = numbering.assign(
            wish.model, previous=old.model, next_numbers=old.next_numbers
        )
        refuse_stale(generation, applied=old.sender_generation, same=model == old.model)
        state = self.change(
            State(
                status=Status.SUSPENDED if old.suspended else Status.ACTIVE,
                generation=old.generation,
                sender_generation=old.sender_generation if generation is None else generation,
                model=model,
                next_numbers=next_numbers,
            )
        )
        self._record(state, reason, generation=generation, job=wish.job, restores=restores)
        return state

    def change(self, wanted: State) -> State:
        """Bring `wanted` into force or leave everything as it was."""
        state = self._truth.change(wanted)
        if state is not self._truth.sound:
            self._afterwards.add(self._late.due)
        return state

    def go_back(self) -> None:
        """Bring the last state whose file HAProxy took into force again, if it can be."""
        sound = self._truth.sound
        if sound is None or self._truth.state.model is None:
            return
        try:
            # Neither a server's number nor a sender's generation is ever used twice.
            back = replace(self._truth.state, status=sound.status, model=sound.model)
            self._record(self.change(back), WENT_BACK)
        except EngineError as failure:
            LOG.critical("going back failed: %s", failure)

    def _record(
        self,
        state: State,
        reason: str,
        *,
        generation: int | None = None,
        job: str = "",
        restores: int | None = None,
    ) -> None:
        """Have the history of what is in force now written, once nobody waits for it."""
        self._afterwards.add(
            partial(
                self._history.record,
                state,
                reason,
                sender_generation=generation,
                job=job,
                restores=restores,
                time=datetime.now(UTC),
            )
        )
