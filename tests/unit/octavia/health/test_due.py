from __future__ import annotations

from dataclasses import replace

import pytest

from libra_octavia.health.due import Patience, Task, task
from libra_octavia.inventory import Counts
from libra_octavia.inventory.reports import Seen, Voice

PATIENCE = Patience(silence=60, again=300)
COUNTS = {"l": Counts(bytes_in=5)}
FRESH = Seen(
    load_balancer_id="lb",
    quiet=True,
    served=1000.0,
    served_ago=100.0,
    voices=(Voice(amphora_id="a", ago=3.0, digest="d"),),
    counts=COUNTS,
    told_ago=None,
    told_counts={},
)


def asked(seen: Seen, *, listening: float = 1000, first: bool = False) -> Task | None:
    return task(seen, PATIENCE, listening=listening, first=first)


def told(seen: Seen) -> Seen:
    """The same after a report five seconds ago."""
    found = asked(seen)
    assert found is not None
    counts = {
        name: [
            one.active_connections,
            one.bytes_in,
            one.bytes_out,
            one.request_errors,
            one.total_connections,
        ]
        for name, one in seen.counts.items()
    }
    return replace(seen, told_ago=5.0, told_basis=found.basis, told_counts=counts)


def test_what_was_never_told_is_told_whole() -> None:
    found = asked(FRESH)
    assert found is not None
    assert (found.words, found.whole, found.heard, found.silent) == (True, True, ("a",), 0)
    assert found.counts == COUNTS


def test_what_did_not_change_is_not_told() -> None:
    assert asked(told(FRESH)) is None


def test_after_a_restart_and_every_few_minutes_all_is_told_again() -> None:
    again = asked(told(FRESH), first=True)
    assert again is not None
    assert (again.words, again.whole, again.counts) == (True, True, COUNTS)
    again = asked(replace(told(FRESH), told_ago=300.0))
    assert again is not None
    assert (again.words, again.whole) == (True, True)


def test_other_words_are_told_without_what_stayed_and_traffic_alone_needs_no_words() -> None:
    changed = asked(replace(told(FRESH), voices=(Voice(amphora_id="a", ago=1.0, digest="e"),)))
    assert changed is not None
    assert (changed.words, changed.whole, changed.counts) == (True, False, None)
    changed = asked(replace(told(FRESH), counts={"l": Counts(bytes_in=6)}))
    assert changed is not None
    assert (changed.words, changed.counts) == (False, {"l": Counts(bytes_in=6)})


def test_what_a_device_said_before_it_was_served_is_not_told() -> None:
    served = replace(told(FRESH), served=1098.0, served_ago=2.0)
    assert asked(served) is None
    # And once it has spoken since then, what changed is, and what whoever served it said otherwise.
    spoken = replace(served, voices=(Voice(amphora_id="a", ago=1.0, digest="d"),))
    found = asked(spoken)
    assert found is not None
    assert (found.words, found.whole) == (True, False)


def test_while_somebody_works_on_it_only_traffic_is_told() -> None:
    found = asked(replace(FRESH, quiet=False))
    assert found is not None
    assert (found.words, found.counts) == (False, COUNTS)


@pytest.mark.parametrize("quiet", [True, False])
def test_a_device_that_fell_silent_is_told_and_told_again_when_it_speaks(quiet: bool) -> None:
    before = told(FRESH)
    silent = replace(before, quiet=quiet, voices=(Voice(amphora_id="a", ago=61.0, digest="d"),))
    found = asked(silent)
    assert found is not None
    assert (found.words, found.heard, found.silent) == (True, (), 1)
    after = replace(told(silent), quiet=True)
    assert asked(after) is None
    # Back with the very words that it had before
    back = asked(replace(after, voices=FRESH.voices))
    assert back is not None
    assert (back.words, back.heard, back.silent) == (True, ("a",), 0)


def test_silence_while_nobody_listened_says_nothing() -> None:
    long_ago = replace(told(FRESH), voices=(Voice(amphora_id="a", ago=4000.0, digest="d"),))
    assert asked(long_ago, listening=59) is None
    assert asked(long_ago, listening=61) is not None


def test_a_device_that_was_reached_just_now_is_not_silent() -> None:
    new = replace(FRESH, served_ago=10.0, voices=(Voice(amphora_id="a"),), counts={})
    assert asked(new) is None
    found = asked(replace(new, served_ago=61.0))
    assert found is not None
    assert found.silent == 1


def test_one_of_two_devices_may_be_silent() -> None:
    pair = (Voice(amphora_id="a", ago=3.0, digest="d"), Voice(amphora_id="b", ago=90.0))
    found = asked(replace(FRESH, voices=pair))
    assert found is not None
    assert (found.heard, found.silent) == (("a",), 1)
