"""A folder of dummy daemons for each test, and how one is started detached."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.dummy_bench import Bench, alive
from tests.support.wait import until


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """One in a folder of its own."""
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
