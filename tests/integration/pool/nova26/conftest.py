"""The oldest release that is looked at, in place of the newest: the same fixtures otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.pool.nova import conftest
from tests.integration.pool.nova.conftest import (  # noqa: F401 - fixtures
    booting,
    cloud,
    cloud_with,
    nova_manager,
    settings,
)
from tests.support import openstack
from tests.support.openstack import OpenStack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    conftest.prepare(items, Path(__file__).parent)


@pytest.fixture(scope="package")
def stack() -> Iterator[OpenStack]:
    with openstack.started("deb") as running:
        yield running


@pytest.fixture(scope="package")
def place(stack: OpenStack) -> openstack.Cloud:
    return stack.cloud
