"""The life cycle of real processes: signals, pid files, exit codes, detaching, systemd's words."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from libra_common.exits import Exit
from tests.support.wait import until

ROOT = Path(__file__).parents[3]
LONG = 60.0


class Bench:
    """A folder in which dummy daemons live; ends those that are still there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pid_file = folder / "pid"
        self.log = folder / "log"
        self.environ = dict(os.environ)
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *options: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "tests.support.dummy_daemon", str(self.folder)]
        places = [f"--worker-pid={self.pid_file}", f"--log-file={self.log}"]
        process = subprocess.Popen(
            [*argv, *places, *options],
            cwd=ROOT,
            env=self.environ,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._started.append(process)
        return process

    def started(self, *options: str) -> subprocess.Popen[str]:
        process = self.start(*options)
        self.wait_for_cycles(process)
        return process

    def run(self, *options: str) -> tuple[int, str]:
        process = self.start(*options)
        _, told = process.communicate(timeout=LONG)
        return process.returncode, told

    def end(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        _, told = process.communicate(timeout=LONG)
        return process.returncode, told

    def wait_for_cycles(self, process: subprocess.Popen[str] | None = None) -> None:
        before = self.cycles()

        def turned() -> bool:
            if process is not None and process.poll() is not None:
                raise AssertionError(f"ended: {process.communicate()}")
            return self.cycles() not in (before, 0)

        until(turned, "the daemon turns", LONG)

    def cycles(self) -> int:
        file = self.folder / "cycles"
        return int(file.read_text() or 0) if file.exists() else 0

    def say(self, name: str, text: str = "x") -> None:
        (self.folder / f"{name}.new").write_text(text)
        (self.folder / f"{name}.new").rename(self.folder / name)

    def unsay(self, name: str) -> None:
        (self.folder / name).unlink()

    def logged(self, words: str) -> None:
        until(lambda: words in self.text(), f"the log says {words!r}", LONG)

    def text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def pid(self) -> int:
        return int(self.pid_file.read_text())

    def clean(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        child = self.folder / "child.pid"
        if child.exists():
            os.kill(int(child.read_text()), signal.SIGKILL)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.clean()


@pytest.fixture
def detached(bench: Bench) -> Iterator[Callable[..., tuple[int, str]]]:
    """Start with --daemon; the detached process is ended afterwards."""

    def start(*options: str) -> tuple[int, str]:
        return bench.run("--daemon", *options)

    yield start
    text = bench.pid_file.read_text().strip() if bench.pid_file.exists() else ""
    if text and alive(int(text)):
        os.kill(int(text), signal.SIGKILL)
        until(lambda: not alive(int(text)), "the detached daemon ends")


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


# --- detached -----------------------------------------------------------------------------------


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


# --- systemd ------------------------------------------------------------------------------------


class Manager:
    """What systemd hears."""

    def __init__(self, receiver: socket.socket) -> None:
        self._receiver = receiver
        self.heard: list[str] = []

    def hears(self, words: str) -> None:
        def came() -> bool:
            self.listen()
            return any(words in message for message in self.heard)

        until(came, f"systemd hears {words!r}", LONG)

    def listen(self) -> None:
        while True:
            try:
                self.heard.append(self._receiver.recv(4096).decode())
            except BlockingIOError:
                return


@pytest.fixture
def manager(bench: Bench) -> Iterator[Manager]:
    path = bench.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        receiver.setblocking(False)
        bench.environ |= {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "200000"}
        yield Manager(receiver)


def test_systemd_hears_ready_when_the_state_is_served_registered_or_not(
    bench: Bench, manager: Manager
) -> None:
    # Given a daemon that does not serve yet
    bench.say("readiness", "STARTING")
    process = bench.started()
    manager.hears("STATUS=cycle of starting")
    process.send_signal(signal.SIGHUP)
    bench.logged("reloaded")
    manager.listen()
    assert not any("READY" in message or "RELOADING" in message for message in manager.heard)
    # When it serves, without a job server
    bench.say("readiness", "SERVING")
    manager.hears("READY=1")
    manager.hears("STATUS=cycle of serving")
    # Then a reload is told with its time, and ready said again, also when it is refused
    for refuse in (False, True):
        manager.heard.clear()
        if refuse:
            bench.say("refuse")
        process.send_signal(signal.SIGHUP)
        manager.hears("RELOADING=1\nMONOTONIC_USEC=")
        manager.hears("READY=1")
    process.terminate()
    manager.hears("STOPPING=1")
    assert bench.end(process)[0] == Exit.OK


def test_the_watchdog_is_fed_by_cycles_that_return_and_by_nothing_else(
    bench: Bench, manager: Manager
) -> None:
    bench.say("readiness", "SERVING")
    process = bench.started()
    manager.hears("WATCHDOG=1")
    for trouble in ("stuck", "broken"):
        # When cycles hang or fail
        bench.say(trouble)
        cycles = -1

        def still(name: str = trouble) -> bool:
            nonlocal cycles
            before, cycles = cycles, bench.cycles()
            manager.heard.clear()
            manager.listen()
            return before == cycles and "WATCHDOG=1" not in manager.heard

        until(still, "the watchdog starves", LONG)
        manager.heard.clear()
        process.send_signal(signal.SIGCONT)  # no more than a nudge
        bench.unsay(trouble)
        # Then the next one that returns feeds it again
        manager.hears("WATCHDOG=1")


def test_no_child_inherits_systemds_variables_or_our_descriptors(
    bench: Bench, manager: Manager
) -> None:
    bench.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": "1"}
    bench.say("child")
    bench.started()
    environ = (bench.folder / "child.env").read_bytes()
    for name in (b"NOTIFY_SOCKET", b"WATCHDOG_USEC", b"LISTEN_FDS", b"LISTEN_PID"):
        assert name not in environ
    child = (bench.folder / "child.pid").read_text()

    def opened() -> set[str]:
        # A file that the child opens itself while it starts goes away again; ours would not.
        return {link.name for link in Path(f"/proc/{child}/fd").iterdir()}

    until(lambda: opened() <= {"0", "1", "2"}, "the child holds nothing of ours")


# --- weight -------------------------------------------------------------------------------------


def test_a_daemon_at_rest_leaves_most_of_the_45_mb_to_its_work(bench: Bench) -> None:
    process = bench.started()
    status = Path(f"/proc/{process.pid}/status").read_text()
    (resident,) = (int(row.split()[1]) for row in status.splitlines() if row.startswith("VmRSS"))
    assert resident < 34_000, f"{resident} kB"
