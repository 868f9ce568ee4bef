"""Configurations as Octavia's controller writes them: its layout, its paths, its names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

BALANCER = "85e2111b-29c4-44be-94f3-e72045805801"
LISTENER = "98e706a7-d22c-422f-9632-499fd83e12c0"
OTHER_LISTENER = "02d0da8d-fc65-4bc4-bc46-95cadb2315d2"
POOL = "399bbf4b-5f6c-4370-a61e-ed2ff2fc9387"
MEMBERS = (
    "73f6d278-ae1c-4248-ad02-0bfd50d69aab",
    "2edca57c-5890-4bcb-ae67-4ef75776cc67",
    "130dff11-4aab-4ba8-a39b-8d77caa7a1ad",
)


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """One listener with its pool; `members` are ports by their ids, `bind` more words."""

    port: int
    members: Mapping[str, int]
    id: str = LISTENER
    pool: str = POOL
    mode: str = "http"
    balance: str = "roundrobin"
    bind: str = ""
    weights: Mapping[str, int] | None = None
    disabled: Iterable[str] = ()
    frontend_lines: tuple[str, ...] = ()
    backend_lines: tuple[str, ...] = ()
    check: str = " check inter 1s fall 2 rise 2"

    def text(self) -> str:
        return "\n".join(
            [
                f"frontend {self.id}",
                "    maxconn 50000",
                f"    bind 127.0.0.1:{self.port} {self.bind}".rstrip(),
                f"    mode {self.mode}",
                *(f"    {line}" for line in self.frontend_lines),
                f"    default_backend {self.pool}:{self.id}",
                "    timeout client 50000",
                "",
                f"backend {self.pool}:{self.id}",
                f"    mode {self.mode}",
                *(["    http-reuse safe"] if self.mode == "http" else []),
                f"    balance {self.balance}",
                *(f"    {line}" for line in self.backend_lines),
                "    load-server-state-from-file global",
                "    timeout check 1s",
                "    fullconn 50000",
                "    option allbackups",
                "    timeout connect 5000",
                "    timeout server 50000",
                *(self._server(id_, port) for id_, port in self.members.items()),
                "",
            ]
        )

    def _server(self, id_: str, port: int) -> str:
        weight = (self.weights or {}).get(id_, 1)
        disabled = " disabled" if id_ in self.disabled else ""
        return f"    server {id_} 127.0.0.1:{port} weight {weight}{self.check}{disabled}"


def configuration(*proxies: Proxy, balancer: str = BALANCER) -> str:
    """The whole file of a load balancer."""
    return "\n".join(
        [
            f"# Configuration for loadbalancer {balancer}",
            "global",
            "    daemon",
            "    user nobody",
            "    log /run/rsyslog/octavia/log local0",
            "    log /run/rsyslog/octavia/log local1 notice",
            f"    stats socket /var/lib/octavia/{balancer}.sock mode 0666 level user",
            f"    server-state-file /var/lib/octavia/{balancer}/servers-state",
            "    maxconn 50000",
            "",
            "defaults",
            "    log global",
            "    retries 3",
            "    option redispatch",
            "    option splice-request",
            "    option splice-response",
            "    option http-keep-alive",
            "",
            *(proxy.text() for proxy in proxies),
        ]
    )
