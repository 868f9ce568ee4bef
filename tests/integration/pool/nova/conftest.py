"""A real OpenStack, once for all tests here, and the pool manager's cloud in it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from libra_common.settings import Settings, load
from libra_pool_mgm.clouds.base import Cloud, Device, DeviceState, DeviceWish
from libra_pool_mgm.clouds.nova import make_cloud
from tests.support import folders, openstack
from tests.support.booting import Booting
from tests.support.gearmand import Gearmand
from tests.support.nova_manager import BASENAME, NovaManager
from tests.support.openstack import OpenStack
from tests.support.wait import until


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    prepare(items, Path(__file__).parent)


def prepare(items: list[pytest.Item], folder: Path) -> None:
    """Starting OpenStack counts for the first test that needs it, and may take minutes."""
    for item in items:
        if item.path.parent != folder:
            continue
        item.add_marker(pytest.mark.filterwarnings("ignore::PendingDeprecationWarning:openstack"))
        item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning:openstack"))
        item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="package")
def stack() -> Iterator[OpenStack]:
    with openstack.started() as running:
        yield running


@pytest.fixture(scope="package")
def place(request: pytest.FixtureRequest) -> openstack.Cloud:
    """The starter's cloud, or any other one where there is no starter."""
    elsewhere = openstack.any_cloud()
    if elsewhere is not None:
        return elsewhere
    running: OpenStack = request.getfixturevalue("stack")
    return running.cloud


@pytest.fixture
def settings(place: openstack.Cloud, tmp_path: Path) -> Settings:
    path = tmp_path / "libra.cfg"
    mgm = {**place.mgm(), "node_basename": BASENAME, "cloud_timeout": 60}
    lines = ["[mgm]", *(f"{key} = {value}" for key, value in mgm.items())]
    lines += ["[mgm:nova]", *(f"{key} = {value}" for key, value in place.nova().items())]
    path.write_text("\n".join(lines) + "\n")
    return load(["--config-file", str(path)], prog="libra_pool_mgm")


MakeCloud = Callable[..., Cloud]


@pytest.fixture
def cloud_with(settings: Settings) -> Iterator[MakeCloud]:
    """Make clouds, with other values of [mgm] or, under `nova`, of [mgm:nova]."""
    made: list[Cloud] = []

    def make(nova: dict[str, Any] | None = None, **mgm: Any) -> Cloud:
        cloud = make_cloud(
            replace(
                settings,
                mgm=replace(settings.mgm, **mgm),
                nova=replace(settings.nova, **(nova or {})),
            )
        )
        made.append(cloud)
        return cloud

    yield make
    for cloud in made:
        cloud.close()


@pytest.fixture
def cloud(cloud_with: MakeCloud) -> Iterator[Cloud]:
    """A cloud whose devices and addresses are gone when the test is over."""
    cloud = cloud_with()
    yield cloud
    for address in cloud.addresses():
        cloud.delete_address(address)
    for device in cloud.devices():
        cloud.delete_device(device)
    until(lambda: not cloud.devices(), "every server is gone", 60)


MakeNovaManager = Callable[..., NovaManager]


@pytest.fixture
def nova_manager(stack: OpenStack, gearmand: Gearmand) -> Iterator[MakeNovaManager]:
    """Make pool managers, not started yet; what they built is gone when the test is over."""
    with ExitStack() as managers:

        def make(**settings: Any) -> NovaManager:
            manager = NovaManager(
                folder=folders.folder() / "m",
                servers=[gearmand.address],
                place=stack.cloud,
                **settings,
            )
            managers.enter_context(manager)
            return manager

        yield make
    stack.wipe()


@pytest.fixture
def booting(stack: OpenStack) -> Iterator[Booting]:
    """Have servers boot: without it none registers."""
    with Booting(stack) as running:
        yield running


def wish(basename: str = BASENAME, **more: Any) -> DeviceWish:
    key = str(uuid.uuid4())
    return DeviceWish(key=key, name=f"{basename}-{key}", **more)


def settled(cloud: Cloud, name: str, seconds: float = 60) -> Device:
    """The device once it is no longer being built."""
    found: list[Device] = []

    def is_settled() -> bool:
        device = cloud.find_device(name)
        assert device is not None
        found[:] = [device]
        return device.state is not DeviceState.BUILDING

    until(is_settled, f"{name} is built or has failed", seconds)
    return found[0]
