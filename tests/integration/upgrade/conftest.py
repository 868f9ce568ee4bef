"""This release and the one before it, in turns on the same state."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.gearmand import Gearmand
from tests.support.previous import Previous
from tests.support.previous import previous as taken_out


@pytest.fixture(scope="session")
def gearmand() -> Iterator[Gearmand]:
    with Gearmand() as server:
        yield server


@pytest.fixture(scope="session")
def previous() -> Previous:
    return taken_out()
