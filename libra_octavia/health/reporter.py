"""Tells Octavia how load balancers work and what went through them.

One status update for each load balancer, and one of statistics for all of them, since each call
costs Octavia's driver-agent a process. It never says a provisioning status: those are the words
of whoever serves what was asked for.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from octavia_lib.common import constants

from libra_common.errors import LibraError
from libra_octavia.agent.index import Index, index
from libra_octavia.agent.octavia import Octavia
from libra_octavia.agent.report import SECTIONS, Statuses
from libra_octavia.health.due import Patience, Task, task
from libra_octavia.health.intake import Intake
from libra_octavia.health.message import Words
from libra_octavia.health.statuses import operating
from libra_octavia.inventory import Kind
from libra_octavia.inventory.beats import Beats
from libra_octavia.inventory.reports import Reports

LOG = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_SHARE = 10
"""A look costs the more, the more load balancers there are; one part of so many is spent on it."""
_MOST_PAUSE = 30.0
_CLAIM_SECONDS = 30.0
"""How long nobody else tells of a load balancer when whoever is at it dies."""
_AT_ONCE = 16
_THREADS = 4
"""Octavia's driver-agent runs a process for each call; it has others to answer too."""


class Reporter:
    """A thread that looks for what is to be told, and tells it. `step` is one look."""

    def __init__(
        self,
        *,
        octavia: Octavia,
        beats: Beats,
        reports: Reports,
        intake: Intake,
        patience: Patience,
    ) -> None:
        self._octavia = octavia
        self._beats = beats
        self._reports = reports
        self._intake = intake
        self._patience = patience
        self._told: set[str] = set()
        self._ends = threading.Event()
        self._calls = ThreadPoolExecutor(_THREADS, thread_name_prefix="report")
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End after what is being told now, within `seconds`."""
        self._ends.set()
        self._thread.join(seconds)
        self._calls.shutdown(wait=False, cancel_futures=True)

    def step(self) -> int:
        """Tell what is to be told now; returns of how many load balancers it was.

        Raises OctaviaAway where Octavia took none of it, and InventoryAway.
        """
        listening = self._intake.steady
        seen = self._reports.look()
        self._told &= {one.load_balancer_id for one in seen}
        tasks = [
            found
            for one in seen
            if (
                found := task(
                    one,
                    self._patience,
                    listening=listening,
                    first=one.load_balancer_id not in self._told,
                )
            )
        ]
        # What changed goes before what is told once more.
        tasks.sort(key=lambda one: one.basis == one.seen.told_basis and one.counts is None)
        claimed = []
        for one in tasks[:_AT_ONCE]:
            before = self._reports.claim(one.seen.load_balancer_id, seconds=_CLAIM_SECONDS)
            if before is not None:
                claimed.append((one, before))
        try:
            self._tell(claimed)
        finally:
            self._reports.release(one.seen.load_balancer_id for one, _ in claimed)
        return len(claimed)

    def _tell(self, claimed: Sequence[tuple[Task, Mapping[str, str]]]) -> None:
        self._tell_counts([one for one, _ in claimed if one.counts])
        calls = [
            self._calls.submit(self._tell_words, one, before)
            for one, before in claimed
            if one.words
        ]
        faults = [fault for call in calls if (fault := call.exception()) is not None]
        if faults and len(faults) == len(calls):
            raise faults[0]
        for fault in faults:
            known = isinstance(fault, LibraError)
            LOG.error(
                "the health of a load balancer is told later: %s",
                fault,
                exc_info=None if known else fault,
            )

    def _tell_counts(self, tasks: Sequence[Task]) -> None:
        if not tasks:
            return
        self._octavia.count(
            [
                {constants.ID: name, **asdict(counts)}
                for one in tasks
                for name, counts in (one.counts or {}).items()
            ]
        )
        for one in tasks:
            self._reports.counted(one.seen.load_balancer_id, one.counts or {})

    def _tell_words(self, one: Task, before: Mapping[str, str]) -> None:
        name = one.seen.load_balancer_id
        found = index(self._octavia.tree(name))
        if name not in found:
            # Deleted just now, or not Octavia's yet; it is looked at again before long.
            self._reports.told(name, {}, basis=one.basis)
            self._told.add(name)
            return
        texts = self._beats.words(one.heard)
        said = [Words.of(texts[device]) for device in one.heard if device in texts]
        words = {
            each: str(word) for each, word in operating(found, said, silent=one.silent).items()
        }
        known = {} if one.whole else before
        changed = {each: word for each, word in words.items() if known.get(each) != word}
        if said and not self._reports.is_still(one.seen):
            # Somebody began to work on it meanwhile and has the word.
            return
        if changed:
            self._octavia.report(statuses(found, changed))
        self._reports.told(name, {**_still_there(before, found), **words}, basis=one.basis)
        if one.whole and said:
            self._reports.keep_only(
                name, (each for each, it in found.objects.items() if it.kind is Kind.LISTENER)
            )
        self._told.add(name)

    def _run(self) -> None:
        pause = _LOOK_SECONDS
        while not self._ends.wait(pause):
            try:
                began = time.monotonic()
                told = self.step()
                # With nothing to tell, looking must not become what an agent does all the time.
                idle = _SHARE * (time.monotonic() - began)
                pause = 0.0 if told == _AT_ONCE else max(_LOOK_SECONDS, 0.0 if told else idle)
            except LibraError as error:
                pause = min(max(pause * 2, _LOOK_SECONDS), _MOST_PAUSE)
                LOG.warning("health is told later, in %g s: %s", pause, error)
            except Exception:
                pause = _MOST_PAUSE
                LOG.exception("health is told later, in %g s", pause)


def statuses(found: Index, words: Mapping[str, str]) -> Statuses:
    """Operating statuses, by id, as Octavia takes them."""
    made: dict[str, list[dict[str, str]]] = {}
    for name, word in words.items():
        row = {constants.ID: name, constants.OPERATING_STATUS: word}
        made.setdefault(SECTIONS[found.objects[name].kind], []).append(row)
    return made


def _still_there(told: Mapping[str, str], found: Index) -> dict[str, str]:
    return {name: word for name, word in told.items() if name in found}
