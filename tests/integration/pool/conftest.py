"""A gearmand, and pool managers that end with their test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support import folders
from tests.support.gearmand import Gearmand
from tests.support.pool_manager import PoolManager

MakeManager = Callable[..., PoolManager]


@pytest.fixture
def gearmand() -> Iterator[Gearmand]:
    with Gearmand() as server:
        yield server


@pytest.fixture
def make_manager(gearmand: Gearmand) -> Iterator[MakeManager]:
    """Make a pool manager with these settings; it is not started yet."""
    with ExitStack() as stack:

        def make(**settings: Any) -> PoolManager:
            manager = PoolManager(folder=folders.folder(), servers=[gearmand.address], **settings)
            return stack.enter_context(manager)

        yield make


@pytest.fixture
def manager(make_manager: MakeManager) -> PoolManager:
    """One that runs, with devices that are real workers."""
    return make_manager(build_timeout=60, sweep_grace=600).start()


@pytest.fixture
def farmed(make_manager: MakeManager, gearmand: Gearmand) -> Iterator[PoolManager]:
    """One whose devices' workers are all played by one process; it is not started yet."""
    manager = make_manager(build_timeout=60, sweep_grace=600)
    manager.cloud.fault("farm")
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.support.device_farm"),
            *(str(manager.cloud.folder), gearmand.address),
        ]
    ) as farm:
        yield manager
        farm.terminate()
