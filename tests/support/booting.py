"""Plays the hypervisor's part that is missing: what servers do once they are booted.

For each server that turns ACTIVE a real libra_worker is started from the server's own user_data,
as cloud-init would; never for one whose name contains `mute`. When a server is gone, so is its
worker.
"""

from __future__ import annotations

import base64
import configparser
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import yaml

from tests.support import folders
from tests.support.node import Node
from tests.support.openstack import OpenStack

_LOOKS = 0.5  # seconds from one look at the servers to the next


class BootedNode(Node):
    """A worker whose settings are what its user_data says, and the tests' directories below."""

    def __init__(self, *, user_data: str, folder: Path) -> None:
        self.user_data = user_data
        self._told = files_of(user_data)["/etc/libra.cfg"]
        told = configparser.ConfigParser(interpolation=None)
        told.read_string(self._told)
        super().__init__(
            folder=folder,
            servers=told["gearman"]["servers"].split(", "),
            name=told["worker"]["name"],
        )

    def write_config(self, **worker_haproxy: object) -> None:
        super().write_config(**worker_haproxy)
        ours = self.config.read_text().replace(f"servers = {','.join(self.servers)}\n", "")
        self.config.write_text(self._told + ours.replace(f"name = {self.name}\n", ""))


class Booting:
    """A thread that sees new servers and boots them, while the context lasts."""

    def __init__(self, stack: OpenStack) -> None:
        self._stack = stack
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="booting", daemon=True)
        self.nodes: dict[str, BootedNode] = {}

    def __enter__(self) -> Booting:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(60)
        for node in self.nodes.values():
            node.close()

    def told(self, name: str) -> str:
        """The user_data of a server that was booted."""
        return self.nodes[name].user_data

    def _run(self) -> None:
        while not self._stop.wait(_LOOKS):
            seen = self._active()
            for name in seen.keys() - self.nodes.keys():
                node = BootedNode(user_data=seen[name], folder=folders.folder())
                self.nodes[name] = node
                node.start(wait=False)
            for name in self.nodes.keys() - seen.keys():
                self.nodes.pop(name).close()

    def _active(self) -> Mapping[str, str]:
        """The user_data of active servers, as only an administrator may read it."""
        try:
            answer = self._stack.admin.compute.get(
                "/servers/detail?all_tenants=1", microversion="2.3"
            )
        except Exception:  # noqa: BLE001 - whatever a client makes of a dead service
            answer = None
        if answer is None or answer.status_code != 200:  # what runs goes on meanwhile
            return dict.fromkeys(self.nodes, "")
        return {
            one["name"]: base64.b64decode(one["OS-EXT-SRV-ATTR:user_data"] or "").decode()
            for one in answer.json()["servers"]
            if one["status"] == "ACTIVE" and "mute" not in one["name"]
        }


def files_of(user_data: str) -> dict[str, str]:
    """The files that a cloud-config has cloud-init write, by their paths."""
    return {
        one["path"]: base64.b64decode(one["content"]).decode()
        for one in yaml.safe_load(user_data)["write_files"]
    }
