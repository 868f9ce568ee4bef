"""The words of TLS: behind the address of a listener, and behind the address of a member."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from libra_haproxy import tokens
from libra_haproxy.tokens import Token
from libra_octavia import words
from libra_octavia.model import StrictTransport
from libra_octavia.tls import ListenerTls, Pem, PoolTls, Spoken, Verify, Version

_VERSIONS = {
    Version.V1_0: tokens.keyword("TLSv1.0"),
    Version.V1_1: tokens.keyword("TLSv1.1"),
    Version.V1_2: tokens.keyword("TLSv1.2"),
    Version.V1_3: tokens.keyword("TLSv1.3"),
}
_VERIFY = {
    Verify.NONE: tokens.keyword("none"),
    Verify.OPTIONAL: tokens.keyword("optional"),
    Verify.MANDATORY: tokens.keyword("required"),
}


def bound(tls: ListenerTls, certificates: str, folder: PurePosixPath) -> Iterator[Token]:
    """How a listener ends TLS (manual, 5.1); `certificates` is the name of its list of them."""
    yield from (tokens.keyword("ssl"), tokens.keyword("crt-list"), _file(folder / certificates))
    if tls.authority is not None:
        yield from _named("ca-file", tls.authority, folder)
        yield from (tokens.keyword("verify"), _VERIFY[tls.verify])
        if tls.revoked is not None:
            yield from _named("crl-file", tls.revoked, folder)
    yield from _spoken(tls.spoken)


def towards(tls: PoolTls, folder: PurePosixPath, *, checked: bool) -> Iterator[Token]:
    """How a member is spoken to (manual, 5.2), by its health checks too where it is `checked`.

    A member is told the name that the client asked for, where the client said one by TLS. Without
    an authority it is believed whoever it is.
    """
    yield tokens.keyword("ssl")
    if tls.certificate is not None:
        yield from _named("crt", tls.certificate, folder)
    if tls.authority is None:
        yield from (tokens.keyword("verify"), tokens.keyword("none"))
    else:
        yield from _named("ca-file", tls.authority, folder)
        yield from (tokens.keyword("verify"), tokens.keyword("required"))
        if tls.revoked is not None:
            yield from _named("crl-file", tls.revoked, folder)
    yield from (tokens.keyword("sni"), tokens.keyword("ssl_fc_sni"))
    yield from _spoken(tls.spoken)
    if checked and tls.spoken.alpn:
        yield from (tokens.keyword("check-alpn"), tokens.alpn(tls.spoken.alpn))


def strict_transport(found: StrictTransport) -> Token:
    """The value of Strict-Transport-Security."""
    directives = [f"max-age={tokens.number(found.max_age)};"]
    if found.subdomains:
        directives.append("includeSubDomains;")
    if found.preload:
        directives.append("preload;")
    return words.said(" ".join(directives))


def _spoken(spoken: Spoken) -> Iterator[Token]:
    yield from (tokens.keyword("ssl-min-ver"), _VERSIONS[spoken.oldest])
    yield from (tokens.keyword("ssl-max-ver"), _VERSIONS[spoken.newest])
    if spoken.ciphers:
        yield from (tokens.keyword("ciphers"), words.ciphers(spoken.ciphers))
    if spoken.suites:
        yield from (tokens.keyword("ciphersuites"), words.ciphers(spoken.suites))
    if spoken.alpn:
        yield from (tokens.keyword("alpn"), tokens.alpn(spoken.alpn))


def _named(word: str, pem: Pem, folder: PurePosixPath) -> Iterator[Token]:
    yield from (tokens.keyword(word), _file(folder / pem.name))


def _file(path: PurePosixPath) -> Token:
    return tokens.file(Path(path))
