"""Calls a resource of the agent's API as the router does, without a socket between."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from libra_amphora.api.base import Answer, Call, Refused, Route
from libra_amphora.router import Router


def call(routes: Iterable[Route], method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """The status and the body of the answer; `body` is sent as JSON unless it is bytes."""
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    try:
        found = Router(routes).find(method, path)
        route = found.route
        read = route.body.read(data) if route.body else None
        answer: Answer = route.handler(
            Call(version=found.version, params=found.params, body=read, caller="a test")
        )
    except Refused as error:
        return error.status, error.body
    return answer.status, answer.body
