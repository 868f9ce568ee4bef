"""Names and keys, what is undone, what a look at a device shows, and the codes of answers."""

from __future__ import annotations

import asyncio
import inspect
import threading
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_messages.pool_answers import PoolCode
from libra_pool_mgm import controller, floating
from libra_pool_mgm.build import Progress
from libra_pool_mgm.calls import Calls
from libra_pool_mgm.clouds import errors
from libra_pool_mgm.clouds.base import Device, DeviceState
from libra_pool_mgm.clouds.errors import (
    BuildFailed,
    CloudError,
    CloudTimeout,
    DeleteFailed,
    NoCapacity,
)
from libra_pool_mgm.controller import Work
from libra_pool_mgm.inspection import fault_in
from libra_pool_mgm.names import device_name, key_of
from libra_pool_mgm.removal import gone
from libra_pool_mgm.undo import Undo
from tests.unit.pool.things import device

# -- keys and names ------------------------------------------------------------------------------


@given(st.uuids())
def test_a_unique_that_is_a_uuid_is_the_key(unique: uuid.UUID) -> None:
    for spelled in (str(unique), unique.hex, str(unique).upper()):
        assert key_of(spelled) == str(unique)


@given(st.text(min_size=2))
def test_any_other_unique_gives_the_same_key_each_time(unique: str) -> None:
    key = key_of(unique)
    assert key == key_of(unique)
    assert str(uuid.UUID(key)) == key


@given(st.text(min_size=2), st.text(min_size=2))
def test_two_uniques_never_share_a_key(one: str, other: str) -> None:
    if one != other:
        assert key_of(one) != key_of(other)


@pytest.mark.parametrize("unique", ["", "-"])
def test_without_a_unique_each_run_has_a_key_of_its_own(unique: str) -> None:
    assert key_of(unique) != key_of(unique)


def test_underscores_become_hyphens_in_names_for_they_are_host_names() -> None:
    assert device_name("libra_stg", "k") == "libra-stg-k"


# -- undo ----------------------------------------------------------------------------------------


def test_what_was_done_is_undone_last_first_and_a_failure_stops_no_other() -> None:
    done: list[int] = []

    async def act(number: int) -> None:
        done.append(number)
        if number == 2:
            raise CloudError("away")
        if number == 3:
            raise ZeroDivisionError

    async def story() -> None:
        async with Undo() as undo:
            for number in (1, 2, 3):
                undo.register(str(number), lambda number=number: act(number))  # type: ignore[misc]
            raise KeyError

    with pytest.raises(KeyError):
        asyncio.run(story())
    assert done == [3, 2, 1]


def test_what_was_forgotten_is_not_undone() -> None:
    done: list[int] = []

    async def act() -> None:
        done.append(1)

    async def story() -> None:
        async with Undo() as undo:
            undo.register("it", act)
            undo.forget()

    asyncio.run(story())
    assert done == []


def test_one_who_is_cancelled_undoes_to_the_end() -> None:
    done: list[int] = []

    async def act() -> None:
        await asyncio.sleep(0.05)
        done.append(1)

    async def story() -> None:
        async with Undo() as undo:
            undo.register("it", act)
            await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(story())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done == [1]

    asyncio.run(main())


def test_a_call_that_runs_is_waited_for_by_who_is_cancelled() -> None:
    begun, released, done = threading.Event(), threading.Event(), []

    def call() -> None:
        begun.set()
        released.wait(30)
        done.append(1)

    async def main() -> None:
        calls = Calls(threads=1, name="test")
        task = asyncio.create_task(calls.run(call))
        await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        await asyncio.sleep(0.05)
        assert not task.done()
        released.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done == [1]
        calls.close()

    asyncio.run(main())


def test_a_question_that_runs_is_not_waited_for_by_who_is_cancelled() -> None:
    begun, released = threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        released.wait(30)

    async def main() -> None:
        calls = Calls(threads=1, name="test")
        task = asyncio.create_task(calls.ask(call))
        await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 20)
        assert not released.is_set()
        released.set()
        calls.close()

    asyncio.run(main())


# -- looking at listings ---------------------------------------------------------------------------


def listing(*devices: Device) -> dict[str, Device]:
    return {one.name: one for one in devices}


