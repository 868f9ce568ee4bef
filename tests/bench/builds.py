"""Figure 8: a hundred devices at once in a real OpenStack, beside what nova itself needs."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from tests.bench.bench import Bench, note, save
from tests.bench.footprint import resident
from tests.bench.summary import Goal, Row, row
from tests.support.crowd import crowd
from tests.support.nova_manager import NovaManager
from tests.support.openstack import OpenStack, started
from tests.support.wait import until

_BASENAME = "libra-slow10"  # by this name the hypervisor takes ten seconds
_THREADS = 8  # POSTs at the same time, nova's own and the pool manager's
_WAITING = (1, 10, 100)
_WINDOW = 12.0  # seconds in which calls are counted
_CALL = "libra_pool_mgm.clouds.nova.session"
_ORIGINAL_THREADS, _ORIGINAL_POLL = 4, 60.0  # its defaults: one build a thread, a look a minute


def measure(bench: Bench) -> list[Row]:
    """The same hundred orders through the pool manager, and by nova alone before and after it.

    Nova needs longer the more servers it ever had, so it would be wrong to measure it once.
    """
    count = bench.amount(100, 20)
    with started() as stack, stack.quota(instances=-1, addresses=-1), unlimited(stack):
        note(f"  {count} servers by nova alone")
        before = _by_nova(stack, count)
        stack.wipe()
        note(f"  {count} devices by the pool manager")
        seconds, memory = _by_libra(bench, stack, count)
        stack.wipe()
        note(f"  {count} servers by nova alone")
        after = _by_nova(stack, count)
        stack.wipe()
        note("  calls while builds wait")
        calls = _calls(bench, stack, [one for one in _WAITING if one <= count])
    # Each of its threads sees its server built at the first look that is late enough.
    looks = -(-10 // _ORIGINAL_POLL)
    original = count / _ORIGINAL_THREADS * looks * _ORIGINAL_POLL
    alone = (before + after) / 2
    data: dict[str, Any] = {
        "builds": count,
        "nova_alone_s": [before, after],
        "libra_s": seconds,
        "original_computed_s": original,
        "calls_per_second_by_waiting_builds": calls,
        "resident_mb": memory,
    }
    save("8-builds", data)
    few, most = min(calls), max(calls)
    return [
        row(f"8-{count}-builds-of-10-s-vs-nova-alone", seconds, "s", against=alone,
            goal=Goal("ratio", 1.3)),
        row(f"8-{count}-builds-of-10-s-vs-the-original-computed", seconds, "s", against=original),
        *(row(f"8-api-calls-while-{one}-wait", calls[one], "a second") for one in calls),
        row(f"8-api-calls-while-{most}-wait-vs-{few}", calls[most], "a second",
            against=calls[few], goal=Goal("ratio", 1.1)),
        row(f"8-pool-manager-resident-after-{count}-builds", memory, "MB"),
    ]  # fmt: skip


@contextmanager
def unlimited(stack: OpenStack) -> Iterator[None]:
    """Let nova build as many servers at once as are ordered."""
    path = stack.place / "etc" / "nova" / "nova.conf"
    before = path.read_text()
    path.write_text(before.replace("[DEFAULT]\n", "[DEFAULT]\nmax_concurrent_builds = 0\n", 1))
    try:
        stack.restart("nova-compute")
        yield
    finally:
        path.write_text(before)
        stack.restart("nova-compute")


def _by_nova(stack: OpenStack, count: int) -> float:
    """Seconds from the first POST until the last server is active, asked for by a list alone."""
    member, place = stack.member, stack.cloud
    order = {
        "imageRef": member.image.find_image(place.image, ignore_missing=False).id,
        "flavorRef": member.compute.find_flavor(place.flavor, ignore_missing=False).id,
        "networks": [{"uuid": member.network.find_network(place.network, ignore_missing=False).id}],
        "key_name": place.key,
        "security_groups": [{"name": place.group}],
        "metadata": {"libra_key": "none"},
    }

    def post(_: int) -> None:
        name = f"{_BASENAME}-{uuid.uuid4()}"
        answer = member.compute.post("/servers", json={"server": {"name": name, **order}})
        assert answer.status_code == 202, answer.text

    began = time.monotonic()
    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(post, range(count)))
    until(lambda: _active(stack, count), "all servers are active", 600)
    return time.monotonic() - began


def _active(stack: OpenStack, count: int) -> bool:
    time.sleep(1)
    answer = stack.member.compute.get("/servers?status=ACTIVE")
    return answer.status_code == 200 and len(answer.json()["servers"]) >= count


@contextmanager
def _manager(bench: Bench, stack: OpenStack) -> Iterator[NovaManager]:
    manager = NovaManager(
        folder=bench.place() / "m",
        servers=[bench.gearmand.address],
        place=stack.cloud,
        node_basename=_BASENAME,
        slots=128,
        threads=_THREADS,
        build_timeout=600,
    )
    with manager:
        manager.start()
        until(lambda: "can be used" in manager.said(), "it knows the cloud", 60)
        yield manager


def _by_libra(bench: Bench, stack: OpenStack, count: int) -> tuple[float, float]:
    """Seconds from the first job sent to the last answer, and the memory after that, in MB."""
    keys = [str(uuid.uuid4()) for _ in range(count)]
    names = [f"{_BASENAME}-{key}" for key in keys]
    with crowd(names, bench.gearmand.address), _manager(bench, stack) as manager:
        began = time.monotonic()
        sent = [manager.begin("BUILD_DEVICE", unique=key, timeout=900) for key in keys]
        answers = [one.result(900) for one in sent]
        seconds = time.monotonic() - began
        assert all(one["response"] == "PASS" for one in answers), answers
        return seconds, resident(manager.pid)


def _calls(bench: Bench, stack: OpenStack, counts: Sequence[int]) -> dict[int, float]:
    """Calls a second while so many builds wait: with nova's conductor stopped, they all do."""
    found: dict[int, float] = {}
    with _manager(bench, stack) as manager, stack.hung("nova-conductor"):
        ordered = 0
        for count in counts:
            for _ in range(count - ordered):
                manager.begin("BUILD_DEVICE", timeout=900)
            ordered = count
            until(lambda n=count: _posts(manager) >= n, f"{count} are ordered", 300)  # type: ignore[misc]
            time.sleep(2)
            before = _sent(manager)
            time.sleep(_WINDOW)
            found[count] = (_sent(manager) - before) / _WINDOW
        manager.kill()
    return found


def _sent(manager: NovaManager) -> int:
    return sum(_CALL in line for line in manager.log.read_text().splitlines())


def _posts(manager: NovaManager) -> int:
    return sum("POST /servers: 202" in line for line in manager.log.read_text().splitlines())
