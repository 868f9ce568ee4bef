"""What a user would take instead of HAProxy: nginx and Caddy, from Debian."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.bench.members import Wanted
from tests.bench.systems import System, run
from tests.support.need import program
from tests.support.ports import free_port
from tests.support.wait import until

_NGINX = """\
worker_processes auto;
pid {folder}/pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream servers {{
        zone servers 256k;
{servers}
        keepalive 32;
    }}
    server {{
        listen 127.0.0.1:{port};
        keepalive_requests 1000000;
        send_timeout {seconds}s;
        location / {{
            proxy_pass http://servers;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""


class Nginx(System):
    """(d) Write, `nginx -s reload`, which checks the file itself."""

    name = "nginx-reload"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._nginx = program("nginx")
        self._config = self.folder / "nginx.conf"
        self._process: subprocess.Popen[bytes] | None = None

    def _command(self, *more: str) -> list[str]:
        options = ["-q", "-p", str(self.folder), "-c", str(self._config), "-e", "error.log"]
        return [self._nginx, *options, *more]

    def _write(self, wanted: Wanted) -> None:
        self._config.write_text(
            _NGINX.format(
                folder=self.folder,
                port=self.port,
                seconds=wanted.client_seconds,
                servers="\n".join(
                    f"        server 127.0.0.1:{m.port} weight={m.weight};" for m in wanted.members
                ),
            )
        )

    def start(self, wanted: Wanted) -> None:
        self._write(wanted)
        self._process = subprocess.Popen(
            self._command("-g", "daemon off;"),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.wait()

    def apply(self, wanted: Wanted) -> None:
        self._write(wanted)
        run(*self._command("-g", "daemon off;", "-s", "reload"))

    def stop(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)


class Caddy(System):
    """(e) POST /load to the admin interface, answered when it is loaded."""

    name = "caddy-api"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._admin = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def _config(self, wanted: Wanted) -> dict[str, Any]:
        # This release has no weights: a member stands in the list as often as it weighs.
        upstreams = [
            {"dial": f"127.0.0.1:{one.port}"} for one in wanted.members for _ in range(one.weight)
        ]
        proxy = {
            "handler": "reverse_proxy",
            "upstreams": upstreams,
            "load_balancing": {"selection_policy": {"policy": "round_robin"}},
        }
        return {
            "admin": {"listen": f"127.0.0.1:{self._admin}", "config": {"persist": False}},
            "logging": {"logs": {"default": {"level": "ERROR"}}},
            "apps": {
                "http": {
                    "servers": {
                        "in": {
                            "listen": [f"127.0.0.1:{self.port}"],
                            "idle_timeout": wanted.client_seconds * 1_000_000_000,
                            "automatic_https": {"disable": True},
                            "routes": [{"handle": [proxy]}],
                        }
                    }
                }
            },
        }

    def start(self, wanted: Wanted) -> None:
        config = self.folder / "caddy.json"
        config.write_text(json.dumps(self._config(wanted)))
        self._process = subprocess.Popen(
            [program("caddy"), "run", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"HOME": str(self.folder), "PATH": os.environ.get("PATH", "")},
        )
        self.wait()

    def apply(self, wanted: Wanted) -> None:
        self._ask("POST", "/load", json.dumps(self._config(wanted)))

    def weight_of(self, number: int) -> int | None:  # noqa: ARG002 - told by traffic
        return None

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            until(lambda: not self._answers(), "caddy is gone")

    def _ask(self, method: str, path: str, body: str | None = None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._admin, timeout=20)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            said = answer.read()
            if answer.status != 200:
                raise AssertionError(f"caddy: {answer.status} {said[:300]!r}")
            return said
        finally:
            connection.close()
