"""What a customer's client sees of a load balancer."""

from __future__ import annotations

import http.client
import socket
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]


def get(port: int, path: str = "/", host: str = "127.0.0.1", **sent: str) -> Answer:
    """One GET on a connection of its own."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", path, headers={"Connection": "close", **sent})
        response = connection.getresponse()
        headers = {name.title(): value for name, value in response.headers.items()}
        return Answer(response.status, response.read(), headers)
    finally:
        connection.close()


def bodies(port: int, times: int) -> Counter[str]:
    """Who answered how often."""
    return Counter(get(port).body.decode() for _ in range(times))


def refused(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a connection is refused at once, which is what health checks of peers need."""
    try:
        socket.create_connection((host, port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def serves(port: int, body: bytes) -> bool:
    """Whether a request is answered with `body` at this moment."""
    try:
        return get(port).body == body
    except (OSError, http.client.HTTPException):
        return False
