"""The engine without a worker: an Instance in this process, with a HAProxy of its own."""

from __future__ import annotations

import os
from pathlib import Path

from libra_haproxy.instance import Instance
from libra_haproxy.opening import InstanceSettings, make_instance
from libra_haproxy.runtime import Worker
from tests.support.node import Node


class Engine:
    """One Instance below `folder`, which must be short; opened and closed like a daemon's."""

    def __init__(self, folder: Path, *, haproxy: str | None = None) -> None:
        # A node has the folders, the user and the ways to look at its HAProxy.
        self.node = Node(folder=folder, servers=["127.0.0.1:1"], haproxy=haproxy)
        user = self.node.user if os.geteuid() == 0 else ""
        self._settings = InstanceSettings(
            haproxy=Path(self.node.haproxy),
            state_dir=self.node.state_dir,
            run_dir=self.node.run_dir,
            log_dir=folder / "logs",
            bind=("127.0.0.1",),
            user=user,
            group=user,
        )
        self.instance = self._opened()

    def _opened(self) -> Instance:
        instance = make_instance(self._settings)
        instance.open("a test")
        return instance

    @property
    def worker(self) -> Worker:
        return self.node.haproxy_worker

    def reopen(self, *, cold: bool = False) -> None:
        """As another daemon would, on the HAProxy that is there or, `cold`, on none."""
        self.instance.close()
        if cold:
            self.node.stop_haproxy()
        self.instance = self._opened()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.instance.close()
        self.node.close()
