"""The life cycle of real processes: signals, pid files, exit codes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from libra_common.exits import Exit
from tests.support.dummy_bench import LONG, Bench, alive
from tests.support.wait import until


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_ends_it_gracefully_and_removes_the_pid_file(
    bench: Bench, number: signal.Signals
) -> None:
    process = bench.started()
    assert bench.pid() == process.pid
    process.send_signal(number)
    assert bench.end(process)[0] == Exit.OK
    assert not bench.pid_file.exists()
    assert "shutdown fast=False" in bench.text()
    assert "shutdown fast=True" not in bench.text()


def test_a_stop_signal_lets_the_running_job_end(bench: Bench) -> None:
    # Given a running job
    process = bench.started()
    bench.say("job")
    # When the daemon is asked to stop
    process.terminate()
    bench.logged("shutdown fast=False")
    # Then it stays, and still holds the pid file, until the job is done
    assert process.poll() is None
    assert bench.run()[0] == Exit.ALREADY_RUNNING
    bench.unsay("job")
    assert bench.end(process)[0] == Exit.OK


def test_a_second_stop_signal_ends_it_at_once(bench: Bench) -> None:
    process = bench.started()
    bench.say("job")
    process.terminate()
    bench.logged("shutdown fast=False")
    # When the second signal comes while the job still runs
    process.terminate()
    assert bench.end(process)[0] == Exit.HURRIED
    assert "shutdown fast=True" in bench.text()
    # Then the pid file is stale, and the next start takes it over
    bench.unsay("job")
    bench.started()
    assert bench.pid() != process.pid


def test_a_job_that_does_not_end_is_left_after_the_stop_timeout(bench: Bench) -> None:
    process = bench.started("--worker-stop-timeout", "1")
    bench.say("job")
    process.terminate()
    assert bench.end(process)[0] == Exit.HURRIED
    assert "1 s are over" in bench.text()


@pytest.mark.parametrize("place", ["hang", "stuck"])
def test_two_stop_signals_end_a_daemon_that_hangs_in_start_or_in_a_cycle(
    bench: Bench, place: str
) -> None:
    if place == "hang":
        bench.say("hang")
        process = bench.start()
    else:
        process = bench.started()
        bench.say("stuck")
    until(lambda: (bench.folder / f"in-{place}").exists(), "it hangs", LONG)
    process.terminate()
    until(lambda: "SigPnd" not in _pending(process.pid), "the first signal is taken")
    process.terminate()
    assert bench.end(process)[0] == Exit.HURRIED


def _pending(pid: int) -> str:
    """Name the mask of pending signals if SIGTERM is in it: two pending ones are merged."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(("SigPnd:", "ShdPnd:")) and int(line.split()[1], 16) & (
            1 << (signal.SIGTERM - 1)
        ):
            return "SigPnd"
    return ""


def test_sighup_reads_the_settings_again(bench: Bench) -> None:
    # Given a file with one place for the log
    file = bench.folder / "libra.cfg"
    file.write_text("[DEFAULT]\nlog_level = info\n")
    process = bench.started("--config-file", str(file))
    # When the level changes and SIGHUP comes
    file.write_text("[DEFAULT]\nlog_level = warning\n")
    process.send_signal(signal.SIGHUP)
    until(lambda: (bench.folder / "reloads").exists(), "it reloads", LONG)
    bench.wait_for_cycles(process)
    process.terminate()
    assert bench.end(process)[0] == Exit.OK
    # Then the new level is in force
    assert "reading settings" in bench.text()
    assert "reload 1" not in bench.text()
    assert "stopping" not in bench.text()


