from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_octavia.health.order import Place, is_newer

_PLACES = st.builds(Place, st.integers(1, 5), st.integers(0, 20))


@given(_PLACES, _PLACES)
def test_of_two_only_one_is_newer_and_none_than_itself(one: Place, other: Place) -> None:
    assert is_newer(one, None)
    assert not is_newer(one, one)
    assert one == other or is_newer(one, other) is not is_newer(other, one)


@given(st.lists(_PLACES, unique=True), st.randoms())
def test_what_was_taken_before_is_never_taken_again(places: list[Place], chance: object) -> None:
    taken: list[Place] = []
    for one in places * 2:
        if is_newer(one, taken[-1] if taken else None):
            taken.append(one)
    assert len(set(taken)) == len(taken)


@pytest.mark.parametrize(
    ("one", "last", "newer"),
    [
        (Place(None, 5), Place(None, 4), True),
        (Place(None, 4), Place(None, 4), False),
        (Place(None, 1), Place(None, 4), False),  # too late by three
        (Place(None, 0), Place(None, 5), True),  # a restart
        (Place(2, 0), Place(1, 900), True),
        (Place(1, 901), Place(2, 0), False),
        (Place(None, 0), Place(3, 8), True),  # an older release was put in its place
        (Place(3, 0), Place(None, 8), True),
    ],
)
def test_a_restart_is_told_from_an_old_datagram(one: Place, last: Place, newer: bool) -> None:
    assert is_newer(one, last) is newer
