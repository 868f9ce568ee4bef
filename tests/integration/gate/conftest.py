"""A gearmand, an authority and a gate between them; workers that stop when the test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from libra_common.jobs import GearmanServer, Job, JobWorker, TlsFiles
from tests.support.gate import Gate, Papers
from tests.support.gearmand import Gearmand

MakeGate = Callable[..., Gate]
MakeWorker = Callable[..., JobWorker]


@pytest.fixture
def gearmand() -> Iterator[Gearmand]:
    with Gearmand() as server:
        yield server


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(tmp_path)


@pytest.fixture
def make_gate(papers: Papers) -> Iterator[MakeGate]:
    made: list[Gate] = []

    def make(*servers: Gearmand | str, **settings: object) -> Gate:
        made.append(Gate(papers, *servers, **settings))
        return made[-1].start()

    yield make
    for gate in made:
        gate.__exit__()


@pytest.fixture
def gate(make_gate: MakeGate, gearmand: Gearmand) -> Gate:
    return make_gate(gearmand)


def backwards(job: Job) -> bytes:
    return job.data[::-1]


@pytest.fixture
def make_worker() -> Iterator[MakeWorker]:
    """Start a worker at the given servers, with the given papers."""
    made: list[JobWorker] = []

    def make(*servers: Gate | GearmanServer, tls: TlsFiles | None, **options: Any) -> JobWorker:
        addresses = [one.address if isinstance(one, Gate) else one for one in servers]
        usual: dict[str, Any] = {
            "name": "web-1",
            "slots": 2,
            "handler": backwards,
            "on_oversize": lambda size: f"too long: {size}".encode(),
        }
        made.append(JobWorker(servers=addresses, tls=tls, **(usual | options)))
        made[-1].start()
        return made[-1]

    yield make
    for worker in made:
        worker.stop(5)
