"""The demo is a promise too: it ends well, says so where it does not, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.demo import alone, cloud
from tests.support import folders, octavia_env
from tests.support.need import program

REPOSITORY = Path(__file__).parents[2]
SECONDS = 60
WHOLE = not cloud.why_not()
"""Whether this user may have namespaces: then the demo builds a device."""
STEPS = len(cloud.STEPS if WHOLE else alone.STEPS)
UPDATE = STEPS - 7 if WHOLE else 2
"""The step of the first UPDATE."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty TMPDIR of the demo's own: short, since unix sockets live below it."""
    path = Path(tempfile.mkdtemp(prefix="d-", dir="/tmp")).resolve()
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def start(
    folder: Path,
    *path: Path | str,
    command: Sequence[str] = (sys.executable,),
    words: Sequence[str] = (),
    **more: str,
) -> subprocess.Popen[str]:
    """Start the story; `path` is its PATH, by default one with all parts on it."""
    if not path:
        path = (os.environ["PATH"], *sorted({str(Path(found).parent) for found in parts()}))
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"FORCE_COLOR", "PYTHONIOENCODING", "COLUMNS"}
    }
    return subprocess.Popen(
        [*command, "-m", "tests.demo.story", *words],
        cwd=REPOSITORY,
        env={
            **environment,
            "TMPDIR": str(folder),
            "PATH": os.pathsep.join(map(str, path)),
            **more,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )


def parts() -> list[str]:
    """The programs that the demo needs; skips where they are not."""
    return [program("gearmand"), program("haproxy")]


def nothing_is_left(folder: Path) -> bool:
    needle = f"{folder}/".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            assert needle not in (entry / "cmdline").read_bytes(), entry
        except OSError:  # gone meanwhile
            continue
    assert list(folder.iterdir()) == []
    return True


def test_every_step_is_as_it_should_be_and_nothing_is_left(folder: Path) -> None:
    demo = start(folder)
    said, _ = demo.communicate(timeout=SECONDS)
    assert demo.returncode == 0, said
    summary = said[said.rindex("The parts start") - 20 :]
    for number in range(1, STEPS + 1):
        assert f"✓   {number}  " in summary, said
    assert "✓   Clean-up" in summary
    assert "all as it should be" in summary
    assert "✗" not in said
    assert ("BUILD_DEVICE" in said) == WHOLE
    assert nothing_is_left(folder)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_story_through_octavia_is_as_it_should_be_and_nothing_is_left(folder: Path) -> None:
    if not WHOLE:
        pytest.skip(cloud.why_not())
    octavia_env.python()  # installs it where it is not; fails or skips where it cannot be
    demo = start(folder, words=["--octavia"])
    said, _ = demo.communicate(timeout=600)
    assert demo.returncode == 0, said
    assert "operating_status of members: ERROR" in said
    assert "✓   7  DELETE with cascade" in said
    assert "✓   Clean-up" in said
    assert "✗" not in said
    assert nothing_is_left(folder)


def test_it_needs_no_root(folder: Path) -> None:
    parts()
    if os.getuid() != 0:
        pytest.skip("these tests are run by an ordinary user: every other test shows it")
    # setpriv still has root's rights when it starts its command; what `env` starts has none.
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env"]
    # The tests' own Python may live where root alone may look; the same one of the system then.
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}"):
        command = [*as_nobody, python]
        packages = {"PYTHONPATH": sysconfig.get_path("purelib"), "PYTHONDONTWRITEBYTECODE": "1"}
        probe = [*command, "-c", "import pydantic, rich, tests.demo.story"]
        if can_run(probe, packages):
            break
    else:
        pytest.skip("an ordinary user may not read this checkout or run its Python")
    folder.chmod(0o777)
    demo = start(folder, command=command, **packages)
    said, _ = demo.communicate(timeout=SECONDS)
    assert demo.returncode == 0, said
    # Without the capabilities there is no device, and it says why.
    assert "The local cloud needs CAP_NET_ADMIN, CAP_SYS_ADMIN" in said
    assert "BUILD_DEVICE" not in said
    assert f"✓   {len(alone.STEPS)}  DELETE" in said
    assert nothing_is_left(folder)


def can_run(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    try:
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            env={**os.environ, **environment},
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0


def test_output_in_a_log_is_plain_and_at_most_100_columns_wide(folder: Path) -> None:
    said, _ = start(folder).communicate(timeout=SECONDS)
    assert "\x1b" not in said
    assert max(map(len, said.splitlines())) <= 100


def test_a_missing_part_is_named_and_nothing_is_begun(folder: Path) -> None:
    demo = start(folder, REPOSITORY / "no-such-folder")
    said, _ = demo.communicate(timeout=SECONDS)
    assert demo.returncode == 69, said
    assert "gearmand is not installed" in said
    assert nothing_is_left(folder)


def test_a_part_that_fails_is_told_in_its_step_and_the_exit_code(
    folder: Path,
) -> None:
    gearmand, _ = parts()
    place = folders.folder()  # where HAProxy's user may look
    broken = place / "haproxy"
    broken.write_text("#!/bin/sh\necho '[ALERT] this HAProxy is broken' >&2\nexit 1\n")
    broken.chmod(0o755)
    demo = start(folder, place, os.environ["PATH"], Path(gearmand).parent)
    said, _ = demo.communicate(timeout=SECONDS)
    assert demo.returncode == 1, said
    assert f"✗ Step {UPDATE}: UPDATE should be answered PASS" in said
    assert "not reached" in said
    assert "NOT as it should be" in said
    assert nothing_is_left(folder)


@pytest.mark.parametrize(
    ("number", "when"),
    [
        (signal.SIGINT, "The parts start"),
        *([(signal.SIGINT, "BUILD_DEVICE")] if WHOLE else []),
        *((number, "UPDATE under load") for number in (signal.SIGINT, signal.SIGTERM)),
        (signal.SIGHUP, "STATS"),
    ],
)
def test_a_signal_ends_it_with_nothing_left(
    folder: Path, number: signal.Signals, when: str
) -> None:
    parts()
    demo = start(folder)
    assert demo.stdout is not None
    said = ""
    while when not in said:
        line = demo.stdout.readline()
        assert line, said
        said += line
    demo.send_signal(number)
    said += demo.communicate(timeout=SECONDS)[0]
    assert demo.returncode == 128 + number, said
    assert f"Stopped by {number.name}; nothing is left behind." in said
    assert nothing_is_left(folder)
