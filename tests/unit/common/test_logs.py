from __future__ import annotations

import dataclasses
import io
import json
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_common import logs
from libra_common.errors import SettingsError
from libra_common.logs import JsonFormatter, TextFormatter, current_job, job_context
from libra_common.settings import DefaultSettings, load

LOG = logging.getLogger("libra.test")


def default_settings(**changes: Any) -> DefaultSettings:
    return dataclasses.replace(load([], prog="libra_worker").default, **changes)


@pytest.fixture(autouse=True)
def _root_as_before() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers, raising = root.level, list(root.handlers), logging.raiseExceptions
    yield
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    root.setLevel(level)
    logging.raiseExceptions = raising
    logging.captureWarnings(False)


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def record(message: Any, *args: Any) -> logging.LogRecord:
    return logging.LogRecord("libra.test", logging.INFO, __file__, 1, message, args, None)


def raised(text: str) -> ValueError:
    """Return an exception that has been raised, so that it has a traceback."""

    def fail() -> None:
        raise ValueError(text)

    with pytest.raises(ValueError) as caught:
        fail()
    return caught.value


def test_a_text_line_has_time_level_logger_and_message(tmp_path: Path) -> None:
    log = tmp_path / "log"
    logs.setup(default_settings(log_file=log), prog="p")
    LOG.info("hello %s", "world")
    (line,) = lines_of(log)
    time, rest = line.split(" ", 1)
    assert time.endswith("Z")
    assert rest == "INFO libra.test hello world"


def test_a_json_line_is_one_object_with_what_extra_names(tmp_path: Path) -> None:
    log = tmp_path / "log"
    logs.setup(default_settings(log_file=log, log_format="json"), prog="p")
    LOG.warning("hello\n%s", "wörld", extra={"node": 5, "token": "hunter", "odd": {1.5, log}})
    (line,) = lines_of(log)
    entry = json.loads(line)
    assert (entry["level"], entry["logger"], entry["message"]) == (
        "WARNING",
        "libra.test",
        "hello\nwörld",
    )
    assert entry["node"] == 5
    assert "hunter" not in line
    assert sorted(map(str, entry["odd"])) == sorted(["1.5", str(log)])


