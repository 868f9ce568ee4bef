"""Statuses of load balancers at rest are known without asking, as long as they are true."""

from __future__ import annotations

from dataclasses import replace

import pytest

from libra_amphora.resting import Resting
from libra_haproxy.text_store import Record, Wanted

STATUSES = [{"status": "STOPPED", "uuid": "x", "type": "HTTP"}]
RECORD = Record(uploaded="a text")


def kept(record: Record, source: str = "a text") -> Resting:
    resting = Resting()
    resting.keep("one", record, source=source, statuses=STATUSES)
    return resting


def test_statuses_of_the_present_record_are_known() -> None:
    assert kept(RECORD).all({"one": RECORD}) == STATUSES
    assert Resting().all({}) == []


def test_one_without_a_text_yet_has_nothing_to_say() -> None:
    assert kept(RECORD).all({"one": RECORD, "two": None}) == STATUSES


@pytest.mark.parametrize("wanted", [Wanted.NEW, Wanted.STOPPED, Wanted.STARTED])
def test_nothing_is_known_of_any_other_record(wanted: Wanted) -> None:
    resting = kept(RECORD)
    assert resting.all({"one": replace(RECORD, wanted=wanted)}) is None
    assert resting.all({"one": RECORD, "two": RECORD}) is None


def test_one_that_should_run_is_asked_every_time() -> None:
    record = replace(RECORD, running="a text", wanted=Wanted.STARTED)
    assert kept(record).all({"one": record}) is None


def test_statuses_of_a_text_that_was_replaced_meanwhile_are_not_kept() -> None:
    assert kept(RECORD, source="the text before").all({"one": RECORD}) is None


def test_stopped_one_is_known_by_the_text_that_ran() -> None:
    record = Record(uploaded="a newer text", running="a text", wanted=Wanted.STOPPED)
    assert kept(record).all({"one": record}) == STATUSES
    assert kept(record, source="a newer text").all({"one": record}) is None


def test_one_that_is_gone_is_forgotten() -> None:
    resting = kept(RECORD)
    resting.forget("one")
    assert resting.all({"one": RECORD}) is None
