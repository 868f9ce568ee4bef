"""A real libra_pool_mgm process; by default its cloud is `tests.support.file_cloud`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from libra_common.jobs import AdminClient, JobClient, parse_server
from tests.support.file_cloud import FOLDER, FileCloud
from tests.support.wait import until

Answer = dict[str, Any]

FUNCTION = "libra_pool_mgm"
BASENAME = "libra-test"


class PoolManager:
    """A pool manager of the job servers at `servers`; all its files are below `folder`.

    `settings` are those of [mgm]. Several may share a `cloud`. `prefix` stands before its command.
    """

    def __init__(
        self,
        *,
        folder: Path,
        servers: Sequence[str],
        cloud: FileCloud | None = None,
        **settings: object,
    ) -> None:
        self.folder = folder
        self.servers = tuple(servers)
        if cloud is None:
            (folder / "cloud").mkdir(parents=True)
            cloud = FileCloud(folder=folder / "cloud")
        self.cloud = cloud
        self.process: subprocess.Popen[bytes] | None = None
        self.prefix: Sequence[str] = ()
        self.config = folder / "libra.cfg"
        self.log = folder / "log"
        self._settings: dict[str, object] = {
            "cloud": "tests.support.file_cloud",
            "node_basename": BASENAME,
            "sweep_interval": 0,
            **settings,
        }
        self._pool = ThreadPoolExecutor(max_workers=256)
        self.write_config()

    def write_config(self, **settings: object) -> None:
        self._settings |= settings
        lines = [
            "[DEFAULT]",
            "log_level = debug",
            f"log_file = {self.log}",
            "[gearman]",
            f"servers = {','.join(self.servers)}",
            "[mgm]",
            f"pid = {self.folder / 'pid'}",
            *(f"{key} = {value}" for key, value in self._settings.items()),
        ]
        self.config.write_text("\n".join(lines) + "\n")

    # -- the process -------------------------------------------------------------------------

    def start(self, *, wait: bool = True, crash_at: str = "") -> PoolManager:
        """Start it; with `wait`, return once gearmand knows it."""
        with (self.folder / "stderr").open("ab") as stderr:
            self.process = subprocess.Popen(
                self._command(),
                env={**self._environment(), "LIBRA_CRASH_AT": crash_at},
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
            )
        if wait:
            until(lambda: self.registered() or self.ended(), "it is registered", 60)
            assert not self.ended(), self.said()
        return self

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run it once with these options, and return what it said."""
        return subprocess.run(
            [*self._command(), "--no-daemon", *options],
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def _command(self) -> list[str]:
        command = [sys.executable, "-m", "libra_pool_mgm.main", "--config-file", str(self.config)]
        return [*self.prefix, *command]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, FOLDER: str(self.cloud.folder)}

    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def registered(self) -> bool:
        admin = AdminClient(server=parse_server(self.servers[0]))
        return any(one.name == FUNCTION and one.workers for one in admin.status())

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        """Kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> int:
        """Stop it in good order."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(90)

    def close(self) -> None:
        """End it and all devices."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self.cloud.end()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> PoolManager:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def said(self) -> str:
        """All that it wrote, for the report of a failed test."""
        return "".join(
            path.read_text(errors="replace")
            for path in (self.folder / "stderr", self.log)
            if path.exists()
        )

    # -- messages ------------------------------------------------------------------------------

    def send_bytes(self, data: bytes, *, unique: str | None = None, timeout: float = 90) -> Answer:
        client = JobClient(servers=[parse_server(server) for server in self.servers])
        unique = unique or str(uuid.uuid4())
        answer: Answer = json.loads(client.submit(FUNCTION, data, timeout=timeout, unique=unique))
        return answer

    def send(
        self, message: Mapping[str, Any], *, unique: str | None = None, timeout: float = 90
    ) -> Answer:
        return self.send_bytes(json.dumps(message).encode(), unique=unique, timeout=timeout)

    def do(self, action: str, *, unique: str | None = None, **fields: object) -> Answer:
        return self.send({"action": action, **fields}, unique=unique)

    def begin(
        self, action: str, *, unique: str | None = None, timeout: float = 110, **fields: object
    ) -> Future[Answer]:
        """Send a message in a thread of its own."""
        message = {"action": action, **fields}
        return self._pool.submit(self.send, message, unique=unique, timeout=timeout)

    # -- the cloud -------------------------------------------------------------------------------

    def device_names(self) -> set[str]:
        return {device.name for device in self.cloud.devices()}
