"""A controller's configurations by an agent's API, in few words."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from http.client import HTTPException
from typing import Any

from libra_haproxy.errors import HaproxyDown
from libra_haproxy.runtime import Worker
from tests.support.amphora import AMPHORA_ID, Amphora
from tests.support.backends import HttpBackend
from tests.support.octavia_text import (
    BALANCER,
    LISTENER,
    MEMBERS,
)
from tests.support.traffic import get

UPLOAD = f"/1.0/loadbalancer/{AMPHORA_ID}/{BALANCER}/haproxy"


def act(agent: Amphora, action: str, id_: str = BALANCER) -> Any:
    reply = agent.call("PUT", f"/1.0/loadbalancer/{id_}/{action}")
    return reply.status, reply.body


def upload(agent: Amphora, text: str) -> None:
    reply = agent.call("PUT", UPLOAD, text)
    assert reply.status == 201, reply.body


def ports(backends: dict[str, HttpBackend], *ids: str) -> dict[str, int]:
    return {id_: backends[id_].port for id_ in ids or MEMBERS}


def statuses(agent: Amphora) -> dict[str, str]:
    return {one["uuid"]: one["status"] for one in agent.call("GET", "/1.0/listeners").body}


def details(agent: Amphora) -> dict[str, str]:
    """What is said of the members of the only listener."""
    body = agent.call("GET", f"/v0.1/listeners/{LISTENER}").body
    return {
        id_: word for pool in body["pools"] for one in pool["members"] for id_, word in one.items()
    }


def worker_pid(amphora: Amphora) -> int:
    """The process that serves; there is one."""
    found = []
    for socket in amphora.run_dir.glob("*/admin.sock"):
        with suppress(HaproxyDown):
            found.append(Worker(socket_path=socket).pid_and_digest()[0])
    (pid,) = found
    return pid


class Getting:
    """Asks without a pause, as a context; counts who answered and keeps what went wrong."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.bodies: Counter[str] = Counter()
        self.wrong: list[str] = []

    def __enter__(self) -> Getting:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ends.is_set():
            try:
                self.bodies[get(self._port).body.decode()] += 1
            except (OSError, HTTPException) as error:
                self.wrong.append(repr(error))
