"""The pages of health: what each says, to whom, and that nobody holds them up."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from libra_common.health import Check, Family, HealthServer, Look, Page, Tally
from libra_common.health.server import HealthUnavailable
from libra_common.health.subject import Histogram
from libra_common.settings.values import HostPort, Loopback


class Subject:
    def __init__(self) -> None:
        self.well = True
        self.tally = Tally()
        self.asked: list[str] = []

    def look(self) -> Look:
        self.asked.append("look")
        checks = (
            Check(name="gearman", ok=True, detail="registered"),
            Check(name="haproxy", ok=self.well, detail='says "no"'),
        )
        return Look(checks=checks, families=self._families)

    def _families(self) -> Iterator[Family | Histogram]:
        self.asked.append("figures")
        yield self.tally.family()
        yield Family(
            name="libra_things",
            help="Things.",
            labels=("what",),
            values={('a "b"\n\\',): 2.0},
            counter=True,
        )


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def subject() -> Subject:
    return Subject()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def page(subject: Subject, clock: Clock) -> Page:
    return Page(prog="libra_x", subject=subject, progress=lambda: 90.0, patience=30.0, clock=clock)


def test_it_is_alive_while_its_loop_goes_on(page: Page, clock: Clock) -> None:
    assert page.answer("/healthz").status == 200
    clock.now = 121.0
    answer = page.answer("/healthz")
    assert answer.status == 503
    assert json.loads(answer.body) == {"alive": False, "seconds_since_progress": 31.0}


def test_it_is_ready_when_every_check_is_well(page: Page, subject: Subject) -> None:
    assert page.answer("/readyz?verbose").status == 200
    subject.well = False
    answer = page.answer("/readyz")
    assert answer.status == 503
    assert [one["ok"] for one in json.loads(answer.body)["checks"]] == [True, False]


def test_each_page_looks_once_and_asks_for_no_more_than_it_shows(
    page: Page, subject: Subject
) -> None:
    page.answer("/healthz")
    assert subject.asked == []
    page.answer("/readyz")
    assert subject.asked == ["look"]
    page.answer("/metrics")
    assert subject.asked == ["look", "look", "figures"]


def test_figures_are_in_prometheus_own_form(page: Page, subject: Subject) -> None:
    subject.tally.note("UPDATE", "PASS", 0.004)
    subject.tally.note("UPDATE", "PASS", 400.0)
    lines = page.answer("/metrics").body.decode().splitlines()
    assert 'libra_check{check="haproxy"} 1.0' in lines
    assert 'libra_things_total{what="a \\"b\\"\\n\\\\"} 2.0' in lines
    assert 'libra_job_seconds_bucket{action="UPDATE",le="0.002",result="PASS"} 0.0' in lines
    assert 'libra_job_seconds_bucket{action="UPDATE",le="0.005",result="PASS"} 1.0' in lines
    assert 'libra_job_seconds_bucket{action="UPDATE",le="+Inf",result="PASS"} 2.0' in lines
    assert 'libra_job_seconds_sum{action="UPDATE",result="PASS"} 400.004' in lines


def test_what_happens_in_a_job_is_counted_once_however_it_ends() -> None:
    tally = Tally()
    with tally.job() as ended:
        ended("STATS", "first")
        ended("STATS", "PASS")
    with contextlib.suppress(ZeroDivisionError), tally.job() as ended:
        ended("STATS", "internal_error")
        _ = 1 / 0
    with tally.job():
        pass
    assert sorted(tally.family().values) == [("STATS", "PASS"), ("STATS", "internal_error")]


def get(server: HealthServer, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_silent_callers_hold_nobody_up_and_nothing_can_be_changed(page: Page) -> None:
    server = HealthServer(at=HostPort("127.0.0.1", 0), page=page)
    try:
        assert server.port is not None
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(10)]
        assert get(server, "/readyz")[0] == 200
        assert get(server, "/readyz", "HEAD") == (200, b"")
        assert get(server, "/readyz", "POST")[0] == 501
        assert get(server, "/")[0] == 404
        for one in silent:
            one.close()
    finally:
        server.close()


def test_the_socket_of_the_dead_is_taken_and_no_other_file_is(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "health.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = HealthServer(at=path, page=page)
    with pytest.raises(HealthUnavailable, match="another process"):
        HealthServer(at=path, page=page)
    server.close()
    assert not path.exists()
    path.write_text("a diary")
    with pytest.raises(HealthUnavailable, match="no socket"):
        HealthServer(at=path, page=page)
    assert path.read_text() == "a diary"


@pytest.mark.parametrize("text", ["0.0.0.0:9100", "localhost:9100", "198.18.0.1:1", "9100", ":1"])
def test_pages_are_for_this_machine_alone(text: str) -> None:
    with pytest.raises(ValueError, match=r"loopback|port|host|address"):
        Loopback().parse(text)
