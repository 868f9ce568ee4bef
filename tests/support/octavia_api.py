"""A real octavia-api and driver-agent of a test's own, with Libra as the only provider.

SQLite, no authentication, no network service and no message bus: what is real is the API, the
driver that it loads, its database, and the sockets of the driver-agent.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sysconfig
import uuid
from pathlib import Path
from typing import Any

from libra_octavia.shared import CONFIG_VARIABLE
from tests.support import file_devices, octavia_env
from tests.support.folders import folder
from tests.support.ports import free_port
from tests.support.wait import until

_LAUNCH = Path(__file__).with_name("octavia_launch.py")

_CONFIG = """\
[DEFAULT]
transport_url = fake://
log_file = {folder}/{part}.log
debug = false
[database]
connection = sqlite:///{folder}/octavia.db
sqlite_synchronous = false
pool_timeout =
[api_settings]
bind_host = 127.0.0.1
bind_port = {port}
auth_strategy = noauth
enabled_provider_drivers = libra: Libra
default_provider_driver = libra
[driver_agent]
status_socket_path = {folder}/status.sock
stats_socket_path = {folder}/stats.sock
get_socket_path = {folder}/get.sock
enabled_provider_agents = {agents}
[controller_worker]
network_driver = network_noop_driver
compute_driver = compute_noop_driver
amphora_driver = amphora_noop_driver
image_driver = image_noop_driver
volume_driver = volume_noop_driver
[certificates]
cert_manager = local_cert_manager
storage_path = {folder}/secrets
[oslo_messaging]
topic = octavia_prov
"""


class Refused(Exception):
    """The API answered with another status than 2xx."""

    def __init__(self, status: int, fault: str) -> None:
        super().__init__(f"{status}: {fault}")
        self.status = status
        self.fault = fault


class OctaviaApi:
    """Octavia, whose driver reads the settings file `libra`; commits come `delay` seconds late.

    With `devices` its driver-agent runs Libra's own agent too, whose devices are files in there.
    """

    def __init__(self, libra: Path, *, delay: float = 0.0, devices: Path | None = None) -> None:
        self.folder = folder()
        self.port = free_port()
        self.project = uuid.uuid4().hex
        self._python = str(octavia_env.python())
        self._delay = delay
        self._libra = libra
        self._devices = devices
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> OctaviaApi:
        with contextlib.closing(sqlite3.connect(self.folder / "octavia.db")) as database:
            # Kept in the file: nobody who reads keeps others from writing.
            database.execute("PRAGMA journal_mode=WAL")
        made = self._start("database")
        assert made.wait(60) == 0, self.said()
        self._processes += [self._start("agent"), self._start("api")]
        try:
            until(self._is_up, "octavia answers", seconds=60)
        except AssertionError as error:
            self.__exit__()
            raise AssertionError(f"{error}\n{self.said()}") from None
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_agent()
        for process in self._processes:
            # Each is the leader of a session of its own, with all that it forked.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def stop_agent(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the driver-agent, which ends its provider agents; may be called again."""
        if self._processes:
            agent = self._processes[0]
            agent.send_signal(how)
            agent.wait(60)

    def said(self) -> str:
        """The ends of all logs."""
        return "\n".join(
            path.read_text(errors="replace")[-3000:]
            for path in sorted(self.folder.glob("*.log")) + sorted(self.folder.glob("*.out"))
        )

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One request; raises Refused.

        What Octavia has rolled back since SQLite would not let it write is asked again.
        """
        for _ in range(10):
            status, found = self._call(method, path, body)
            if status < 300:
                return found
            fault = str((found or {}).get("faultstring", found))
            if "database is locked" not in fault:
                break
        raise Refused(status, fault)

    def _call(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {"Content-Type": "application/json", "X-Project-Id": self.project}
            data = None if body is None else json.dumps(body)
            connection.request(method, f"/v2/lbaas/{path}", data, headers)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        return response.status, json.loads(text) if text else None

    def show(self, path: str) -> dict[str, Any] | None:
        """An object, None where there is none (any more)."""
        try:
            found = self.call("GET", path)
        except Refused as error:
            if error.status != 404:
                raise
            return None
        (value,) = found.values()
        return dict(value)

    def keep(self, name: str, secret: dict[str, Any] | str) -> None:
        """Keep a TLS container, or a text, so that calls may refer to it by this name."""
        kept = self.folder / "secrets"
        kept.mkdir(exist_ok=True)
        if isinstance(secret, str):
            secret = {"certificate": secret, "private_key": ""}
        (kept / f"{name}.crt").write_text(secret["certificate"])
        (kept / f"{name}.key").write_text(secret["private_key"])
        if secret.get("intermediates"):
            (kept / f"{name}.int").write_text("".join(secret["intermediates"]))
        if secret.get("passphrase"):
            (kept / f"{name}.pass").write_text(secret["passphrase"])

    def settled(self, path: str, seconds: float = 60.0) -> str:
        """Wait until an object is not PENDING any more; returns its status, DELETED for none."""
        last = [""]

        def over() -> bool:
            found = self.show(path)
            last[0] = "DELETED" if found is None else str(found["provisioning_status"])
            return not last[0].startswith("PENDING")

        until(over, f"{path} settles", seconds)
        return last[0]

    def _is_up(self) -> bool:
        for process in self._processes:
            assert process.poll() is None, self.said()
        if not all((self.folder / f"{name}.sock").is_socket() for name in ("status", "get")):
            return False
        try:
            self.call("GET", "loadbalancers")
        except OSError:
            return False
        return True

    def _start(self, part: str) -> subprocess.Popen[bytes]:
        config = self.folder / f"{part}.conf"
        agents = "libra_agent" if self._devices else ""
        config.write_text(
            _CONFIG.format(folder=self.folder, port=self.port, part=part, agents=agents)
        )
        packages = sysconfig.get_paths()["purelib"]
        with (self.folder / f"{part}.out").open("wb") as said:
            return subprocess.Popen(
                [self._python, str(_LAUNCH), packages, str(self._delay), part, str(config)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env={
                    **os.environ,
                    CONFIG_VARIABLE: str(self._libra),
                    file_devices.FOLDER: str(self._devices or ""),
                },
                start_new_session=True,
            )
