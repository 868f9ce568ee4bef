"""Each byte once, whatever happens to datagrams and devices."""

from __future__ import annotations

from dataclasses import asdict

from hypothesis import given
from hypothesis import strategies as st

from libra_octavia.health.counting import added, combined
from libra_octavia.health.message import Beat
from libra_octavia.health.order import Place, is_newer
from libra_octavia.inventory import Counts
from tests.unit.octavia.health.said import beat, traffic

_EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from(["once", "never", "twice", "late"])),
        st.tuples(st.just("traffic"), st.integers(0, 1000)),
        st.tuples(st.just("restart"), st.just("")),
    ),
    max_size=60,
)


def total(beats: list[Beat]) -> Counts:
    """What an inventory has of one listener after all of these."""
    place: Place | None = None
    last: Counts | None = None
    found = dict.fromkeys(asdict(Counts()), 0)
    for one in beats:
        if not is_newer(one.place, place):
            continue
        place = one.place
        new = asdict(added(last, one.counts["l"]))
        last = one.counts["l"]
        found = {name: found[name] + new[name] for name in found}
    return Counts(**found)


@given(_EVENTS)
def test_datagrams_lost_doubled_late_and_agents_restarted_lose_and_double_nothing(
    events: list[tuple[str, int | str]],
) -> None:
    # Given a device whose ledger outlives its agent
    seen = 0
    boot, sequence = 1, 0
    arrived: list[Beat] = []
    late: list[Beat] = []
    reached = 0
    for what, how in events:
        if what == "traffic":
            seen += int(how)
        elif what == "restart":
            boot, sequence = boot + 1, 0
        else:
            one = beat(sequence, boot=boot, l=traffic(seen))
            sequence += 1
            if how == "late":
                late.append(one)
            elif how != "never":
                arrived += [one] * (2 if how == "twice" else 1)
                arrived += late
                late = []
                reached = seen
    # Then what arrived last is what was counted, once
    assert total(arrived).bytes_in == reached
    assert total(arrived).bytes_out == 2 * reached
    assert total(arrived).total_connections == reached


@given(st.lists(st.tuples(st.integers(0, 500), st.booleans()), min_size=1, max_size=30))
def test_counters_that_begin_again_are_counted_from_their_beginning(
    steps: list[tuple[int, bool]],
) -> None:
    # Given a device that forgets all between two heartbeats, now and then
    everything, counter = 0, 0
    arrived = []
    for sequence, (more, forgets) in enumerate(steps):
        before = counter
        counter = more if forgets else counter + more
        if forgets and more >= before:
            counter = before  # nobody could tell that it was forgotten
            continue
        everything += more
        arrived.append(beat(sequence, l=traffic(counter)))
    assert total(arrived).bytes_in == everything


def test_errors_may_begin_again_alone() -> None:
    again = added(traffic(10, errors=7), traffic(12, errors=2))
    assert (again.bytes_in, again.request_errors) == (2, 2)


def test_what_began_again_is_new_also_where_one_counter_has_passed_its_old_value() -> None:
    last = Counts(bytes_in=1000, bytes_out=10, total_connections=1)
    now = Counts(bytes_in=10, bytes_out=20, total_connections=5)
    assert added(last, now) == now


@given(
    st.lists(st.integers(0, 50), min_size=2, max_size=2),
    st.lists(st.integers(0, 50), min_size=2, max_size=2),
    st.booleans(),
)
def test_two_heartbeats_become_one_only_where_nothing_is_lost(
    first: list[int], second: list[int], deltas: bool
) -> None:
    old = beat(1, deltas=deltas, a=traffic(first[0]), b=traffic(first[1]))
    new = beat(2, deltas=deltas, a=traffic(second[0]), c=traffic(second[1]))
    one = combined(old, new)
    if deltas:
        assert one is not None
        assert one.place == new.place
        sums = {name: counts.bytes_in for name, counts in one.counts.items()}
        assert sums == {"a": first[0] + second[0], "b": first[1], "c": second[1]}
        assert one.counts["a"].active_connections == 1
    else:
        # The new one says nothing of b.
        assert one is None


@given(st.integers(0, 50), st.integers(0, 50))
def test_a_newer_reading_takes_the_place_of_an_older_unless_it_began_again(
    first: int, second: int
) -> None:
    one = combined(beat(1, a=traffic(first)), beat(2, a=traffic(second), b=traffic(9)))
    assert (one is None) is (second < first)
    if one is not None:
        assert one.place.sequence == 2


def test_totals_and_deltas_are_never_mixed() -> None:
    assert combined(beat(1, a=traffic(1)), beat(2, deltas=True, a=traffic(1))) is None
