"""A gearmand, a node with two servers behind it, and the `libra` command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import folders
from tests.support.backends import HttpBackend
from tests.support.gearmand import Gearmand
from tests.support.node import Node
from tests.support.ports import free_port


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


Libra = Callable[..., Ran]

COMMAND = [sys.executable, "-m", "libra_client.cli.main"]


@pytest.fixture(scope="module")
def gearmand() -> Iterator[Gearmand]:
    with Gearmand() as server:
        yield server


@pytest.fixture(scope="module")
def node(gearmand: Gearmand) -> Iterator[Node]:
    with Node(folder=folders.folder(), servers=[gearmand.address]) as started:
        yield started.start()


@pytest.fixture(scope="module")
def backends() -> Iterator[tuple[HttpBackend, HttpBackend]]:
    with HttpBackend("one") as one, HttpBackend("two") as two:
        yield one, two


@pytest.fixture
def configuration(backends: tuple[HttpBackend, HttpBackend]) -> dict[str, Any]:
    """One load balancer on a free port, with a node of each type of id."""
    one, two = backends
    nodes = [one.node(id=1), two.node(id="b")]
    return {"loadBalancers": [{"protocol": "HTTP", "port": free_port(), "nodes": nodes}]}


@pytest.fixture
def fresh(node: Node) -> Node:
    """The node, without a load balancer that an earlier test left."""
    assert node.do("DELETE").ok
    return node


@pytest.fixture
def active(node: Node, configuration: Mapping[str, Any]) -> Node:
    """The node, with the configuration in force and not suspended."""
    assert node.do("DELETE").ok
    assert node.update(*configuration["loadBalancers"]).ok
    return node


@pytest.fixture
def libra(gearmand: Gearmand, tmp_path: Path) -> Libra:
    """Run the real command against the gearmand."""
    config = tmp_path / "libra.cfg"
    config.write_text(f"[gearman]\nservers = {gearmand.address}\n")

    def run(*words: str, stdin: str = "", config: Path = config) -> Ran:
        done = subprocess.run(
            [*COMMAND, "--config-file", str(config), *words],
            input=stdin,
            capture_output=True,
            text=True,
            env={**os.environ, "NO_COLOR": "1"},
            check=False,
            timeout=100,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run
