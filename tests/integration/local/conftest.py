"""A gearmand on the host and a local cloud beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from tests.support import folders, netns
from tests.support.backends import HttpBackend
from tests.support.gearmand import Gearmand
from tests.support.localcloud import Site
from tests.support.wait import until


@pytest.fixture(scope="session")
def gearmand() -> Iterator[Gearmand]:
    with Gearmand() as server:
        yield server


@pytest.fixture
def make_site(gearmand: Gearmand) -> Iterator[Callable[..., Site]]:
    """Make clouds that are gone after the test, with all that is in them."""
    netns.must_be_possible()
    made: list[Site] = []

    def make(**settings: Any) -> Site:
        site = Site(folder=folders.folder(), gearmand=gearmand, **settings)
        made.append(site)
        return site

    yield make
    for site in made:
        site.close()
        until(partial(_is_empty, site), "no process of the cloud is left")


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


@pytest.fixture
def web(site: Site) -> HttpBackend:
    """A web server that answers `web`, where devices reach it."""
    return site.web("web")


def _is_empty(site: Site) -> bool:
    return site.processes() == {}
