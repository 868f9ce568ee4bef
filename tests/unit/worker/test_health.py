"""A page of a node's health costs its driver one question, and its figures one more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import pytest

from libra_common.health import Family, Page, Tally
from libra_common.health.registration import Registration
from libra_common.jobs import GearmanServer
from libra_worker.drivers.base import Driver, DriverHealth
from libra_worker.health import WorkerHealth
from tests.support.ports import free_port


class Counting:
    """A driver that tells nothing but its health, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def health(self) -> DriverHealth:
        self.asked.append("health")
        return DriverHealth(ok=True, detail="serves", figures=self._figures)

    def _figures(self) -> Iterable[Family]:
        self.asked.append("figures")
        return [Family.one("libra_generation", "Its number.", 7.0)]


@pytest.mark.parametrize(
    ("path", "asked"),
    [("/healthz", []), ("/readyz", ["health"]), ("/metrics", ["health", "figures"])],
)
def test_each_page_asks_the_driver_no_more_than_it_shows(path: str, asked: list[str]) -> None:
    driver = Counting()
    subject = WorkerHealth(
        registration=Registration(
            servers=[GearmanServer("127.0.0.1", free_port())],
            tls=None,
            function="node",
            client_id="node",
            own=tuple,
        ),
        driver=lambda: cast(Driver, driver),
        jobs=lambda: None,
        tally=Tally(),
        certificate=None,
    )
    page = Page(prog="libra_worker", subject=subject, progress=lambda: 0.0, clock=lambda: 0.0)
    body = page.answer(path).body.decode()
    assert driver.asked == asked
    assert ("libra_generation 7.0" in body) == ("figures" in asked)
