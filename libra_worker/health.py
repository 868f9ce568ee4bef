"""What a node tells of itself to monitoring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from libra_common.health import Check, Family, Histogram, Look, Tally
from libra_common.health.certificate import CertificateDays
from libra_common.health.registration import Registration
from libra_common.jobs import JobWorker
from libra_worker.drivers.base import Driver, DriverHealth


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

    def look(self) -> Look:
        """Ask the driver once; its figures are those of the moment of the checks."""
        driver = self._driver()
        health = None if driver is None else driver.health()
        return Look(checks=tuple(self._checks(health)), families=partial(self._families, health))

    def _checks(self, health: DriverHealth | None) -> Iterator[Check]:
        """Registered, and HAProxy serves what is stored."""
        yield self._registration.check()
        if health is None:
            yield Check(name="haproxy", ok=False, detail="being brought to the stored state")
        else:
            yield Check(name="haproxy", ok=health.ok, detail=health.detail)
        certificate = self._certificate.check()
        if certificate is not None:
            yield certificate

    def _families(self, health: DriverHealth | None) -> Iterator[Family | Histogram]:
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
        if health is not None:
            yield from health.figures()
        yield self._certificate.family()
