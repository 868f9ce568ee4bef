"""The units on a machine that systemd has booted: what it starts, watches, restarts and stops."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.install.conftest import CONFIG, UPDATE
from tests.support.systemd import Systemd
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WORKER, KEEPER = "libra-worker", "libra-haproxy"

# So that a test need not wait for a minute.
_SOON = "[Service]\nWatchdogSec=4\nTimeoutAbortSec=1\n"


@pytest.fixture
def machine(tree: Path, tmp_path: Path) -> Iterator[Systemd]:
    folder = tmp_path / "machine"
    folder.mkdir()
    booted = Systemd(folder=folder, tree=tree)
    try:
        booted.write("/etc/libra.cfg", CONFIG)
        booted.write("/root/update.json", UPDATE)
        booted.write("/root/index.html", "here\n")
        booted.write(f"/etc/systemd/system/{WORKER}.service.d/soon.conf", _SOON)
        for prepare in (("systemd-sysusers",), ("systemctl", "daemon-reload")):
            booted.must(*prepare)
        booted.gearmand()
        booted.start(sys.executable, "-m", "http.server", "-d", "/root", "-b", "127.0.0.1", "8080")
        yield booted
    finally:
        booted.end()


def fetched(machine: Systemd) -> bool:
    return machine.run("curl", "-sf", "http://127.0.0.1/index.html").stdout == "here\n"


def haproxy(machine: Systemd) -> list[str]:
    """The processes of HAProxy itself, by number."""
    return machine.processes("/run/libra/worker/master.sock,mode")


def state(machine: Systemd, unit: str) -> str:
    return machine.shown(unit, "ActiveState")


def test_systemd_starts_watches_restarts_and_stops_the_worker_and_haproxy_serves_on(
    machine: Systemd,
) -> None:
    # When it is started / Then that is over once the worker says that it is ready
    machine.must("systemctl", "start", WORKER)
    assert (state(machine, WORKER), machine.shown(WORKER, "Type")) == ("active", "notify")
    assert "registered at" in machine.shown(WORKER, "StatusText")
    machine.libra("update", "node1", "/root/update.json")
    until(lambda: fetched(machine), "it serves on port 80")
    traffic = haproxy(machine)
    # And the keeper is a unit of its own; all of them are ordinary users
    keeper = machine.shown(KEEPER, "MainPID")
    assert machine.processes("libra_haproxy.keeper") == [keeper]
    for process in (keeper, machine.shown(WORKER, "MainPID"), *traffic):
        assert "0" not in machine.status_of(process)["Uid"].split()

    # When the watchdog is waited for / Then it is answered
    first = machine.shown(WORKER, "MainPID")
    fed = machine.shown(WORKER, "WatchdogTimestampMonotonic")
    until(lambda: machine.shown(WORKER, "WatchdogTimestampMonotonic") > fed, "the watchdog is fed")
    # And settings are taken anew by the same process
    machine.must("systemctl", "reload", WORKER)
    assert machine.shown(WORKER, "MainPID") == first
    # And one that hangs is replaced
    machine.must("bash", "-c", 'kill -STOP "$1"', "kill", first)
    until(lambda: machine.shown(WORKER, "NRestarts") == "1", "another is started", 60)
    until(lambda: state(machine, WORKER) == "active", "it is ready")
    # And one that is restarted, and one that is killed
    machine.must("systemctl", "restart", WORKER)
    second = machine.shown(WORKER, "MainPID")
    machine.stop_all(second)
    until(lambda: machine.shown(WORKER, "MainPID") not in ("0", second), "another is started")
    until(lambda: state(machine, WORKER) == "active", "it is ready")
    # And one that is stopped leaves HAProxy serving
    machine.must("systemctl", "stop", WORKER)
    assert state(machine, WORKER) == "inactive"
    assert fetched(machine)
    # And in all that HAProxy was not touched
    assert haproxy(machine) == traffic
    assert machine.shown(KEEPER, "MainPID") == keeper

    # When the keeper is killed / Then systemd's next one takes HAProxy over
    machine.must("systemctl", "kill", "--kill-whom=main", "--signal=KILL", KEEPER)
    until(lambda: machine.processes("libra_haproxy.keeper") not in ([], [keeper]), "another keeper")
    assert haproxy(machine) == traffic
    # And stopping it stops HAProxy
    machine.must("systemctl", "stop", KEEPER)
    assert not haproxy(machine)
    # And the next start of it serves what is stored, without a worker
    machine.must("systemctl", "start", KEEPER)
    until(lambda: fetched(machine), "it serves")
    assert state(machine, WORKER) == "inactive"
