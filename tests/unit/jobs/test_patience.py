"""The two clocks of a connection: when to try again, when to give up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from libra_common.jobs.backoff import CAP, FIRST, delay
from libra_common.jobs.vigil import Verdict, Vigil

CHANCES = st.floats(0, 1)


@given(st.integers(0, 10**9), CHANCES)
def test_no_wait_is_over_the_cap_or_without_pause(attempt: int, chance: float) -> None:
    assert FIRST / 2 <= delay(attempt, chance) <= CAP


@given(st.integers(0, 100), CHANCES)
def test_the_wait_never_shrinks_while_failures_go_on(attempt: int, chance: float) -> None:
    assert delay(attempt, chance) <= delay(attempt + 1, chance)


@given(st.integers(0, 100))
def test_the_jitter_spreads_over_half_of_the_wait(attempt: int) -> None:
    assert delay(attempt, 0) * 2 == delay(attempt, 1)


def test_silence_is_probed_and_then_given_up() -> None:
    # Given a connection quiet since 100
    vigil = Vigil(15, 15, 100)
    assert vigil.verdict(114.9) is Verdict.WAIT
    assert vigil.wait(114) == 1
    # When it stays quiet
    assert vigil.verdict(115) is Verdict.PROBE
    vigil.probing(115)
    # Then it is dead after the probe's time, and probing again does not put that off
    assert vigil.verdict(115) is Verdict.WAIT
    vigil.probing(120)
    assert vigil.verdict(129.9) is Verdict.WAIT
    assert vigil.verdict(130) is Verdict.DEAD
    assert vigil.wait(140) == 0


def test_anything_heard_begins_the_silence_anew() -> None:
    vigil = Vigil(15, 15, 100)
    vigil.probing(115)
    vigil.heard(120)
    assert vigil.verdict(134.9) is Verdict.WAIT
    assert vigil.verdict(135) is Verdict.PROBE
