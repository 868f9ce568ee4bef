"""Options of TLS of pools: what members are spoken to in."""

from __future__ import annotations

import ssl
from typing import Any

from tests.support.octavia_tls import (
    authority,
    authority_pem,
    clients,
    container,
    issued,
    revocations,
)
from tests.support.options.registry import Refusal, served
from tests.support.options.stage import Stage

KIND = "pool"
TLS = {"tls_enabled": True}


def secrets() -> dict[str, Any]:
    """What the references of this module stand for."""
    return {
        "device": container("device.example.org", signer="clients"),
        "servers": authority_pem(authority()),
        "clients": authority_pem(clients()),
        "revoked": revocations(issued("revoked.example.org"), by=authority()),
        "none revoked": revocations(by=authority()),
    }


def serve(stage: Stage, *backends: Any, **behind: Any) -> None:
    stage.simple(*backends, behind={**TLS, **behind}, secrets=secrets())


@served(
    KIND,
    "tls_enabled",
    passes="a member that speaks TLS",
    fails="one that does not: 503",
    refusal=Refusal({"tls_enabled": "perhaps"}, by="Octavia"),
)
def tls_enabled(stage: Stage) -> None:
    member = stage.tls("one")
    serve(stage, member)
    assert stage.get().body == b"one"
    assert member.seen
    serve(stage, stage.web("two"))
    assert stage.get().status == 503


@served(
    KIND,
    "tls_container_ref",
    passes="a member that wants a certificate of this authority",
    fails="without it the member refuses: 503",
)
def certificate(stage: Stage) -> None:
    member = stage.tls("one", accepts=clients())
    serve(stage, member, tls_container_ref="device")
    assert stage.get().body == b"one"
    serve(stage, member)
    assert stage.get().status >= 500


@served(
    KIND,
    "ca_tls_container_ref",
    passes="a member with a certificate of the authority",
    fails="one with a certificate of another: 503",
)
def authority_of_members(stage: Stage) -> None:
    member = stage.tls("one")
    serve(stage, member, ca_tls_container_ref="servers")
    assert stage.get().body == b"one"
    serve(stage, member, ca_tls_container_ref="clients")
    assert stage.get().status == 503


@served(
    KIND,
    "crl_container_ref",
    passes="a member whose certificate is not revoked",
    fails="one whose certificate is: 503",
)
def revoked(stage: Stage) -> None:
    member = stage.tls("one", shows=issued("revoked.example.org"))
    both = {"ca_tls_container_ref": "servers"}
    serve(stage, member, **both, crl_container_ref="none revoked")
    assert stage.get().body == b"one"
    serve(stage, member, **both, crl_container_ref="revoked")
    assert stage.get().status == 503


@served(
    KIND,
    "tls_versions",
    passes="a member that speaks one of them",
    fails="one that speaks others alone: 503",
    refusal=Refusal({**TLS, "tls_versions": ["TLSv1.1", "TLSv1.3"]}, "tls_versions"),
)
def tls_versions(stage: Stage) -> None:
    member = stage.tls("one", newest=ssl.TLSVersion.TLSv1_2)
    serve(stage, member, tls_versions=["TLSv1.2"])
    assert stage.get().body == b"one"
    assert member.seen[-1][0] == "TLSv1.2"
    serve(stage, member, tls_versions=["TLSv1.3"])
    assert stage.get().status == 503


@served(
    KIND,
    "tls_ciphers",
    passes="a member that speaks one of them",
    fails="one that has no certificate for them: 503",
    refusal=Refusal({**TLS, "tls_ciphers": "NO-SUCH-CIPHER"}, "tls_ciphers"),
)
def tls_ciphers(stage: Stage) -> None:
    member = stage.tls("one")
    only = {"tls_versions": ["TLSv1.2"]}
    serve(stage, member, **only, tls_ciphers="ECDHE-ECDSA-AES256-GCM-SHA384")
    assert stage.get().body == b"one"
    assert member.seen[-1][1] == "ECDHE-ECDSA-AES256-GCM-SHA384"
    serve(stage, member, **only, tls_ciphers="ECDHE-RSA-AES256-GCM-SHA384")
    assert stage.get().status == 503


@served(
    KIND,
    "alpn_protocols",
    passes="a member that speaks HTTP/2, by it",
    fails="a member that does not: by HTTP/1.1",
    refusal=Refusal({**TLS, "alpn_protocols": ["spdy/3"]}, by="Octavia"),
)
def alpn_protocols(stage: Stage) -> None:
    new, old = stage.tls("new", protocols=("h2", "http/1.1")), stage.tls("old")
    serve(stage, new, alpn_protocols=["h2", "http/1.1"])
    assert stage.get().body == b"new"
    assert new.seen[-1][2] == "h2"
    serve(stage, old, alpn_protocols=["h2", "http/1.1"])
    assert stage.get().body == b"old"
    serve(stage, new, alpn_protocols=["http/1.1"])
    assert stage.get().body == b"new"
    assert new.seen[-1][2] == "http/1.1"
