"""A controller's side of the agents that devices of the pool manager run."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import uuid
from collections.abc import Sequence
from typing import Any

from libra_pool_mgm.clouds.base import AgentWish
from tests.support import netns
from tests.support.amphora import Authorities, Reply

HEARTBEAT_KEY = "$ecret-Heartbeat#key=1"
"""With all that a settings file could stumble over."""


class Controller:
    """Who builds devices with agents: its authorities, and where heartbeats go."""

    def __init__(self, controllers: Sequence[str] = ()) -> None:
        netns.users_must_be_possible()
        self.authorities = Authorities()
        self._controllers = tuple(controllers)

    def agent(self, amphora_id: str = "", **changes: Any) -> dict[str, Any]:
        """The field `agent` of BUILD_DEVICE."""
        amphora_id = amphora_id or str(uuid.uuid4())
        return {
            "amphora_id": amphora_id,
            "certificate": self.authorities.server(amphora_id).decode(),
            "ca": self.authorities.controllers.cert_pem.bytes().decode(),
            "heartbeat_key": HEARTBEAT_KEY,
            "controllers": list(self._controllers),
            "port": 9443,
            **changes,
        }

    def wish(self, amphora_id: str = "") -> AgentWish:
        """What a cloud is asked for."""
        given = self.agent(amphora_id)
        return AgentWish(**given | {"controllers": tuple(given["controllers"])})

    def call(
        self,
        amphora_id: str,
        address: str | None,
        method: str,
        path: str,
        body: bytes | str | None = None,
        *,
        json_body: object = None,
        port: int = 9443,
    ) -> Reply:
        """One request over mutual TLS, in the calling thread's network namespace."""
        context = ssl.create_default_context()
        self.authorities.agents.configure_trust(context)
        leaf = self.authorities.controllers.issue_cert("controller", common_name="controller")
        leaf.configure_cert(context)
        connection = http.client.HTTPSConnection(amphora_id, timeout=30, context=context)
        raw = socket.create_connection((str(address), port), 10)
        with contextlib.closing(connection):
            connection.sock = context.wrap_socket(raw, server_hostname=amphora_id)
            headers = {}
            if json_body is not None:
                body, headers = json.dumps(json_body), {"Content-Type": "application/json"}
            connection.request(method, path, body=body, headers=headers)
            return Reply.read(connection.getresponse())
