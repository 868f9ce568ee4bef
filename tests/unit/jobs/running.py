"""A worker of one slot, running against a fake server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from libra_common.jobs import GearmanServer, Job, JobWorker
from tests.unit.jobs.fakeserver import (
    FakeServer,
)


@contextmanager
def worker(
    server: FakeServer,
    handler: Callable[[Job], bytes] = lambda job: job.data.upper(),
    *,
    message_limit: int = 1024 * 1024,
    slots: int = 1,
    probe: float = 15.0,
) -> Iterator[JobWorker]:
    made = JobWorker(
        name="node",
        servers=[GearmanServer("127.0.0.1", server.port)],
        slots=slots,
        handler=handler,
        on_oversize=lambda size: f"too long: {size}".encode(),
        message_limit=message_limit,
        probe_idle=probe,
        probe_patience=probe,
    )
    made.start()
    yield made
    made.stop(5)
