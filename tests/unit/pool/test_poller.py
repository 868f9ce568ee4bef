"""One question for all that wait: how often it is asked, and who hears which answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_common.errors import LibraError
from libra_pool_mgm import poller
from libra_pool_mgm.poller import FASTEST, SLOWEST, Poller, pause

seconds = st.floats(0, 1e6)


@given(youngest=seconds, took=st.floats(0, 1), failures=st.integers(0, 10_000))
def test_the_pause_has_bounds_whatever_happens(youngest: float, took: float, failures: int) -> None:
    found = pause(youngest=youngest, took=took, failures=failures)
    assert FASTEST <= found <= max(SLOWEST, 4 * took)


@given(seconds, seconds)
def test_the_pause_grows_with_the_wait_of_the_youngest(one: float, other: float) -> None:
    short, long = sorted([one, other])
    assert pause(youngest=short, took=0, failures=0) <= pause(youngest=long, took=0, failures=0)


def test_a_slow_question_takes_a_quarter_of_the_time_at_most() -> None:
    assert pause(youngest=0, took=3, failures=0) == 12


Script = Callable[[int], Awaitable[int]]


async def ask_counting(count: list[int]) -> int:
    count.append(len(count))
    return len(count)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "FASTEST", 0.01)
    monkeypatch.setattr(poller, "SLOWEST", 0.05)


@pytest.mark.usefixtures("quick")
def test_a_hundred_who_wait_share_each_answer_and_none_is_asked_for_after_them() -> None:
    async def story() -> None:
        asked: list[int] = []
        shared = Poller[int](what="it", ask=lambda: ask_counting(asked))
        waits = [shared.wait(lambda n: n if n >= 5 else None) for _ in range(100)]
        assert await asyncio.gather(*waits) == [5] * 100
        await asyncio.sleep(0.2)
        assert len(asked) == 5
        # One who comes later has it asked again
        assert await shared.wait(lambda n: n) == 6

    asyncio.run(asyncio.wait_for(story(), 30))


@pytest.mark.usefixtures("quick")
def test_an_answer_begun_before_one_came_is_not_for_that_one() -> None:
    async def story() -> None:
        release = asyncio.Event()
        asked: list[int] = []

        async def ask() -> int:
            asked.append(1)
            number = len(asked)
            if number == 1:
                await release.wait()
            return number

        shared = Poller[int](what="it", ask=ask)
        first = asyncio.create_task(shared.wait(lambda n: n))
        while not asked:
            await asyncio.sleep(0.001)
        second = asyncio.create_task(shared.wait(lambda n: n))
        await asyncio.sleep(0.02)
        release.set()
        assert (await first, await second) == (1, 2)

    asyncio.run(asyncio.wait_for(story(), 30))


@pytest.mark.usefixtures("quick")
def test_one_whose_look_fails_hears_of_it_and_the_others_wait_on() -> None:
    async def story() -> None:
        asked: list[int] = []
        shared = Poller[int](what="it", ask=lambda: ask_counting(asked))

        def fail(_: int) -> int | None:
            raise KeyError("mine")

        bad = asyncio.create_task(shared.wait(fail))
        good = asyncio.create_task(shared.wait(lambda n: n if n > 3 else None))
        with pytest.raises(KeyError, match="mine"):
            await bad
        assert await good == 4

    asyncio.run(asyncio.wait_for(story(), 30))


@pytest.mark.usefixtures("quick")
def test_a_question_that_fails_is_asked_again_and_its_trouble_known_meanwhile() -> None:
    async def story() -> None:
        asked: list[int] = []

        async def ask() -> int:
            asked.append(1)
            if len(asked) < 4:
                raise LibraError("away")
            return 7

        shared = Poller[int](what="it", ask=ask)
        waiting = asyncio.create_task(shared.wait(lambda n: n))
        while shared.trouble is None:
            await asyncio.sleep(0.001)
        assert str(shared.trouble) == "away"
        assert await waiting == 7
        assert shared.trouble is None

    asyncio.run(asyncio.wait_for(story(), 30))


@pytest.mark.usefixtures("quick")
def test_a_fault_of_ours_in_asking_reaches_those_who_wait() -> None:
    async def story() -> None:
        async def ask() -> int:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await Poller[int](what="it", ask=ask).wait(lambda n: n)

    asyncio.run(asyncio.wait_for(story(), 30))


@pytest.mark.usefixtures("quick")
def test_who_gives_up_is_forgotten() -> None:
    async def story() -> None:
        asked: list[int] = []
        shared = Poller[int](what="it", ask=lambda: ask_counting(asked))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await shared.wait(lambda _: None)
        await asyncio.sleep(0.1)
        count = len(asked)
        await asyncio.sleep(0.2)
        assert len(asked) == count

    asyncio.run(asyncio.wait_for(story(), 30))


def test_one_who_is_patient_has_nothing_asked_sooner() -> None:
    async def story() -> None:
        # Given one who has waited for so long that the next question is seconds away
        now = 0.0
        asked: list[int] = []
        shared = Poller[int](what="it", ask=lambda: ask_counting(asked), clock=lambda: now)
        old = asyncio.create_task(shared.wait(lambda n: n if n >= 3 else None))
        while not asked:
            await asyncio.sleep(0.001)
        now = 100.0
        while len(asked) < 2:
            await asyncio.sleep(0.001)
        # When two come, a patient one and one in a hurry
        patient = asyncio.create_task(shared.wait(lambda n: n, patient=True))
        await asyncio.sleep(0.01)
        now += FASTEST
        await asyncio.sleep(0.01)
        before = len(asked)
        hurried = asyncio.create_task(shared.wait(lambda n: n))
        await asyncio.wait_for(asyncio.gather(old, patient, hurried), 30)
        # Then only the second had it asked at once
        assert before == 2

    asyncio.run(asyncio.wait_for(story(), 30))
