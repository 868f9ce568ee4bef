"""Options of TLS of listeners."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from tests.support.h2client import H2Client
from tests.support.octavia_tls import (
    authority_pem,
    client,
    clients,
    container,
    issued,
    revocations,
)
from tests.support.options.registry import Refusal, served
from tests.support.options.stage import Stage

KIND = "listener"
HTTPS = {"protocol": "TERMINATED_HTTPS", "default_tls_container_ref": "www"}


def secrets() -> dict[str, Any]:
    """What the references of this module stand for."""
    return {
        "www": container("www.example.org"),
        "below": container("below.example.org", signer="between"),
        "locked": container("locked.example.org", locked_by="Zwölf €"),
        "clients": authority_pem(clients()),
        "revoked": revocations(issued("bad@example.org", signer="clients")),
    }


NAME = 'Good "#%[env(X)] One'


def good() -> Any:
    return issued("good@example.org", signer="clients", common_name=NAME)


def bad() -> Any:
    return issued("bad@example.org", signer="clients")


def serve(stage: Stage, **front: Any) -> Any:
    web = stage.web("one")
    stage.simple(web, front={**HTTPS, **front}, secrets=secrets())
    return web


@served(
    KIND,
    "protocol TERMINATED_HTTPS",
    "default_tls_container_ref",
    passes="a request by TLS, whose certificate the client trusts",
    fails="a request without TLS; a client that asks for another name",
    refusal=Refusal({"protocol": "TERMINATED_HTTPS"}, by="Octavia"),
)
def terminated(stage: Stage) -> None:
    web = serve(stage)
    assert stage.get(context=client()).body == b"one"
    assert len(web.requests) == 1
    with pytest.raises((OSError, ssl.SSLError, Exception)) as caught:
        stage.get()
    assert "one" not in str(caught.value)
    with pytest.raises(ssl.SSLCertVerificationError):
        stage.get(context=client(), name="other.example.org")
    assert len(web.requests) == 1


@served(
    KIND,
    "default_tls_container_ref with intermediates",
    "default_tls_container_ref with a passphrase",
    passes="a client that trusts the root alone; a key that its passphrase opens",
    fails="a client that trusts another authority",
)
def containers(stage: Stage) -> None:
    serve(stage, default_tls_container_ref="below")
    assert stage.get(context=client(), name="below.example.org").body == b"one"
    serve(stage, default_tls_container_ref="locked")
    assert stage.get(context=client(), name="locked.example.org").body == b"one"
    with pytest.raises(ssl.SSLCertVerificationError):
        stage.get(context=ssl.create_default_context(), name="locked.example.org")


@served(
    KIND,
    "sni_container_refs",
    passes="clients of each name: each is shown the certificate of that name",
    fails="a client of a name that none has",
)
def sni(stage: Stage) -> None:
    serve(stage, sni_container_refs=["below", "locked"])
    for name in ("www.example.org", "below.example.org", "locked.example.org"):
        assert stage.get(context=client(), name=name).body == b"one"
    with pytest.raises(ssl.SSLCertVerificationError):
        stage.get(context=client(), name="none.example.org")


def _authenticated(stage: Stage, mode: str, **front: Any) -> Any:
    return serve(
        stage,
        client_authentication=mode,
        client_ca_tls_container_ref="clients",
        **front,
    )


@served(
    KIND,
    "client_authentication NONE",
    passes="a client that shows nothing, or shows anything",
    fails="a client that does not trust the listener",
    refusal=Refusal({"client_authentication": "SOMETIMES"}, by="Octavia"),
)
def authentication_none(stage: Stage) -> None:
    _authenticated(stage, "NONE")
    assert stage.get(context=client()).status == 200
    assert stage.get(context=client(shows=issued("stranger@example.org"))).status == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        stage.get(context=ssl.create_default_context())


@served(
    KIND,
    "client_authentication OPTIONAL",
    passes="a client that shows nothing, or a certificate of the authority",
    fails="a client with a certificate of somebody else",
)
def authentication_optional(stage: Stage) -> None:
    _authenticated(stage, "OPTIONAL")
    assert stage.get(context=client()).status == 200
    assert stage.get(context=client(shows=good())).status == 200
    with pytest.raises(OSError):
        stage.get(context=client(shows=issued("stranger@example.org")))


@served(
    KIND,
    "client_authentication MANDATORY",
    "client_ca_tls_container_ref",
    passes="a client with a certificate of the authority",
    fails="a client that shows none, or one of somebody else",
    refusal=Refusal({"client_authentication": "MANDATORY"}, by="Octavia"),
)
def authentication_mandatory(stage: Stage) -> None:
    _authenticated(stage, "MANDATORY")
    assert stage.get(context=client(shows=good())).status == 200
    for context in (client(), client(shows=issued("stranger@example.org"))):
        with pytest.raises(OSError):
            stage.get(context=context)


@served(
    KIND,
    "client_crl_container_ref",
    passes="a client whose certificate is not revoked",
    fails="a client whose certificate is revoked",
)
def revoked(stage: Stage) -> None:
    _authenticated(stage, "MANDATORY", client_crl_container_ref="revoked")
    assert stage.get(context=client(shows=good())).status == 200
    with pytest.raises(OSError):
        stage.get(context=client(shows=bad()))


@served(
    KIND,
    "tls_versions",
    passes="a client that speaks one of them, TLS 1.0 and 1.1 among them where asked for",
    fails="a client that speaks others alone",
    refusal=Refusal(
        {**HTTPS, "tls_versions": ["TLSv1.1", "TLSv1.3"]}, "tls_versions: must leave out none"
    ),
)
def tls_versions(stage: Stage) -> None:
    old = client(newest=ssl.TLSVersion.TLSv1_2)
    new = client(oldest=ssl.TLSVersion.TLSv1_3)
    oldest = client(oldest=ssl.TLSVersion.TLSv1_1, newest=ssl.TLSVersion.TLSv1_1)
    for versions, passes, fails in (
        (["TLSv1.3"], new, old),
        (["TLSv1.2"], old, new),
        (["TLSv1.1", "TLSv1.2"], oldest, new),
        (["TLSv1.2", "TLSv1.3"], old, oldest),
    ):
        # Octavia's own list has no cipher of TLS 1.1.
        ciphers = "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-GCM-SHA256"
        old_ones = {"tls_ciphers": ciphers} if "TLSv1.1" in versions else {}
        serve(stage, tls_versions=versions, **old_ones)
        assert stage.get(context=passes).status == 200
        with pytest.raises(OSError):
            stage.get(context=fails)


@served(
    KIND,
    "tls_ciphers",
    passes="a client that speaks one of them, of TLS 1.2 or 1.3",
    fails="a client that speaks others alone",
    refusal=Refusal({**HTTPS, "tls_ciphers": "NO-SUCH-CIPHER"}, "tls_ciphers"),
)
def tls_ciphers(stage: Stage) -> None:
    one, other = "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"
    serve(stage, tls_ciphers=f"{one}:TLS_AES_256_GCM_SHA384")
    assert stage.get(context=client(newest=ssl.TLSVersion.TLSv1_2, ciphers=one)).status == 200
    with pytest.raises(OSError):
        stage.get(context=client(newest=ssl.TLSVersion.TLSv1_2, ciphers=other))
    with stage.connect(context=client(oldest=ssl.TLSVersion.TLSv1_3)) as opened:
        assert isinstance(opened, ssl.SSLSocket)
        found = opened.cipher()
        assert found is not None
        assert found[0] == "TLS_AES_256_GCM_SHA384"


@served(
    KIND,
    "alpn_protocols",
    passes="HTTP/2, where the client speaks it too",
    fails="HTTP/2 of a listener that does not offer it: HTTP/1.1 is agreed on",
    refusal=Refusal({**HTTPS, "alpn_protocols": ["spdy/3"]}, by="Octavia"),
)
def alpn_protocols(stage: Stage) -> None:
    serve(stage, alpn_protocols=["h2", "http/1.1"])
    spoken = H2Client(stage.port, client("h2"), name="www.example.org", host=stage.host)
    assert spoken.get("/").body == b"one"
    spoken.close()
    serve(stage, alpn_protocols=["http/1.1", "http/1.0"])
    with stage.connect(context=client("h2", "http/1.1")) as opened:
        assert isinstance(opened, ssl.SSLSocket)
        assert opened.selected_alpn_protocol() == "http/1.1"


@served(
    KIND,
    "hsts_max_age",
    "hsts_include_subdomains",
    "hsts_preload",
    passes="each answer, of a member or not, says Strict-Transport-Security as asked for",
    fails="answers of a listener without it say nothing",
    refusal=Refusal({"hsts_max_age": 10}, by="Octavia"),
)
def hsts(stage: Stage) -> None:
    serve(stage, hsts_max_age=31536000, hsts_include_subdomains=True, hsts_preload=True)
    said = stage.get(context=client()).headers["Strict-Transport-Security"]
    assert said == "max-age=31536000; includeSubDomains; preload;"
    serve(stage, hsts_max_age=0, default_pool=None)
    none = stage.get(context=client())
    assert (none.status, none.headers["Strict-Transport-Security"]) == (503, "max-age=0;")
    serve(stage)
    assert "Strict-Transport-Security" not in stage.get(context=client()).headers


_OF_TLS = (
    *("X-SSL-Client-Verify", "X-SSL-Client-Has-Cert", "X-SSL-Client-DN", "X-SSL-Client-CN"),
    *("X-SSL-Issuer", "X-SSL-Client-SHA1", "X-SSL-Client-Not-Before", "X-SSL-Client-Not-After"),
)


@served(
    KIND,
    *(f"insert_headers {name}" for name in _OF_TLS),
    passes="a request: its member is told of the client's certificate",
    fails="what the client itself claims: replaced, by nothing where it showed no certificate",
    refusal=Refusal({"insert_headers": {"X-SSL-Client-DN": "true"}}, by="Octavia"),
)
def headers_of_tls(stage: Stage) -> None:
    import hashlib

    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    web = _authenticated(stage, "OPTIONAL", insert_headers=dict.fromkeys(_OF_TLS, "true"))
    claimed = dict.fromkeys(_OF_TLS, "claimed")
    shown = good()
    assert stage.get(context=client(shows=shown), headers=claimed).status == 200
    told = {name.lower(): value for name, value in web.requests[-1].items()}
    found = x509.load_pem_x509_certificate(shown.cert_chain_pems[0].bytes())
    digest = hashlib.sha1(found.public_bytes(Encoding.DER), usedforsecurity=False).hexdigest()
    assert told["x-ssl-client-verify"] == "0"
    assert told["x-ssl-client-has-cert"] == "true"
    assert told["x-ssl-client-sha1"] == digest.upper()
    assert told["x-ssl-issuer"].startswith("/O=clients/")
    assert told["x-ssl-client-cn"] == NAME
    assert told["x-ssl-client-dn"].endswith(f"/CN={NAME}")
    written = "%y%m%d%H%M%SZ"
    assert told["x-ssl-client-not-before"] == found.not_valid_before_utc.strftime(written)
    assert told["x-ssl-client-not-after"] == found.not_valid_after_utc.strftime(written)
    assert stage.get(context=client(), headers=claimed).status == 200
    told = {name.lower(): value for name, value in web.requests[-1].items()}
    assert told["x-ssl-client-has-cert"] == "false"
    assert "claimed" not in told.values()
