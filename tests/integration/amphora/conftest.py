"""An agent for each test, and the authorities that all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import folders
from tests.support.amphora import Amphora, Authorities


@pytest.fixture(scope="session")
def authorities() -> Authorities:
    return Authorities()


@pytest.fixture
def amphora(authorities: Authorities) -> Iterator[Amphora]:
    with Amphora(folder=folders.folder(), authorities=authorities) as agent:
        agent.start()
        yield agent
