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
from libra_octavia.agent.latest import Latest
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
    """A thread that looks for what is to be told, and tells it. `step` is one look.

    `latest` knows what Octavia need not be asked for.
    """

    def __init__(
        self,
        *,
        octavia: Octavia,
        beats: Beats,
        reports: Reports,
        intake: Intake,
        patience: Patience,
        latest: Latest | None = None,
    ) -> None:
        self._octavia = octavia
        self._beats = beats
        self._reports = reports
        self._intake = intake
        self._patience = patience
        self._latest = latest or Latest()
        self._told: set[str] = set()
        self._tried: dict[str, float] = {}
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
        there = {one.load_balancer_id for one in seen}
        self._told &= there
        self._tried = {name: when for name, when in self._tried.items() if name in there}
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
        # Each has its turn, whatever fails; of those alike what changed goes first.
        tasks.sort(
            key=lambda one: (
                self._tried.get(one.seen.load_balancer_id, 0.0),
                one.basis == one.seen.told_basis and one.counts is None,
            )
        )
        claimed = []
        for one in tasks[:_AT_ONCE]:
            name = one.seen.load_balancer_id
            self._tried[name] = time.monotonic()
            before = self._reports.claim(name, seconds=_CLAIM_SECONDS)
            if before is not None:
                claimed.append((one, before))
        if not claimed:
            return 0
        try:
            return self._tell(claimed)
        finally:
            self._reports.release(one.seen.load_balancer_id for one, _ in claimed)

    def _tell(self, claimed: Sequence[tuple[Task, Mapping[str, str]]]) -> int:
        calls = [
            self._calls.submit(self._tell_words, one, before)
            for one, before in claimed
            if one.words
        ]
        counted = [one for one, _ in claimed if one.counts]
        if counted:
            calls.append(self._calls.submit(self._tell_counts, counted))
        faults = [fault for call in calls if (fault := call.exception()) is not None]
        if faults and len(faults) == len(calls):
            raise faults[0]
        for fault in faults:
            known = isinstance(fault, LibraError)
            LOG.error(
                "some of what is to be told is told later: %s",
                fault,
                exc_info=None if known else fault,
            )
        return sum(call.result() for call in calls if call.exception() is None)

    def _tell_counts(self, tasks: Sequence[Task]) -> int:
        """Tell the statistics of load balancers; returns of how many."""
        self._octavia.count(
            [
                {constants.ID: name, **asdict(counts)}
                for one in tasks
                for name, counts in (one.counts or {}).items()
            ]
        )
        for one in tasks:
            self._reports.counted(one.seen.load_balancer_id, one.counts or {})
        return len(tasks)

    def _tell_words(self, one: Task, before: Mapping[str, str]) -> int:
        """Tell the statuses of one load balancer; 0 where somebody else has the word."""
        name = one.seen.load_balancer_id
        found = self._latest.of(name, fence=one.seen.fence)
        if found is None:
            found = index(self._octavia.tree(name))
        if name not in found:
            # Deleted just now, or not Octavia's yet; it is looked at again before long.
            self._reports.told(name, {}, basis=one.basis)
            self._told.add(name)
            return 1
        texts = self._beats.words(one.heard)
        said = [Words.of(texts[device]) for device in one.heard if device in texts]
        words = {
            each: str(word) for each, word in operating(found, said, silent=one.silent).items()
        }
        known = {} if one.whole else before
        changed = {each: word for each, word in words.items() if known.get(each) != word}
        if said and not self._reports.is_still(one.seen):
            # Somebody began to work on it meanwhile.
            return 0
        if changed:
            self._octavia.report(statuses(found, changed))
        self._reports.told(name, {**_still_there(before, found), **words}, basis=one.basis)
        if said:
            self._reports.keep_only(
                name, (each for each, it in found.objects.items() if it.kind is Kind.LISTENER)
            )
        self._told.add(name)
        return 1

    def _run(self) -> None:
        pause = _LOOK_SECONDS
        while not self._ends.wait(pause):
            try:
                began = time.monotonic()
                told = self.step()
                # With nothing to tell, looking must not become what an agent does all the time.
                idle = _SHARE * (time.monotonic() - began)
                pause = 0.0 if told >= _AT_ONCE else max(_LOOK_SECONDS, 0.0 if told else idle)
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
