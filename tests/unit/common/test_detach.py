from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from libra_common import detach
from libra_common.detach import Readiness, Reporter, judge
from libra_common.exits import Exit

Reports = Callable[[float], str | None]


class Tape:
    """Reports at set times; waiting costs no real time."""

    def __init__(self, *entries: tuple[float, str | None]) -> None:
        self.now = 0.0
        self._entries: Iterator[tuple[float, str | None]] = iter(entries)
        self._next = next(self._entries, None)

    def clock(self) -> float:
        return self.now

    def report(self, seconds: float) -> str | None:
        if self._next is None or self._next[0] > self.now + seconds:
            self.now += seconds
            return ""
        self.now, text = max(self.now, self._next[0]), self._next[1]
        self._next = next(self._entries, None)
        return text


@pytest.mark.parametrize(
    ("tape", "code", "words", "at"),
    [
        (Tape((1, "SERVING 7"), (2, "READY 7")), Exit.OK, "", 2),
        (Tape((3, "READY 7")), Exit.OK, "", 3),
        (Tape((1, "SERVING 7")), Exit.NOT_READY, "warning", 11),
        (Tape((1, "SERVING 7")), Exit.NOT_READY, "process 7", 11),
        (Tape((1, "SERVING 7"), (12, "READY 7")), Exit.NOT_READY, "goes on", 11),
        (Tape((55, "SERVING 7"), (64, "READY 7")), Exit.OK, "", 64),
        (Tape(), Exit.UNAVAILABLE, "not served after 60 s", 60),
        (Tape((1, "FAILED 73 already running as 5")), Exit.ALREADY_RUNNING, "running as 5", 1),
        (Tape((1, "SERVING 7"), (2, "FAILED 69 gone")), Exit.UNAVAILABLE, "gone", 2),
        (Tape((1, None)), Exit.SOFTWARE, "without a word", 1),
    ],
)
def test_the_command_judges_the_start_by_what_the_daemon_reports_in_time(
    tape: Tape, code: Exit, words: str, at: float
) -> None:
    verdict = judge(tape.report, clock=tape.clock)
    assert verdict.code == code
    assert words in verdict.message
    assert tape.now == at


def test_reports_cross_the_pipe_whole_and_in_order() -> None:
    reading, writing = os.pipe()
    reporter = Reporter(fd=writing)
    reports = detach._reports(reading)
    assert reports(0) == ""
    reporter.progress(Readiness.STARTING)
    reporter.progress(Readiness.SERVING)
    reporter.progress(Readiness.SERVING)
    reporter.failed(Exit.CONFIG, "two\nlines é")
    assert reports(30) == f"SERVING {os.getpid()}"
    assert reports(30) == "FAILED 78 two\nlines é"
    assert reports(30) is None
    # And nothing more is said, or breaks, after the last word.
    assert not reporter.pending
    reporter.progress(Readiness.READY)
    reporter.failed(Exit.OK, "")
    os.close(reading)


def test_a_command_that_no_longer_listens_is_no_trouble() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    reporter = Reporter(fd=writing)
    reporter.progress(Readiness.READY)
    assert not reporter.pending
