"""What a pool manager tells of itself to monitoring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from libra_common.health import Check, Family, Histogram, Look, Tally
from libra_common.health.certificate import CertificateDays
from libra_common.health.recent import Recent
from libra_common.health.registration import Registration
from libra_pool_mgm.clouds.base import Device, DeviceState


class PoolHealth:
    """The subject of a pool manager's pages.

    `devices` asks the cloud for all of them, now and then and never while a page waits; `busy`
    tells how many jobs run.
    """

    def __init__(
        self,
        *,
        registration: Registration,
        tally: Tally,
        devices: Callable[[], Sequence[Device]],
        busy: Callable[[], int],
        certificate: Path | None,
    ) -> None:
        self._registration = registration
        self._tally = tally
        self._devices = Recent(what="the list of devices", ask=devices)
        self._busy = busy
        self._certificate = CertificateDays([certificate])

    def look(self) -> Look:
        """The checks of now, and the figures."""
        return Look(checks=tuple(self._checks()), families=self._families)

    def _checks(self) -> Iterator[Check]:
        """Registered; a cloud that is away fails its jobs, and no restart mends that."""
        yield self._registration.check()
        certificate = self._certificate.check()
        if certificate is not None:
            yield certificate

    def _families(self) -> Iterator[Family | Histogram]:
        """Jobs (a build's seconds among them), and devices by state."""
        yield self._tally.family()
        yield Family.one("libra_jobs_running", "Jobs being done now.", float(self._busy()))
        devices = self._devices.get()
        yield Family.one(
            "libra_cloud_answers", "Whether the cloud told its devices.", float(devices is not None)
        )
        if devices is not None:
            count = Counter(device.state for device in devices)
            yield Family(
                name="libra_devices",
                help="Devices of this pool, by how far they are.",
                labels=("state",),
                values={(state.value,): float(count[state]) for state in DeviceState},
            )
            yield Family.one(
                "libra_devices_delivered",
                "Devices that were answered with PASS.",
                float(sum(device.delivered for device in devices)),
            )
        yield self._certificate.family()
