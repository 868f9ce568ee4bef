"""The mix: what counts as seen, and what is proved by how many changes."""

from __future__ import annotations

import itertools
import time
from collections import Counter

from tests.bench.mixed import rows_of
from tests.support.mix import FIRST, Kind, Member, Truth, changes


def outcome(count: int, failed: int = 0) -> dict[str, int]:
    return {"changes": count, "failed": failed, "cut": 0}


def test_a_thousand_changes_without_a_loss_meet_the_goal_and_fewer_prove_nothing() -> None:
    assert [one.met for one in rows_of([outcome(700), outcome(300)])] == [True, True]
    assert [one.met for one in rows_of([outcome(40)])] == [None, None]
    # And one loss is too many in any number of changes
    failed, cut = rows_of([outcome(500, failed=1)])
    assert (failed.value, failed.met, cut.met) == (2.0, False, None)


def test_each_ten_changes_have_the_proportions_that_are_promised() -> None:
    kinds = [kind for kind, _ in itertools.islice(changes(), 1000)]
    expected = {Kind.WEIGHT: 4, Kind.ADD: 2, Kind.REMOVE: 2, Kind.ADDRESS: 1, Kind.RELOAD: 1}
    for start in range(0, 1000, 10):
        assert Counter(kinds[start : start + 10]) == expected


def test_no_change_is_the_state_of_before() -> None:
    states = [FIRST, *(wanted for _, wanted in itertools.islice(changes(), 200))]
    assert all(before != after for before, after in itertools.pairwise(states))


def test_who_was_removed_may_answer_what_began_before_and_nothing_after() -> None:
    truth = Truth(FIRST.plus(Member(4, "m4")))
    before = time.monotonic()
    with truth.changing(FIRST):
        during = time.monotonic()
        assert truth.may_answer("m4", since=during)
        assert not truth.was_there(4, since=before)
    assert truth.may_answer("m4", since=before)
    assert truth.may_answer("m4", since=during)
    assert not truth.may_answer("m4", since=time.monotonic())
    assert truth.was_there(3, since=before)
