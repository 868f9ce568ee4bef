"""A machine on which `make install` has put Libra, new for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import machine as machines
from tests.support.machine import Machine

CONFIG = """
[DEFAULT]
log_file = /var/log/libra/libra.log
[gearman]
servers = 127.0.0.1:4730
[worker]
name = node1
[worker:haproxy]
bind_address = 127.0.0.1
[archive]
allow_http = true
"""

UPDATE = """
{"loadBalancers": [{"name": "lb", "protocol": "HTTP", "port": "80",
  "nodes": [{"id": "1", "address": "127.0.0.1", "port": "8080"}]}]}
"""


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    machines.must_be_possible()
    folder = tmp_path_factory.mktemp("installed")
    machines.install(folder, "amphora,pool")
    return folder


@pytest.fixture
def machine(tree: Path, tmp_path: Path) -> Iterator[Machine]:
    folder = tmp_path / "machine"
    folder.mkdir()
    booted = Machine(folder=folder, tree=tree)
    booted.write("/etc/libra.cfg", CONFIG)
    booted.write("/root/update.json", UPDATE)
    booted.write("/root/index.html", "here\n")
    try:
        yield booted
    finally:
        booted.end()
