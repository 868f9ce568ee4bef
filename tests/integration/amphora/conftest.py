"""An agent for each test, and the authorities that all tests share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support import folders
from tests.support.amphora import Amphora, Authorities
from tests.support.backends import HttpBackend
from tests.support.haproxies import HAPROXIES, Haproxy
from tests.support.octavia_text import MEMBERS
from tests.support.ports import free_port


@pytest.fixture(scope="session")
def authorities() -> Authorities:
    return Authorities()


@pytest.fixture(
    params=[
        pytest.param(release, marks=[] if release.name == "system" else pytest.mark.slow)
        for release in HAPROXIES
    ],
    ids=str,
)
def haproxy(request: pytest.FixtureRequest) -> str:
    """The HAProxy of a test: the system's, and the other releases with --all."""
    release: Haproxy = request.param
    return release.path()


@pytest.fixture
def amphora(authorities: Authorities, haproxy: str) -> Iterator[Amphora]:
    with Amphora(folder=folders.folder(), authorities=authorities, haproxy=haproxy) as agent:
        agent.start()
        yield agent


@pytest.fixture(scope="module")
def backends() -> Iterator[dict[str, HttpBackend]]:
    """The members of a test's configurations, by their ids."""
    with ExitStack() as stack:
        yield {id_: stack.enter_context(HttpBackend(id_)) for id_ in MEMBERS}


@pytest.fixture
def port() -> int:
    """One that is free."""
    return free_port()
