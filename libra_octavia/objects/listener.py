"""Listeners."""

from __future__ import annotations

import ipaddress

from libra_octavia.model import Listener, Network, Protocol, StrictTransport
from libra_octavia.objects import tls
from libra_octavia.objects.fields import Fields
from libra_octavia.objects.headers import read_headers
from libra_octavia.objects.policy import read_policy
from libra_octavia.tls import ListenerTls

MOST_MILLISECONDS = 86_400_000
MOST_CONNECTIONS = 2_000_000
MOST_SECONDS = 2**31 - 1

_MEANINGLESS = ("name", "description", "project_id", "loadbalancer_id")


def read_listener(source: object, *, whole: bool = True) -> Listener:
    """A listener with its policies and without its pools. Raises Unsupported.

    `whole` is False for one that is put together from an update and what Octavia tells of the
    listener before, where its certificates may be missing.
    """
    with Fields.of(source, "listener", "listener_id") as fields:
        # The pool is read by itself.
        fields.ignore(*_MEANINGLESS, "default_pool")
        protocol = fields.word("protocol", Protocol, refused={}, default=Protocol.TCP)
        port = fields.number("protocol_port", low=1, high=65535)
        headers, forwarded_port = read_headers(fields, protocol, port)
        limit = fields.number("connection_limit", low=-1, high=MOST_CONNECTIONS, default=-1)
        if limit == 0:
            fields.fault("connection_limit", "must be -1 for no limit, or at least 1")
        policies = fields.inners("l7policies", read_policy)
        if protocol is Protocol.PROMETHEUS:
            for name in ("default_pool_id", "l7policies"):
                if fields.raw(name):
                    fields.fault(name, "is not for a listener of PROMETHEUS")
        if protocol.by_kernel and fields.raw("allowed_cidrs"):
            # Octavia's own driver has the network's security groups do it.
            fields.fault("allowed_cidrs", f"is not possible for a listener of {protocol}")
        return Listener(
            id=fields.id("listener_id"),
            protocol=protocol,
            port=port,
            enabled=fields.flag("admin_state_up", default=True),
            pool_id=fields.id("default_pool_id") if fields.has("default_pool_id") else None,
            connections=None if limit == -1 else limit,
            timeout_client=_timeout(fields, "timeout_client_data", 50_000),
            timeout_connect=_timeout(fields, "timeout_member_connect", 5_000),
            timeout_member=_timeout(fields, "timeout_member_data", 50_000),
            timeout_inspect=_timeout(fields, "timeout_tcp_inspect", 0),
            policies=tuple(sorted(policies, key=lambda one: (one.position, one.id))),
            headers=headers,
            forwarded_port=forwarded_port,
            allowed=_networks(fields),
            tls=_tls(fields, protocol, whole=whole),
            strict_transport=_strict_transport(fields, protocol),
        )


def _timeout(fields: Fields, name: str, default: int) -> int:
    # Only the wait for more to inspect may be none at all.
    return fields.number(name, low=1 if default else 0, high=MOST_MILLISECONDS, default=default)


def _networks(fields: Fields) -> tuple[Network, ...]:
    found: dict[Network, None] = {}
    for text in fields.raw("allowed_cidrs", ()):
        try:
            found[ipaddress.ip_network(text, strict=False)] = None
        except ValueError:
            fields.fault(
                "allowed_cidrs", f"{text!r} is no network as 192.0.2.0/24 or 2001:db8::/32"
            )
    return tuple(found)


def _tls(fields: Fields, protocol: Protocol, *, whole: bool) -> ListenerTls | None:
    ends = protocol is Protocol.TERMINATED_HTTPS or (
        protocol is Protocol.PROMETHEUS and tls.has_certificates(fields)
    )
    if ends:
        return tls.read_listener_tls(fields, whole=whole)
    fields.ignore(*tls.SPOKEN)
    for name in tls.OF_LISTENERS:
        reference, references, data = tls.of_container(name)
        fields.ignore(data)
        for one in (reference, references):
            if fields.raw(one):
                fields.fault(one, f"a listener of {protocol} ends no TLS")
    if fields.raw("client_authentication", "NONE") != "NONE":
        fields.fault("client_authentication", f"a listener of {protocol} ends no TLS")
    return None


def _strict_transport(fields: Fields, protocol: Protocol) -> StrictTransport | None:
    subdomains = fields.flag("hsts_include_subdomains", default=False)
    preload = fields.flag("hsts_preload", default=False)
    if not fields.has("hsts_max_age"):
        for name in ("hsts_include_subdomains", "hsts_preload"):
            if fields.raw(name):
                fields.fault(name, "needs hsts_max_age")
        return None
    if protocol is not Protocol.TERMINATED_HTTPS:
        fields.fault("hsts_max_age", "needs a listener of TERMINATED_HTTPS")
    age = fields.number("hsts_max_age", low=0, high=MOST_SECONDS)
    return StrictTransport(max_age=age, subdomains=subdomains, preload=preload)
