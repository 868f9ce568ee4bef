"""A load balancer of 10 listeners, 20 pools, 200 members and 50 policies, and random changes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.big_graph import LISTENERS, POLICIES, POOLS, BigGraph, body
from tests.support.octavia_cloud import OctaviaCloud
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4 * 3600)]

CHANGES = int(os.environ.get("LIBRA_CHANGES", "20"))
"""How many; Octavia needs some seconds of a processor for each, to read all that there is."""


@pytest.fixture
def cloud() -> Iterator[OctaviaCloud]:
    with OctaviaCloud() as running:
        yield running


class Clients:
    """Ask the listener that nobody changes, all the time; `failures` is what went wrong."""

    def __init__(self, graph: BigGraph) -> None:
        self.answers = 0
        self.failures: list[str] = []
        self._graph = graph
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Clients:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(60)

    def _ask(self) -> None:
        while not self._end.is_set():
            try:
                if not self._graph.serves():
                    self.failures.append("another answer")
                self.answers += 2
            except Exception as error:  # noqa: BLE001 - whatever a client runs into is lost
                self.failures.append(repr(error))
            time.sleep(0.02)


def test_random_changes_are_served_and_reported_and_lose_no_request(cloud: OctaviaCloud) -> None:
    # Given all of it made by one call
    webs = cloud.members(*(f"m{number}" for number in range(10)))
    made = cloud.balancer(settle=False, **body(webs))
    assert cloud.api.settled(f"loadbalancers/{made['id']}", 400) == "ACTIVE", cloud.said()
    graph = BigGraph(cloud, cloud.api.show(f"loadbalancers/{made['id']}") or {}, seed=9)
    kinds = (("listeners", LISTENERS), ("pools", POOLS), ("l7policies", LISTENERS * POLICIES))
    for kind, count in kinds:
        found = cloud.api.call("GET", kind)[kind]
        assert [one["provisioning_status"] for one in found] == ["ACTIVE"] * count
    with Clients(graph) as clients:
        until(lambda: clients.answers, "clients are answered")
        for _ in range(LISTENERS):
            graph.look()
        # When it is changed again and again
        for number in range(CHANGES):
            path = graph.change()
            assert clients.failures == [], f"after {number} changes, the last of {path}"
            # Then what the API shows is served
            if number % 5 == 0:
                graph.look()
    assert cloud.pending() == []
    assert clients.answers > CHANGES
