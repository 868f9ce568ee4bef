"""Options of TLS of listeners and pools: how it is spoken, and by which certificates."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable

from libra_octavia.objects import certificates
from libra_octavia.objects.fields import Fields, is_set
from libra_octavia.tls import ListenerTls, Pem, PoolTls, Spoken, Verify, Version

SPOKEN = ("tls_versions", "tls_ciphers", "alpn_protocols")
"""The fields that say nothing where TLS is not spoken; Octavia's API fills them in by itself."""

OF_LISTENERS = (
    *("default_tls_container", "sni_container", "client_ca_tls_container", "client_crl_container"),
)
OF_POOLS = ("tls_container", "ca_tls_container", "crl_container")
"""The beginnings of the fields of certificates."""

_PROTOCOLS = ("h2", "http/1.1", "http/1.0")
_SUITES = (
    *("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"),
    *("TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"),
)
_CIPHERS = re.compile(r"[A-Za-z0-9\-+!:@=_.]{1,2048}", re.ASCII)
_WEAK = "@SECLEVEL=0"


def of_container(name: str) -> tuple[str, ...]:
    """The fields that one beginning stands for."""
    return (f"{name}_ref", f"{name}_refs", f"{name}_data")


def has_certificates(fields: Fields) -> bool:
    """Whether a listener has any of its own."""
    return any(
        fields.has(field)
        for name in ("default_tls_container", "sni_container")
        for field in of_container(name)
    )


def read_listener_tls(fields: Fields, *, whole: bool) -> ListenerTls:
    """How a listener ends TLS; `whole` where all of its certificates must have come with it."""
    owner = str(fields.raw("listener_id"))
    found = [_pem(fields, "default_tls_container", owner, "default", certificates.pair, whole)]
    refs, data = fields.raw("sni_container_refs", ()), fields.raw("sni_container_data", ())
    if whole and len(data) < len(refs):
        fields.fault("sni_container_refs", "holds certificates that Octavia did not hand over")
    for number, container in enumerate(data):
        try:
            content = certificates.pair(container)
        except certificates.BadPem as error:
            fields.fault("sni_container_refs", f"number {number + 1} {error}")
        else:
            found.append(Pem.of(owner, f"sni {number}", content))
    authority = _pem(
        fields, "client_ca_tls_container", owner, "authority", certificates.authority, whole
    )
    revoked = _pem(fields, "client_crl_container", owner, "revoked", certificates.revoked, whole)
    verify = fields.word("client_authentication", Verify, refused={}, default=Verify.NONE)
    has_authority = authority is not None or fields.has("client_ca_tls_container_ref")
    if whole and not has_authority and verify is not Verify.NONE:
        fields.fault("client_authentication", f"{verify} needs a client_ca_tls_container_ref")
    if whole and not has_authority and revoked is not None:
        fields.fault("client_crl_container_ref", "needs a client_ca_tls_container_ref")
    pems = tuple(pem for pem in found if pem is not None)
    if whole and not pems and not has_certificates(fields):
        fields.fault("default_tls_container_ref", "or sni_container_refs must be set")
    return ListenerTls(
        certificates=pems,
        spoken=read_spoken(fields),
        verify=verify,
        authority=authority,
        revoked=revoked,
    )


def read_pool_tls(fields: Fields, *, whole: bool) -> PoolTls:
    """How the members of a pool are spoken to by TLS."""
    owner = str(fields.raw("pool_id"))
    authority = _pem(fields, "ca_tls_container", owner, "authority", certificates.authority, whole)
    revoked = _pem(fields, "crl_container", owner, "revoked", certificates.revoked, whole)
    if whole and revoked is not None and authority is None:
        fields.fault("crl_container_ref", "needs a ca_tls_container_ref")
    return PoolTls(
        spoken=read_spoken(fields),
        certificate=_pem(fields, "tls_container", owner, "client", certificates.pair, whole),
        authority=authority,
        revoked=revoked,
    )


def read_spoken(fields: Fields) -> Spoken:
    """Versions, ciphers and protocols."""
    oldest, newest = _versions(fields)
    ciphers, suites = _ciphers(fields)
    if oldest < Version.V1_2:
        # OpenSSL speaks these at no other level.
        ciphers = f"{ciphers or 'DEFAULT'}:{_WEAK}"
    protocols = tuple(fields.raw("alpn_protocols", ()))
    if unknown := [one for one in protocols if one not in _PROTOCOLS]:
        fields.fault("alpn_protocols", f"{unknown[0]!r} is none of {', '.join(_PROTOCOLS)}")
    return Spoken(
        oldest=oldest,
        newest=newest,
        ciphers=ciphers if oldest < Version.V1_3 else None,
        suites=suites if newest is Version.V1_3 else None,
        alpn=tuple(dict.fromkeys(protocols)),
    )


def _versions(fields: Fields) -> tuple[Version, Version]:
    asked = fields.raw("tls_versions") or [Version.V1_2, Version.V1_3]
    known = list(Version)
    if unknown := [one for one in asked if one not in known]:
        why = "is not safe and not spoken" if unknown[0] == "SSLv3" else "is none"
        fields.fault("tls_versions", f"{unknown[0]!r} {why}; there are {', '.join(known)}")
        return Version.V1_2, Version.V1_3
    places = sorted({known.index(one) for one in asked})
    if len(places) != places[-1] - places[0] + 1:
        fields.fault("tls_versions", "must leave out none between the oldest and the newest")
    return known[places[0]], known[places[-1]]


def _ciphers(fields: Fields) -> tuple[str | None, str | None]:
    """The ciphers of TLS up to 1.2, and those of 1.3; their order is one of preference."""
    if not fields.raw("tls_ciphers"):
        return None, None
    text = fields.text(
        "tls_ciphers", _CIPHERS, "must be names of OpenSSL with colons between", default=""
    )
    names = [name for name in text.split(":") if name]
    suites = [name for name in names if name.startswith("TLS_")]
    others = ":".join(name for name in names if name not in suites)
    if text and not names:
        fields.fault("tls_ciphers", "names no cipher")
    if unknown := [name for name in suites if name not in _SUITES]:
        fields.fault("tls_ciphers", f"{unknown[0]!r} is no cipher of TLS 1.3")
    if others:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(others)
        except ssl.SSLError:
            fields.fault("tls_ciphers", "has no cipher in it that OpenSSL knows")
    return others or None, ":".join(suites) or None


def _pem(
    fields: Fields,
    name: str,
    owner: str,
    use: str,
    read: Callable[[object], bytes],
    whole: bool,
) -> Pem | None:
    """The file that a reference names, None where there is none or it has not come along."""
    data = fields.raw(f"{name}_data")
    reference = fields.raw(f"{name}_ref")
    if not is_set(data):
        if whole and reference:
            fields.fault(f"{name}_ref", "was not handed over by Octavia")
        return None
    try:
        return Pem.of(owner, use, read(data))
    except certificates.BadPem as error:
        fields.fault(f"{name}_ref", str(error))
        return None