def test_sighup_keeps_the_old_settings_on_any_error(bench: Bench) -> None:
    file = bench.folder / "libra.cfg"
    file.write_text("[worker]\nslots = 4\n")
    process = bench.started("--config-file", str(file))
    # When the file is wrong
    file.write_text("[worker]\nslots = 400\n")
    process.send_signal(signal.SIGHUP)
    # Then the log says so and the daemon goes on
    bench.logged("[worker] slots = '400'")
    assert "the old settings stay in force" in bench.text()
    bench.wait_for_cycles(process)
    # And once it is right, the next SIGHUP takes it
    file.write_text("[worker]\nslots = 5\n")
    process.send_signal(signal.SIGHUP)
    bench.logged("reloaded")
    assert process.poll() is None


def test_a_cycle_that_fails_is_logged_and_the_next_one_tried(bench: Bench) -> None:
    process = bench.started()
    bench.say("broken")
    bench.logged("a cycle that fails")
    bench.unsay("broken")
    bench.wait_for_cycles(process)


def test_a_second_instance_is_refused_naming_the_first(bench: Bench) -> None:
    process = bench.started()
    code, told = bench.run()
    assert code == Exit.ALREADY_RUNNING
    assert f"already running as process {process.pid}" in told
    assert bench.pid() == process.pid
    bench.wait_for_cycles(process)


def test_the_pid_file_of_a_killed_instance_is_taken_over_even_while_its_child_lives(
    bench: Bench,
) -> None:
    # Given a daemon killed while a child of it lives on
    bench.say("child")
    first = bench.started()
    child = int((bench.folder / "child.pid").read_text())
    first.kill()
    bench.end(first)
    assert bench.pid() == first.pid
    # When another is started
    bench.unsay("child")
    second = bench.started()
    # Then it runs, and the child was not touched
    assert bench.pid() == second.pid
    assert alive(child)


def test_the_pid_of_a_living_stranger_is_no_obstacle_and_the_stranger_lives_on(
    bench: Bench,
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        bench.pid_file.write_text(f"{stranger.pid}\n")
        process = bench.started()
        assert bench.pid() == process.pid
        assert stranger.poll() is None
        stranger.communicate(b"\n")


def test_a_pid_file_that_is_no_pid_file_is_refused_and_left_alone(bench: Bench) -> None:
    bench.pid_file.write_text("[worker]\nslots = 4\n")
    code, told = bench.run()
    assert code == Exit.BAD_PIDFILE
    assert str(bench.pid_file) in told
    assert bench.pid_file.read_text() == "[worker]\nslots = 4\n"


def test_what_a_failed_start_says_and_ends_with(bench: Bench) -> None:
    bench.say("start", "unavailable")
    code, told = bench.run()
    assert (code, told) == (Exit.UNAVAILABLE, "dummy_daemon: HAProxy is missing\n")
    bench.say("start", "bug")
    code, told = bench.run()
    assert code == Exit.SOFTWARE
    assert "ZeroDivisionError" in told
    assert "ZeroDivisionError: password=***" in bench.text()
    assert "hunter2" not in bench.text() + told
    code, told = bench.run("--worker-slots", "0", "--haproxy-maxconn", "x")
    assert code == Exit.CONFIG
    assert "[worker] slots" in told
    assert "[worker:haproxy] maxconn" in told
    assert not bench.pid_file.exists()


def test_a_crash_point_kills_the_process_as_kill_9_would(bench: Bench) -> None:
    bench.environ["LIBRA_CRASH_AT"] = "after_start"
    code, _ = bench.run()
    assert code == -signal.SIGKILL
    # Nothing was tidied up; another name does nothing.
    assert bench.pid_file.exists()
    bench.environ["LIBRA_CRASH_AT"] = "elsewhere"
    bench.started()


# --- weight -------------------------------------------------------------------------------------


def test_a_daemon_at_rest_leaves_most_of_the_45_mb_to_its_work(bench: Bench) -> None:
    process = bench.started()
    status = Path(f"/proc/{process.pid}/status").read_text()
    (resident,) = (int(row.split()[1]) for row in status.splitlines() if row.startswith("VmRSS"))
    assert resident < 34_000, f"{resident} kB"
