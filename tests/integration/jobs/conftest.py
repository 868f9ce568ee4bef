"""A gearmand, and workers that are stopped when the test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from libra_common.jobs import Job, JobWorker, parse_server
from tests.support.gearmand import Gearmand

MakeWorker = Callable[..., JobWorker]


@pytest.fixture
def gearmand() -> Iterator[Gearmand]:
    with Gearmand() as server:
        yield server


def echo(job: Job) -> bytes:
    return job.data


@pytest.fixture
def make_worker() -> Iterator[MakeWorker]:
    """Start a worker called "node" at the given gearmands (or addresses)."""
    made: list[JobWorker] = []

    def make(*servers: Gearmand | str, **options: Any) -> JobWorker:
        addresses = [one if isinstance(one, str) else one.address for one in servers]
        usual: dict[str, Any] = {
            "name": "node",
            "slots": 2,
            "handler": echo,
            "on_oversize": lambda size: f"too long: {size}".encode(),
        }
        worker = JobWorker(servers=[parse_server(text) for text in addresses], **(usual | options))
        made.append(worker)
        worker.start()
        return worker

    yield make
    for worker in made:
        worker.stop(5)