def test_a_device_is_good_once_it_is_active_and_has_an_address() -> None:
    seen: list[Device] = []
    look = Progress("libra-1", seen.append)
    assert look(listing()) is None
    assert look(listing(device(state=DeviceState.BUILDING, address=None))) is None
    assert look(listing(device(address=None))) is None
    good = device()
    assert look(listing(good, device("libra-2"))) == good
    assert len(seen) == 3


@pytest.mark.parametrize(("out_of_room", "error"), [(True, NoCapacity), (False, BuildFailed)])
def test_a_device_that_failed_raises_with_the_clouds_reason(
    out_of_room: bool, error: type[CloudError]
) -> None:
    failed = device(state=DeviceState.FAILED, fault="why not", out_of_room=out_of_room)
    with pytest.raises(error, match="why not"):
        Progress("libra-1", lambda _: None)(listing(failed))


def test_a_device_missing_from_one_listing_is_not_given_up_but_from_three_it_is() -> None:
    look = Progress("libra-1", lambda _: None)
    building = listing(device(state=DeviceState.BUILDING))
    for found in (building, {}, {}, building, {}, {}):
        assert look(found) is None
    with pytest.raises(BuildFailed, match="deleted while"):
        look({})


def test_a_deleted_device_is_gone_when_it_is_in_no_listing() -> None:
    look = gone("libra-1")
    assert look(listing(device(), device("libra-2"))) is None
    assert look(listing(device(state=DeviceState.DELETING))) is None
    assert look(listing(device("libra-2"))) is True


def test_a_device_that_had_failed_may_still_go_but_not_for_ever() -> None:
    look = gone("libra-1")
    failed = listing(device(state=DeviceState.FAILED, fault="stuck"))
    assert look(failed) is None
    assert look(failed) is None
    with pytest.raises(DeleteFailed, match="stuck"):
        look(failed)


# -- DIAGNOSTICS --------------------------------------------------------------------------------

WELL = {"hpcs_response": "PASS", "network": "PASS"}


def servers(*words: str) -> list[dict[str, str]]:
    return [{"host": f"g{n}", "status": word} for n, word in enumerate(words)]


@pytest.mark.parametrize(
    "answer",
    [
        WELL,
        {**WELL, "gearman": servers("PASS", "PASS", "FAIL"), "haproxy": {"status": "NONE"}},
        {**WELL, "gearman": servers("PASS"), "haproxy": {"status": "PASS"}},
    ],
)
def test_a_device_that_reaches_two_thirds_of_the_servers_is_good(answer: dict[str, Any]) -> None:
    assert fault_in(answer) is None


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ({}, "no reason"),
        ({"hpcs_response": "FAIL", "hpcs_error": "no such action"}, "no such action"),
        ({**WELL, "network": "FAIL"}, "network"),
        ({**WELL, "haproxy": {"status": "FAIL"}}, "HAProxy"),
        ({**WELL, "gearman": servers("PASS", "FAIL")}, "g1"),
        ({**WELL, "gearman": servers("FAIL")}, "g0"),
    ],
)
def test_a_device_that_is_no_good_is_told_why(answer: dict[str, Any], word: str) -> None:
    fault = fault_in(answer)
    assert fault is not None
    assert word in fault


# -- who waits for an outcome --------------------------------------------------------------------


def test_what_is_made_is_wanted_as_long_as_one_of_those_who_came_waits() -> None:
    async def main() -> None:
        work = Work()
        with work.awaited():
            with work.awaited():
                await work.wanted()
            await work.wanted()
        wanted = asyncio.create_task(work.wanted())
        await asyncio.sleep(0.01)
        assert not wanted.done()
        # One who comes again
        with work.awaited():
            await wanted

    asyncio.run(asyncio.wait_for(main(), 30))


def test_what_nobody_asks_for_again_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller, "PATIENCE", 0.01)

    async def main() -> None:
        work = Work()
        with work.awaited():
            pass
        with pytest.raises(CloudTimeout, match="nobody"):
            await work.wanted()

    asyncio.run(asyncio.wait_for(main(), 30))


# -- codes -----------------------------------------------------------------------------------------


def test_every_error_of_a_cloud_has_a_code_that_answers_may_carry() -> None:
    kinds = [
        kind
        for module in (errors, floating)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, CloudError)
    ]
    assert len(kinds) > 10
    assert {kind.code for kind in kinds} <= set(PoolCode)
