"""Configurations that wait together: which are carried by one change, and what each is told."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_haproxy.errors import ConfigRefused, HaproxyTimeout, PortTaken
from libra_haproxy.model import Model, State
from libra_haproxy.turnstile import Turnstile, _Waiting
from libra_haproxy.wishes import Applied, Wish, carry, may_be_carried


def wish(generation: int | None = None) -> Wish:
    return Wish(model=Model(load_balancers=()), generation=generation, job="")


def outcome(wish: Wish) -> Applied | Exception:
    try:
        return wish.outcome()
    except ConfigRefused as error:
        return error


@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_what_is_in_force_is_what_one_after_the_other_would_have_left(good: list[bool]) -> None:
    # Given wishes of which HAProxy takes some
    wishes = [wish() for _ in good]
    in_force: list[Wish] = []

    def apply(one: Wish) -> State:
        if not good[wishes.index(one)]:
            raise ConfigRefused("no")
        in_force.append(one)
        return State()

    # When they are carried together
    carry(wishes, apply)
    # Then the last good one is in force, by one change, and knows it
    last = max((number for number, taken in enumerate(good) if taken), default=None)
    assert in_force == ([] if last is None else [wishes[last]])
    for number, one in enumerate(wishes):
        told = outcome(one)
        if last is None or number > last:
            assert isinstance(told, ConfigRefused)
        else:
            assert told == Applied(state=State(), superseded=number != last)


def test_a_haproxy_that_hangs_is_not_asked_again_for_each_that_waits() -> None:
    # Given a HAProxy that does not answer
    calls = []

    def apply(one: Wish) -> State:
        calls.append(one)
        raise HaproxyTimeout("it hangs")

    wishes = [wish(), wish(), wish()]
    carry(wishes, apply)
    # Then all are told so after one try
    assert calls == [wishes[-1]]
    for one in wishes:
        with pytest.raises(HaproxyTimeout):
            one.outcome()


def test_a_fault_of_ours_reaches_every_sender() -> None:
    def apply(_: Wish) -> State:
        raise ZeroDivisionError

    wishes = [wish(), wish()]
    carry(wishes, apply)
    for one in wishes:
        with pytest.raises(ZeroDivisionError):
            one.outcome()


def test_the_one_at_fault_keeps_its_own_error() -> None:
    errors = iter([PortTaken("mine"), HaproxyTimeout("ours")])

    def apply(_: Wish) -> State:
        raise next(errors)

    wishes = [wish(), wish(), wish()]
    carry(wishes, apply)
    with pytest.raises(PortTaken):
        wishes[2].outcome()
    for one in wishes[:2]:
        with pytest.raises(HaproxyTimeout):
            one.outcome()


@given(st.lists(st.none() | st.integers(0, 5), min_size=1, max_size=8))
def test_no_generation_is_passed_by_one_that_is_not_newer(generations: list[int | None]) -> None:
    # Given a turn, and wishes that wait behind it
    stile = Turnstile[Wish]()
    first, *rest = [wish(generation) for generation in generations]
    stile._waiting.extend(_Waiting(one) for one in rest)
    # When the first takes over those that may be carried
    carried = stile.relieve(first, may_be_carried)
    # Then they are those right behind, all without a generation or each with a newer one
    assert carried == [first, *rest][: len(carried)]
    for before, after in pairwise(one.generation for one in carried):
        assert before is after or (before is not None and after is not None and before < after)
    # And the next one was left for a reason
    if len(carried) <= len(rest):
        assert not may_be_carried(carried[-1], rest[len(carried) - 1])
