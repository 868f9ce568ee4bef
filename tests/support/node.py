"""A real libra_worker process with its own HAProxy, all its directories under one folder."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from libra_client.client import Client, Result
from libra_common.jobs import AdminClient, GearmanServer
from libra_haproxy.runtime import Worker
from tests.support.need import program
from tests.support.wait import until


class Node:
    """A load balancer node named `name`, served by the job servers at `servers`.

    `folder` must be short, since unix sockets live below it. `environment` is added to the
    worker's, `prefix` stands before its command, `module` and its arguments are what Python runs,
    `archive` are settings of that section.
    """

    def __init__(
        self,
        *,
        folder: Path,
        servers: Sequence[str],
        name: str = "node",
        haproxy: str | None = None,
        prefix: Sequence[str] = (),
        module: Sequence[str] = ("libra_worker.main",),
        archive: Mapping[str, object] | None = None,
        log_level: str = "debug",
        **worker_haproxy: object,
    ) -> None:
        self.folder = folder
        self.name = name
        self.servers = tuple(servers)
        self.haproxy = haproxy or program("haproxy")
        self.prefix = tuple(prefix)
        self.module = tuple(module)
        # The tests' Python may live where no other user may look.
        self.user = "haproxy" if _everybody_may_run(sys.executable) else "root"
        self.process: subprocess.Popen[bytes] | None = None
        self.config = folder / "libra.cfg"
        self.log = folder / "log"
        self._log_level = log_level
        self.state_dir = folder / "state"
        self.run_dir = folder / "run"
        self._archive = {"allow_http": True, **(archive or {})}
        self._settings: dict[str, object] = {"bind_address": "127.0.0.1", **worker_haproxy}
        self.write_config()

    def write_config(self, **worker_haproxy: object) -> None:
        self._settings |= worker_haproxy
        self.folder.mkdir(parents=True, exist_ok=True)
        _let_haproxy_through(self.folder)
        lines = [
            "[DEFAULT]",
            f"log_level = {self._log_level}",
            f"log_file = {self.log}",
            "[gearman]",
            f"servers = {','.join(self.servers)}",
            "[worker]",
            f"name = {self.name}",
            f"pid = {self.folder / 'pid'}",
            "[worker:haproxy]",
            f"haproxy = {self.haproxy}",
            f"state_dir = {self.state_dir}",
            f"run_dir = {self.run_dir}",
            f"log_dir = {self.folder / 'logs'}",
            f"user = {self.user}",
            f"group = {self.user}",
            *(f"{key} = {value}" for key, value in self._settings.items()),
            "[archive]",
            *(f"{key} = {value}" for key, value in self._archive.items()),
        ]
        self.config.write_text("\n".join(lines) + "\n")

    # -- the process -------------------------------------------------------------------------

    def start(self, *, wait: bool = True, crash_at: str = "") -> Node:
        """Start the worker; with `wait`, return once gearmand knows it."""
        environment = {**os.environ, "LIBRA_CRASH_AT": crash_at}
        with (self.folder / "stderr").open("ab") as stderr:
            self.process = subprocess.Popen(
                [
                    *self.prefix,
                    sys.executable,
                    "-m",
                    *self.module,
                    "--config-file",
                    str(self.config),
                ],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
            )
        if wait:
            until(lambda: self.registered() or self.ended(), "the worker is registered", 60)
            assert not self.ended(), self.said()
        return self

    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def registered(self) -> bool:
        host, _, port = self.servers[0].rpartition(":")
        admin = AdminClient(server=GearmanServer(host.strip("[]"), int(port)))
        return any(
            line.client_id.startswith(f"{self.name}/") and self.name in line.functions
            for line in admin.workers()
        )

    def kill(self) -> None:
        """Kill -9 of the worker alone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> int:
        """Stop the worker in good order; HAProxy goes on."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    def close(self) -> None:
        """End everything that belongs to this node."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)
        for pid in self.stopped_pids():
            os.kill(pid, signal.SIGCONT)
        self.ask_keeper("stop")
        until(lambda: not self.pids(), "nothing of the node is left")

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def said(self) -> str:
        """All that the worker wrote, for the report of a failed test."""
        return "".join(
            path.read_text(errors="replace")
            for path in (self.folder / "stderr", self.log)
            if path.exists()
        )

    # -- its HAProxy and keeper ----------------------------------------------------------------

    def ask_keeper(self, what: str) -> dict[str, Any] | None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(self.run_dir / "keeper.sock"))
            connection.sendall(json.dumps({"do": what}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(connection.makefile("rb").readline() or "null")
            return answer
        return None

    def stop_haproxy(self) -> None:
        """Stop HAProxy and its keeper, as a reboot would."""
        assert self.ask_keeper("stop") is not None, "there was no keeper"

    @property
    def keeper_pid(self) -> int:
        status = self.ask_keeper("status")
        assert status is not None, "there is no keeper"
        return int(status["keeper"])

    @property
    def master_pid(self) -> int:
        """HAProxy's master; 0 while there is none, or no keeper to ask."""
        status = self.ask_keeper("status")
        return 0 if status is None else int(status["pid"] or 0)

    @property
    def haproxy_worker(self) -> Worker:
        return Worker(socket_path=self.run_dir / "admin.sock")

    @property
    def worker_pid(self) -> int:
        return self.haproxy_worker.pid_and_digest()[0]

    def pids(self) -> list[int]:
        """Every keeper and HAProxy process of this node."""
        needle = str(self.folder).encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes()
                if needle in words and (b"-W" in words or b"libra_haproxy.keeper" in words):
                    found.append(int(entry.name))
        return found

    def stopped_pids(self) -> list[int]:
        return [pid for pid in self.pids() if _state(pid) == "T"]

    def config_text(self) -> str:
        return (self.state_dir / "haproxy.cfg").read_text()

    def config_passes(self) -> bool:
        config = self.state_dir / "haproxy.cfg"
        done = subprocess.run(
            [program("haproxy"), "-c", "-f", str(config)], capture_output=True, check=False
        )
        return done.returncode == 0

    # -- messages ------------------------------------------------------------------------------

    @property
    def client(self) -> Client:
        return Client(self.servers)

    def send(self, message: Mapping[str, Any], timeout: float = 60) -> Result:
        return self.client.submit(self.name, message, timeout)

    def update(self, *load_balancers: Mapping[str, Any], **more: Any) -> Result:
        return self.send({"hpcs_action": "UPDATE", "loadBalancers": list(load_balancers), **more})

    def do(self, action: str, timeout: float = 60) -> Result:
        return self.send({"hpcs_action": action}, timeout)


def submit(node: Node, message: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Send a message by a client of its own, which can be killed too."""
    host, _, port = node.servers[0].rpartition(":")
    client = subprocess.Popen(
        [program("gearman"), "-h", host, "-p", port, "-f", node.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert client.stdin is not None
    client.stdin.write(json.dumps(message).encode())
    client.stdin.close()
    client.stdin = None  # so that `communicate` does not look for it
    return client


def _let_haproxy_through(folder: Path) -> None:
    """Let HAProxy's user find its way into a temporary folder of ours; other ones stay shut."""
    temporary = Path(tempfile.gettempdir())
    for place in (folder, *folder.parents):
        if temporary in place.parents and place.stat().st_uid == os.geteuid():
            place.chmod(place.stat().st_mode | 0o011)


def _everybody_may_run(path: str) -> bool:
    real = Path(path).resolve()
    return all(place.stat().st_mode & 0o001 for place in (real, *real.parents))


def _state(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    match = re.search(r"\) (\S)", stat)
    return match[1] if match else ""