@pytest.mark.parametrize("style", ["text", "json"])
def test_every_line_of_a_job_carries_its_id_and_no_other_line_does(
    tmp_path: Path, style: str
) -> None:
    log = tmp_path / "log"
    logs.setup(default_settings(log_file=log, log_format=style), prog="p")
    # Given two jobs at the same time in two threads, and a line outside
    both = threading.Barrier(2)

    def work(job: str) -> None:
        with job_context(job):
            both.wait(30)
            logging.getLogger("elsewhere").info("from %s", job)
            both.wait(30)
            assert current_job() == job

    threads = [threading.Thread(target=work, args=(f"H:node:{n}",)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    LOG.info("outside")
    # Then each line has the id of its own job
    lines = lines_of(log)
    assert len(lines) == 3
    for line in lines:
        for n in (1, 2):
            assert line.count(f"H:node:{n}") == (2 if f"from H:node:{n}" in line else 0)
    assert current_job() == ""


def test_an_inner_job_gives_way_to_the_outer_one_even_after_an_error() -> None:
    with job_context("outer"):
        with pytest.raises(ValueError, match="x"), job_context("inner"):
            raise ValueError("x")
        assert current_job() == "outer"


@pytest.mark.parametrize("style", ["text", "json"])
def test_no_secret_reaches_the_log_by_message_argument_or_exception(
    tmp_path: Path, style: str
) -> None:
    log = tmp_path / "log"
    logs.setup(default_settings(log_file=log, log_format=style), prog="p")
    message = {"hpcs_object_store_TOKEN": 'hun"ter', "tls": "-----BEGIN PRIVATE KEY-----\nhunter"}
    # When it is logged in every way
    LOG.info("job %s", message)
    LOG.info("job %r %s", message, json.dumps(message))
    LOG.info(json.dumps(message))
    LOG.info(message)
    LOG.info("%(password)s of %(user)s", {"password": "hunter", "user": "me"})
    LOG.info("too few %s %s", message)
    LOG.info("%d", message)
    with job_context("token=hunter"):
        LOG.info("id")
    error = raised(f"bad message {message}, password='hunter'")
    LOG.error("failed: %s", error)
    LOG.error("failed", exc_info=error, stack_info=True)
    # Then nothing of it is there, and the rest is
    text = log.read_text()
    assert 'hun"ter' not in text
    assert "hun\\" not in text
    assert "hunter" not in text
    assert "of me" in text
    assert "ValueError" in text


@given(st.text())
def test_no_text_can_start_a_line_of_its_own_or_steer_a_terminal(text: str) -> None:
    line = TextFormatter().format(record("got %s", text))
    assert len(line.splitlines()) == 1
    assert line.isprintable() or not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in line)
    line.encode()
    assert len(JsonFormatter().format(record(text)).splitlines()) == 1


def test_a_traceback_cannot_be_taken_for_log_lines() -> None:
    error = raised("x\n2026-01-01T00:00:00.000Z INFO root all is well\x1b[2J")
    entry = record("failed")
    entry.exc_info = (ValueError, error, error.__traceback__)
    first, *rest = TextFormatter().format(entry).split("\n")
    assert first.endswith("failed")
    assert rest
    assert all(line.startswith("    | ") for line in rest)
    assert "\x1b" not in "".join(rest)


def test_an_object_that_cannot_be_printed_does_not_lose_the_line_or_raise() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("hunter")

    for formatter in (TextFormatter(), JsonFormatter()):
        line = formatter.format(record("got %s", Broken()))
        assert "cannot be logged (RuntimeError)" in line
        assert "hunter" not in line


def test_a_log_file_moved_away_is_opened_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    logs.setup(default_settings(log_file=log), prog="p")
    LOG.info("one")
    log.rename(tmp_path / "log.1")
    LOG.info("two")
    assert "one" in (tmp_path / "log.1").read_text()
    assert "two" in log.read_text()


def test_a_log_directory_that_goes_away_never_makes_a_log_call_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    logs.setup(default_settings(log_file=folder / "log"), prog="p")
    # Given the directory is gone
    (folder / "log").unlink()
    folder.rmdir()
    # Then logging goes on quietly, without showing what it could not write
    LOG.info("password %s", "hunter")
    LOG.info("again")
    assert "hunter" not in capsys.readouterr().err
    # And when it is back, lines are written again
    folder.mkdir()
    LOG.info("back")
    assert lines_of(folder / "log")[0].endswith("back")


def test_a_second_setup_replaces_the_first(tmp_path: Path) -> None:
    logs.setup(default_settings(log_file=tmp_path / "1"), prog="p")
    logs.setup(default_settings(log_file=tmp_path / "2", log_level="error"), prog="p")
    LOG.info("quiet")
    LOG.error("loud")
    assert lines_of(tmp_path / "1") == []
    assert [line.split()[-1] for line in lines_of(tmp_path / "2")] == ["loud"]


@pytest.mark.parametrize("change", ["log_file", "syslog"])
def test_a_place_that_cannot_be_opened_is_refused_and_the_old_one_stays(
    tmp_path: Path, change: str
) -> None:
    logs.setup(default_settings(log_file=tmp_path / "log"), prog="p")
    bad = (
        default_settings(log_file=tmp_path / "none" / "log")
        if change == "log_file"
        else default_settings(syslog=True)
    )
    with pytest.raises(SettingsError, match=change):
        logs.setup(bad, prog="p", syslog_at=tmp_path / "no-socket")
    LOG.info("still here")
    assert "still here" in (tmp_path / "log").read_text()


def test_lines_go_to_syslog_under_the_programs_name(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "s"))
        receiver.settimeout(30)
        settings = default_settings(syslog=True, syslog_facility="local3")
        logs.setup(settings, prog="libra_worker", syslog_at=tmp_path / "s")
        LOG.warning("password=hunter\nx")
        got = receiver.recv(4096).rstrip(b"\0").decode()
    # local3 is 19, warning is 4
    assert got.startswith(f"<{19 * 8 + 4}>libra_worker[")
    assert got.endswith("]: WARNING libra.test password=***\\nx")


def test_a_detached_process_without_a_log_file_uses_syslog_if_there_is_one(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "s"))
        receiver.settimeout(30)
        logs.setup(default_settings(), prog="p", detached=True, syslog_at=tmp_path / "s")
        LOG.warning("heard")
        assert b"heard" in receiver.recv(4096)
    logs.setup(default_settings(), prog="p", detached=True, syslog_at=tmp_path / "none")


def test_uncaught_exceptions_are_logged_and_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.excepthook", None)
    monkeypatch.setattr("threading.excepthook", None)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter())
    logging.getLogger().addHandler(handler)
    logs.hook_uncaught()

    def body() -> None:
        secret = "hun" + "ter"
        raise ValueError(f"token={secret}")

    thread = threading.Thread(target=body, name="slot-1")
    thread.start()
    thread.join(60)
    assert "uncaught exception in thread slot-1" in stream.getvalue()
    assert "token=***" in stream.getvalue()
    assert "hunter" not in stream.getvalue()
