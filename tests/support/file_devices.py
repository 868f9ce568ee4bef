"""Devices that are files: what each load balancer is to be served by, in a folder.

For an agent in a process of its own, by `[octavia] devices = tests.support.file_devices`; the
folder is named by the environment.
"""

from __future__ import annotations

import os
from pathlib import Path

from libra_common.settings import Settings
from libra_octavia.agent.devices import Wanted
from libra_octavia.render import Place, render

FOLDER = "LIBRA_TEST_DEVICES"


class FileDevices:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def serve(self, wanted: Wanted, *, fence: int) -> None:
        text = f"# fence {fence}\n{render(wanted.balancer, Place())}"
        (self._folder / f"{wanted.balancer.id}.cfg").write_text(text)

    def replace(self, wanted: Wanted, *, fence: int) -> None:
        self.serve(wanted, fence=fence)

    def remove(self, load_balancer_id: str, *, fence: int) -> None:  # noqa: ARG002
        (self._folder / f"{load_balancer_id}.cfg").unlink(missing_ok=True)


def make_devices(settings: Settings) -> FileDevices:
    return FileDevices(Path(os.environ[FOLDER]))
