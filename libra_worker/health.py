"""What a node tells of itself to monitoring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from libra_common.health import Check, Family, Histogram, Tally
from libra_common.health.certificate import CertificateDays
from libra_common.health.registration import Registration
from libra_common.jobs import JobWorker
from libra_worker.drivers.base import Driver


class WorkerHealth:
    """The subject of a worker's pages. What is not there yet is not ready.

    `certificate` is the node's own, if it speaks TLS.
    """

    def __init__(
        self,
        *,
        registration: Registration,
        driver: Callable[[], Driver | None],
        jobs: Callable[[], JobWorker | None],
        tally: Tally,
        certificate: Path | None,
    ) -> None:
        self._registration = registration
        self._driver = driver
        self._jobs = jobs
        self._tally = tally
        self._certificate = CertificateDays([certificate])

    def checks(self) -> Iterator[Check]:
        """Registered, and HAProxy serves what is stored."""
        yield self._registration.check()
        driver = self._driver()
        if driver is None:
            yield Check(name="haproxy", ok=False, detail="being brought to the stored state")
        else:
            health = driver.health()
            yield Check(name="haproxy", ok=health.ok, detail=health.detail)
        certificate = self._certificate.check()
        if certificate is not None:
            yield certificate

    def families(self) -> Iterator[Family | Histogram]:
        """Jobs, HAProxy, certificates."""
        yield self._tally.family()
        jobs = self._jobs()
        if jobs is not None:
            yield Family.one("libra_jobs_running", "Jobs being answered now.", jobs.status().busy)
        yield Family(
            name="libra_registered",
            help="Whether each job server that knows this daemon does so.",
            labels=("server",),
            values={(str(server),): 1.0 for server in self._registration.servers()},
        )
        driver = self._driver()
        if driver is not None:
            yield from driver.health().figures
        yield self._certificate.family()
