"""What every test run shares: `--all`, hypothesis profiles, a plain environment, no strays."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import folders

# A process started by a test carries this in its environment, and so do its own children.
MARK = f"LIBRA_TEST_RUN={uuid.uuid4().hex}"
GRACE = 5.0  # seconds that a process may still need to end by itself

# Nothing may depend on the language, the time zone or the proxy of whoever runs the tests.
for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]
os.environ.pop("LANGUAGE", None)
os.environ.update([("LC_ALL", "C.UTF-8"), ("TZ", "UTC"), (MARK.split("=")[0], MARK.split("=")[1])])
time.tzset()

# Whoever runs the tests in the background has them ignore these, and every child would inherit it.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(
            number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        )

# Examples are timed by the machine's mood, so no deadline; CI draws the same ones each time.
settings.register_profile(
    "default",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="run the slow tests too")


def pytest_configure(config: pytest.Config) -> None:
    # pytest-xdist is in use, and this is no worker of it
    if config.getoption("dist", "no") != "no" and not hasattr(config, "workerinput"):
        from tests.support.scheduling import Scheduling

        config.pluginmanager.register(Scheduling())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--all"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="slow: runs with --all"))


@pytest.fixture(scope="session", autouse=True)
def no_stray_processes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Fail the run if a process that it started outlives it, and end that process.

    Known by the mark in its environment, or by this run's temporary folder on its command
    line. A process that has neither is not found.
    """
    ours = (f"{tmp_path_factory.getbasetemp()}/", f"{folders.BASE}/")
    yield
    deadline = time.monotonic() + GRACE
    while (strays := _processes(ours)) and time.monotonic() < deadline:
        time.sleep(0.05)
    folders.remove_all()
    if not strays:
        return
    found = dict(strays)
    while strays and time.monotonic() < deadline + GRACE:
        for pid in strays:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
        strays = _processes(ours)  # a supervisor may have started another meanwhile
        found |= strays
    lines = "\n".join(f"  {pid}: {command}" for pid, command in sorted(found.items()))
    if cache := getattr(request.config, "cache", None):
        cache.set("libra/strays", lines)  # bin/test looks there
    pytest.fail(f"these processes outlived the tests (now killed):\n{lines}", pytrace=False)


def _processes(ours: tuple[str, ...]) -> dict[int, str]:
    """Return the command lines, by process id, of all that this run has started."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        if folder.name == str(os.getpid()):
            continue
        try:
            command = (
                (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
            marked = MARK.encode() in (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # gone meanwhile, or not ours to read
            continue
        if marked or any(place in command for place in ours):
            found[int(folder.name)] = command.strip()
    return found
