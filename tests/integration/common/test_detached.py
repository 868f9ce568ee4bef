"""A daemon that detaches itself: what its command says, and when."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from libra_common.exits import Exit
from tests.support.dummy_bench import LONG, ROOT, Bench, alive
from tests.support.wait import until


def test_the_detaching_command_returns_0_once_ready(
    bench: Bench, detached: Callable[..., tuple[int, str]]
) -> None:
    bench.say("readiness", "STARTING")
    command = bench.start("--daemon")
    bench.wait_for_cycles()
    # While it is not ready the command waits
    assert command.poll() is None
    bench.say("readiness", "SERVING")
    bench.wait_for_cycles()
    assert command.poll() is None
    # And once it is, the command is done, with nothing to say
    bench.say("readiness", "READY")
    assert bench.end(command) == (Exit.OK, "")
    pid = bench.pid()
    assert pid != command.pid
    assert os.getsid(pid) != os.getsid(0)
    # No terminal, and no descriptor of the command or of the pipe
    opened = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    assert opened == {"/dev/null", str(bench.log), str(bench.pid_file)}
    os.kill(pid, signal.SIGTERM)
    until(lambda: not alive(pid), "it ends", LONG)
    assert not bench.pid_file.exists()


def test_a_missing_registration_is_a_warning_and_75_and_the_daemon_goes_on(
    bench: Bench, detached: Callable[..., tuple[int, str]]
) -> None:
    bench.environ["DUMMY_PATIENCE"] = "0.5"
    bench.say("readiness", "SERVING")
    code, told = detached()
    assert code == Exit.NOT_READY
    assert "warning: serving, but not registered" in told
    assert str(bench.pid()) in told
    bench.wait_for_cycles()


@pytest.mark.slow
def test_the_registration_is_given_ten_seconds(
    bench: Bench, detached: Callable[..., tuple[int, str]]
) -> None:
    bench.say("readiness", "SERVING")
    assert detached()[0] == Exit.NOT_READY
    bench.wait_for_cycles()


def test_a_daemon_that_does_not_serve_in_time_is_told_with_69(
    bench: Bench, detached: Callable[..., tuple[int, str]]
) -> None:
    bench.environ["DUMMY_PATIENCE"] = "0.5"
    bench.say("readiness", "STARTING")
    code, told = detached()
    assert code == Exit.UNAVAILABLE
    assert "not served after" in told
    until(lambda: bench.pid_file.exists() and alive(bench.pid()), "it goes on", LONG)


@pytest.mark.parametrize(
    ("how", "code", "words"),
    [
        ("unavailable", Exit.UNAVAILABLE, "HAProxy is missing"),
        ("bug", Exit.SOFTWARE, "ZeroDivisionError"),
    ],
)
def test_the_detaching_command_tells_why_the_start_failed(
    bench: Bench,
    detached: Callable[..., tuple[int, str]],
    how: str,
    code: Exit,
    words: str,
) -> None:
    bench.say("start", how)
    ended, told = detached()
    assert ended == code
    assert words in told
    assert not bench.pid_file.exists()


def test_the_detaching_command_tells_of_a_running_instance_garbage_and_wrong_settings(
    bench: Bench, detached: Callable[..., tuple[int, str]]
) -> None:
    assert detached() == (Exit.OK, "")
    pid = bench.pid()
    code, told = bench.run("--daemon")
    assert code == Exit.ALREADY_RUNNING
    assert f"process {pid}" in told
    assert bench.run("--daemon", "--worker-slots", "0")[0] == Exit.CONFIG
    garbage = bench.folder / "garbage"
    garbage.write_text("no pid")
    assert bench.run("--daemon", f"--worker-pid={garbage}")[0] == Exit.BAD_PIDFILE
    nowhere = f"--log-file={bench.folder}/none/log"
    code, told = bench.run("--daemon", f"--worker-pid={bench.folder}/other", nowhere)
    assert code == Exit.CONFIG
    assert "log_file" in told


def test_a_daemon_killed_before_it_was_ready_is_told(
    bench: Bench, detached: Callable[..., tuple[int, str]]
) -> None:
    bench.environ["LIBRA_CRASH_AT"] = "after_start"
    code, told = detached()
    assert code == Exit.SOFTWARE
    assert "ended without a word" in told


def test_a_detached_daemon_reads_the_same_relative_files_on_sighup(
    bench: Bench, detached: Callable[..., tuple[int, str]]
) -> None:
    file = bench.folder / "libra.cfg"
    file.write_text("[worker]\nslots = 4\n")
    assert detached("--config-file", os.path.relpath(file, ROOT))[0] == Exit.OK
    os.kill(bench.pid(), signal.SIGHUP)
    bench.logged("reloaded")
