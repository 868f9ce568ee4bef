"""The end of a certificate is told, and warned of once at each mark."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import trustme

from libra_common.health.certificate import CertificateDays, CertificateWarner, ends

DAY = 86_400.0


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "cert.pem"
    trustme.CA().issue_cert("node").cert_chain_pems[0].write_to_path(str(path))
    return path


def test_days_left_are_told_of_those_that_can_be_read(certificate: Path, tmp_path: Path) -> None:
    (tmp_path / "garbage").write_text("no certificate")
    end = ends(certificate)
    days = CertificateDays(
        [certificate, None, tmp_path / "none", tmp_path / "garbage"], clock=lambda: end - 3 * DAY
    )
    assert {path: round(left, 3) for path, left in days.days().items()} == {certificate: 3.0}
    check = days.check()
    assert check is not None
    assert check.ok
    assert CertificateDays([None]).check() is None


def test_one_that_has_ended_is_not_well(certificate: Path) -> None:
    end = ends(certificate)
    check = CertificateDays([certificate], clock=lambda: end + 1).check()
    assert check is not None
    assert not check.ok


def test_each_mark_is_warned_of_once(certificate: Path, caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    end = ends(certificate)
    warner = CertificateWarner(clock=lambda: now[0])
    told = []
    for left in (40, 30, 29, 14, 13, 7, 1, 0, -1):
        now[0] = end - left * DAY
        caplog.clear()
        warner.warn([certificate])
        told.append([record.levelno for record in caplog.records])
    warning, error = [logging.WARNING], [logging.ERROR]
    assert told == [[], warning, [], warning, [], warning, warning, error, []]
