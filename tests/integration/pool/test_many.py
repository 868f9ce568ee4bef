"""Many builds at once: what they cost, and what they leave behind when some of them go wrong."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.support.pool_manager import PoolManager
from tests.support.wait import until

WINDOW = 2.5  # seconds


def threads(manager: PoolManager) -> int:
    return len(list(Path(f"/proc/{manager.pid}/task").iterdir()))


def at_least(manager: PoolManager, count: int) -> bool:
    return len(manager.device_names()) >= count


def calls_in_window(manager: PoolManager) -> int:
    """How many calls reach the cloud while nothing happens but waiting."""
    before = len(manager.cloud.calls())
    time.sleep(WINDOW)
    return len(manager.cloud.calls()) - before


def test_sixty_waiting_builds_cost_as_many_threads_and_calls_as_one(farmed: PoolManager) -> None:
    farmed.start()
    # Given one build that waits
    farmed.begin("BUILD_DEVICE", flavor="slow100 mute")
    until(lambda: len(farmed.device_names()) == 1, "it is ordered")
    until(lambda: "devices" in [name for _, name in farmed.cloud.calls()], "it waits")
    alone, calls_alone = threads(farmed), calls_in_window(farmed)
    # When sixty wait
    for _ in range(59):
        farmed.begin("BUILD_DEVICE", flavor="slow100 mute")
    until(lambda: len(farmed.device_names()) == 60, "all are ordered")
    time.sleep(1)
    together, calls_together = threads(farmed), calls_in_window(farmed)
    # Then there are as many threads (but for those that ordered them, eight at most), and calls
    assert together <= alone + 8
    assert calls_alone <= WINDOW / 0.5 + 1
    assert calls_together <= WINDOW / 0.5 + 1


def test_short_jobs_do_not_wait_behind_long_builds(farmed: PoolManager) -> None:
    farmed.start()
    for _ in range(20):
        farmed.begin("BUILD_DEVICE", flavor="slow100 mute")
    until(lambda: len(farmed.device_names()) == 20, "all are ordered")
    assert farmed.send({"action": "BUILD_IP"}, timeout=10)["response"] == "PASS"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_of_200_builds_with_faults_and_kills_nothing_is_left_after_one_sweep(
    farmed: PoolManager,
) -> None:
    # Given 200 jobs, 40 of which go wrong in one way or another
    faults = ("fails", "huge", "quota", "lost", "mute", "unseen", "homeless", "unmarked")
    farmed.write_config(build_timeout=8, sweep_grace=30)
    farmed.start()
    sent = {
        number: farmed.begin(
            "BUILD_DEVICE",
            unique=f"job-{number}",
            flavor=faults[number // 5 % len(faults)] if number % 5 == 0 else "slow1",
            timeout=300,
        )
        for number in range(200)
    }
    # When the manager is killed twice in the midst of them
    for count in (20, 80):
        until(partial(at_least, farmed, count), f"{count} devices", 120)
        farmed.kill()
        farmed.start()
    answers = {number: one.result(timeout=300) for number, one in sent.items()}
    # Then each is answered, the good ones with a device of their own
    passed = {answer["name"] for answer in answers.values() if answer["response"] == "PASS"}
    good = [number for number in answers if number % 5 or faults[number // 5 % 8] == "lost"]
    assert [number for number in good if answers[number]["response"] != "PASS"] == []
    assert len(passed) == len(good) == 165
    # And after one sweep there is what was delivered, and nothing else
    farmed.cloud.age(60)
    assert farmed.run("--sweep").returncode == 0
    assert farmed.device_names() == passed


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_200_builds_queue_fairly(farmed: PoolManager) -> None:
    # Given 200 builds of two seconds and 64 slots
    farmed.start()
    ended: list[int] = []

    def build(number: int) -> None:
        answer = farmed.do("BUILD_DEVICE", flavor="slow2")
        assert answer["response"] == "PASS"
        ended.append(number)

    with ThreadPoolExecutor(200) as pool:
        sent = []
        for number in range(200):
            sent.append(pool.submit(build, number))
            time.sleep(0.005)  # so that there is an order
        for one in sent:
            one.result(timeout=200)
    # Then no early one ends after one that came 128, two rounds, later
    place = {number: index for index, number in enumerate(ended)}
    assert all(place[number] < place[number + 128] for number in range(72))
