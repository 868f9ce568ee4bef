"""How long certificates are still good: told in health and metrics, and warned of in the log."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from libra_common.health.subject import Check, Family

LOG = logging.getLogger(__name__)

_DAY = 86_400.0
WARNED = (30, 14, 7, 3, 1, 0)
"""Days before its end at which a certificate is warned of, once each."""


def ends(path: Path) -> float:
    """When the certificate in a PEM file ends, in seconds since 1970.

    Raises OSError where it cannot be read, ValueError where it is none.
    """
    try:
        # No more than the standard library: a plain node has no other reader of certificates.
        found = ssl._ssl._test_decode_cert(str(path))  # type: ignore[attr-defined]
    except ssl.SSLError as error:
        raise ValueError(f"{path} holds no certificate") from error
    return ssl.cert_time_to_seconds(found["notAfter"])


class CertificateDays:
    """The days left of the certificates at `paths`; `clock` is seconds since 1970."""

    def __init__(
        self, paths: Iterable[Path | None], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._paths = tuple(path for path in paths if path is not None)
        self._clock = clock

    def days(self) -> dict[Path, float]:
        """The days left of each that can be read; negative for one that has ended."""
        found: dict[Path, float] = {}
        for path in self._paths:
            try:
                found[path] = (ends(path) - self._clock()) / _DAY
            except (OSError, ValueError) as error:
                LOG.warning("how long %s is still good is not known: %s", path, error)
        return found

    def check(self) -> Check | None:
        """Whether all are good still; None where there are none."""
        days = self.days()
        if not days:
            return None
        path, least = min(days.items(), key=lambda one: one[1])
        return Check(name="certificate", ok=least > 0, detail=f"{path}: {least:.1f} days left")

    def family(self) -> Family:
        """The days left, by file."""
        return Family(
            name="libra_certificate_days",
            help="Days that are left of each certificate of this daemon.",
            labels=("file",),
            values={(str(path),): days for path, days in self.days().items()},
        )


class CertificateWarner:
    """Logs certificates that come near their end, once for each of `WARNED`."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._said: dict[Path, int] = {}

    def warn(self, paths: Iterable[Path | None]) -> None:
        """Look at these; to be called now and then."""
        for path, days in CertificateDays(paths, clock=self._clock).days().items():
            reached = [mark for mark in WARNED if days <= mark]
            if not reached:
                self._said.pop(path, None)
            elif reached[-1] != self._said.get(path):
                self._said[path] = reached[-1]
                level = logging.ERROR if days <= 0 else logging.WARNING
                LOG.log(level, "the certificate %s ends in %.1f days", path, days)
