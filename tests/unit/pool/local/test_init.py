"""When a device's first process gives up what it keeps running."""

from __future__ import annotations

import pytest

from libra_pool_mgm.clouds.local.init import Service

EXIT_78 = 78 << 8
"""What waitpid(2) says of that exit code."""


class Clock:
    """Stands still unless it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def end(service: Service, clock: Clock, *, after: float) -> None:
    service.start()
    clock.now += after
    service.ended(EXIT_78)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def service(clock: Clock, *, lasting: bool) -> Service:
    return Service("agent", ["/bin/true"], lasting=lasting, clock=clock)


@pytest.mark.parametrize("lasting", [False, True])
def test_what_never_runs_for_long_is_given_up_with_its_last_end(
    clock: Clock, lasting: bool
) -> None:
    kept = service(clock, lasting=lasting)
    pauses = []
    for _ in range(4):
        end(kept, clock, after=1)
        assert kept.given_up == ""
        pauses.append(kept.start_at - clock.now)
    end(kept, clock, after=1)
    assert kept.given_up == "the agent ended 5 times: exit code 78"
    # And it was started later and later
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[-1]


@pytest.mark.parametrize("lasting", [False, True])
def test_what_ran_for_long_begins_to_count_anew(clock: Clock, lasting: bool) -> None:
    kept = service(clock, lasting=lasting)
    for _ in range(3):
        for _ in range(4):
            end(kept, clock, after=1)
        end(kept, clock, after=60)
        assert kept.given_up == ""


def test_a_lasting_one_that_was_steady_once_is_never_given_up(clock: Clock) -> None:
    for lasting in (True, False):
        kept = service(clock, lasting=lasting)
        end(kept, clock, after=60)
        for _ in range(20):
            end(kept, clock, after=0.1)
        assert (kept.given_up == "") is lasting
