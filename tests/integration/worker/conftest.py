"""A node of a test's own, with real parts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import folders
from tests.support.backends import HttpBackend
from tests.support.gearmand import Gearmand
from tests.support.kernel import long_log_queue
from tests.support.node import Node
from tests.support.swift import Swift

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def gearmand() -> Iterator[Gearmand]:
    with Gearmand() as server:
        yield server


@pytest.fixture
def folder() -> Path:
    """A folder with a short name, since unix sockets live below it."""
    return folders.folder()


@pytest.fixture
def make_node(gearmand: Gearmand, folder: Path) -> Iterator[Callable[..., Node]]:
    """Make nodes, started unless told otherwise; everything of theirs ends with the test."""
    nodes: list[Node] = []

    def make(*, start: bool = True, **more: Any) -> Node:
        name = f"node{next(_NUMBERS)}"
        node = Node(
            folder=more.pop("folder", folder / str(len(nodes))),
            servers=[gearmand.address],
            name=more.pop("name", name),
            **more,
        )
        nodes.append(node)
        return node.start() if start else node

    yield make
    for node in nodes:
        node.close()


@pytest.fixture
def node(make_node: Callable[..., Node]) -> Node:
    return make_node()


@pytest.fixture
def a() -> Iterator[HttpBackend]:
    with HttpBackend("a") as backend:
        yield backend


@pytest.fixture
def b() -> Iterator[HttpBackend]:
    with HttpBackend("b") as backend:
        yield backend


@pytest.fixture(scope="session")
def swift() -> Iterator[Swift]:
    with Swift() as cluster:
        yield cluster


@pytest.fixture
def container() -> str:
    """The name of a container that no other test writes to."""
    return f"logs{next(_NUMBERS)}"


@pytest.fixture(scope="session")
def log_queue() -> Iterator[None]:
    with long_log_queue():
        yield
