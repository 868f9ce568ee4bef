"""Listeners."""

from __future__ import annotations

from libra_octavia.model import Listener, Protocol
from libra_octavia.objects.fields import Fields

MOST_MILLISECONDS = 86_400_000
MOST_CONNECTIONS = 2_000_000

_MEANINGLESS = ("name", "description", "project_id", "loadbalancer_id")
_OF_TLS = ("tls_versions", "tls_ciphers", "alpn_protocols")
_NOT_YET = "is not supported by this provider yet"
_REFUSED = {
    "UDP": "is not balanced by this provider, which speaks TCP",
    "SCTP": "is not balanced by this provider, which speaks TCP",
    "TERMINATED_HTTPS": _NOT_YET,
    "PROMETHEUS": _NOT_YET,
}


def read_listener(source: object) -> Listener:
    """A listener without its pool. Raises Unsupported."""
    with Fields.of(source, "listener", "listener_id") as fields:
        # The pool is read by itself, and TLS options say nothing where nothing ends TLS.
        fields.ignore(*_MEANINGLESS, "default_pool", *_OF_TLS)
        for name in ("l7policies", "insert_headers", "allowed_cidrs"):
            if fields.raw(name):
                fields.fault(name, _NOT_YET)
        if fields.raw("client_authentication", "NONE") != "NONE":
            fields.fault("client_authentication", _NOT_YET)
        limit = fields.number("connection_limit", low=-1, high=MOST_CONNECTIONS, default=-1)
        if limit == 0:
            fields.fault("connection_limit", "must be -1 for no limit, or at least 1")
        return Listener(
            id=fields.id("listener_id"),
            protocol=fields.word("protocol", Protocol, refused=_REFUSED, default=Protocol.TCP),
            port=fields.number("protocol_port", low=1, high=65535),
            enabled=fields.flag("admin_state_up", default=True),
            pool_id=fields.id("default_pool_id") if fields.has("default_pool_id") else None,
            connections=None if limit == -1 else limit,
            timeout_client=_timeout(fields, "timeout_client_data", 50_000),
            timeout_connect=_timeout(fields, "timeout_member_connect", 5_000),
            timeout_member=_timeout(fields, "timeout_member_data", 50_000),
            timeout_inspect=_timeout(fields, "timeout_tcp_inspect", 0),
        )


def _timeout(fields: Fields, name: str, default: int) -> int:
    # Only the wait for more to inspect may be none at all.
    return fields.number(name, low=1 if default else 0, high=MOST_MILLISECONDS, default=default)
