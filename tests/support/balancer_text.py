"""A small load balancer as a controller writes it for the amphora API."""

from __future__ import annotations

from collections.abc import Iterable


def balancer_text(*addresses: str, members: Iterable[tuple[str, int]], port: int = 80) -> str:
    """HTTP at `port` of each address, spread over `members`."""
    binds = "\n".join(f"    bind {address}:{port}" for address in addresses)
    servers = "\n".join(
        f"    server member{number} {host}:{its_port}"
        for number, (host, its_port) in enumerate(members)
    )
    return f"""\
global
    daemon
    maxconn 1000

defaults
    mode http
    timeout connect 5s
    timeout client 50s
    timeout server 50s

frontend listener
{binds}
    default_backend pool

backend pool
{servers}
"""
