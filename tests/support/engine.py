"""The engine without a worker: an Instance in this process, with a HAProxy of its own.

`python -m tests.support.engine FOLDER HAPROXY MODEL PEM...` is a door that brings a pickled model
into force and ends; where the environment says so, it is killed on the way.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

from libra_haproxy.certificates import Bundle
from libra_haproxy.instance import Instance
from libra_haproxy.model import Model
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

    def apply_and_die(self, model: Model, *bundles: Bundle, crash_at: str) -> None:
        """Have another process bring `model` into force, and killed at that point of its way."""
        self.instance.close()
        folder = self.node.folder
        files = [folder / f"door{number}" for number in range(len(bundles) + 1)]
        files[0].write_bytes(pickle.dumps(model))
        for file, bundle in zip(files[1:], bundles, strict=True):
            file.write_text(bundle.pem)
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.engine", str(folder), self.node.haproxy, *files],
            env={**os.environ, "LIBRA_CRASH_AT": crash_at},
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        for file in files:
            file.unlink()
        self.instance = self._opened()

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


def _door(folder: str, haproxy: str, model: str, *pems: str) -> None:
    wanted: Model = pickle.loads(Path(model).read_bytes())  # noqa: S301 - written above
    bundles = [Bundle.parse(Path(pem).read_text()) for pem in pems]
    Engine(Path(folder), haproxy=haproxy).instance.apply(wanted, certificates=bundles)


if __name__ == "__main__":
    _door(*sys.argv[1:])
