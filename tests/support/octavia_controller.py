"""A controller made of Octavia's own code, in processes of its own."""

from __future__ import annotations

import json
import subprocess
import uuid
from pathlib import Path
from typing import Any

from tests.support import octavia_env
from tests.support.amphora import Authorities
from tests.support.ports import free_port

SCRIPT = Path(__file__).parents[1] / "integration" / "amphora" / "octavia" / "controller.py"
KEY = "the key of heartbeats"


def new_id() -> str:
    return str(uuid.uuid4())


class OctaviaError(Exception):
    """Octavia raised; the text is its own."""


class Controller:
    """Octavia's side: `do` has one of its flows done, and raises what that raises."""

    def __init__(self, *, folder: Path, authorities: Authorities, port: int, release: str) -> None:
        self.folder = folder
        self._python = octavia_env.python(release)
        self.health_port = free_port()
        self.secrets = folder / "secrets"
        self.secrets.mkdir(parents=True)
        client = authorities.controllers.issue_cert("octavia", common_name="octavia")
        (folder / "client.pem").write_bytes(client.private_key_and_cert_chain_pem.bytes())
        authorities.agents.cert_pem.write_to_path(str(folder / "server_ca.pem"))
        self._file = folder / "octavia.conf"
        self._file.write_text(
            "\n".join(
                [
                    "[DEFAULT]",
                    "transport_url = fake://",
                    "[database]",
                    f"connection = sqlite:///{folder / 'octavia.sqlite'}",
                    "pool_timeout =",
                    "[haproxy_amphora]",
                    f"client_cert = {folder / 'client.pem'}",
                    f"server_ca = {folder / 'server_ca.pem'}",
                    f"bind_port = {port}",
                    "connection_max_retries = 5",
                    "connection_retry_interval = 1",
                    "[certificates]",
                    "cert_manager = local_cert_manager",
                    f"storage_path = {self.secrets}",
                    "[health_manager]",
                    "bind_ip = 127.0.0.1",
                    f"bind_port = {self.health_port}",
                    f"heartbeat_key = {KEY}",
                    "heartbeat_interval = 60",
                    "health_update_threads = 1",
                    "stats_update_threads = 1",
                    "[keepalived_vrrp]",
                    "vrrp_check_interval = 1",
                    "",
                ]
            )
        )
        self._log = (folder / "octavia.log").open("ab")
        self._processes: list[subprocess.Popen[bytes]] = []
        self._control = self._start("control")
        self.do("create_tables")

    def do(self, command: str, **arguments: Any) -> Any:
        assert self._control.stdin is not None
        self._control.stdin.write(json.dumps([command, arguments]).encode() + b"\n")
        self._control.stdin.flush()
        answer = self._answer(self._control)
        if "error" in answer:
            raise OctaviaError(answer["error"])
        return answer["answer"]

    def listen(self) -> None:
        """Start the health manager."""
        self._start("health")

    def secret(self, certificate: bytes, key: bytes = b"", chain: bytes = b"") -> str:
        """Put something into its certificate manager; gives the reference."""
        name = new_id()
        for suffix, data in (("crt", certificate), ("key", key), ("int", chain)):
            if data:
                (self.secrets / f"{name}.{suffix}").write_bytes(data)
        return name

    def said(self) -> str:
        return (self.folder / "octavia.log").read_text(errors="replace")[-4000:]

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._log.close()

    def _start(self, what: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [str(self._python), str(SCRIPT), str(self._file), what],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=self.folder,
        )
        self._processes.append(process)
        assert self._answer(process) == {"ready": True}
        return process

    def _answer(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"Octavia's part ended:\n{self.said()}"
        found: dict[str, Any] = json.loads(line)
        return found
