from __future__ import annotations

import asyncio
import contextlib
import gc

from libra_pool_mgm.turns import Turns


def test_those_about_the_same_thing_take_turns_in_their_order_and_others_do_not_wait() -> None:
    async def story() -> list[str]:
        turns = Turns()
        told: list[str] = []
        end = asyncio.Event()

        async def one(name: str, who: str) -> None:
            async with turns.of(name):
                told.append(f"{who} begins")
                await end.wait()
                told.append(f"{who} ends")

        # Given one whose turn it is, and another that waits for the same thing
        tasks = [asyncio.create_task(one("a", who)) for who in ("first", "second")]
        await asyncio.sleep(0)
        # When a third comes for another thing, and then all may end
        tasks.append(asyncio.create_task(one("b", "third")))
        while len(told) < 2:
            await asyncio.sleep(0)
        end.set()
        await asyncio.gather(*tasks)
        return told

    told = asyncio.run(story())
    # Then the third did not wait, and the second did
    assert told[:2] == ["first begins", "third begins"]
    assert told.index("first ends") < told.index("second begins")


def test_a_turn_that_ends_badly_is_over_too_and_nothing_is_kept_of_it() -> None:
    turns = Turns()

    async def story() -> None:
        for _ in range(2):
            with contextlib.suppress(LookupError):
                async with turns.of("a"):
                    [].pop()

    asyncio.run(asyncio.wait_for(story(), 15))
    gc.collect()
    assert not turns._locks
