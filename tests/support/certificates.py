"""Certificates of a test's own authority."""

from __future__ import annotations

import functools
import ssl

import trustme

from libra_haproxy.certificates import Bundle


@functools.cache
def authority() -> trustme.CA:
    """Who signs all of them; made once, since keys take their time."""
    return trustme.CA()


def bundle(*names: str) -> Bundle:
    """A new certificate for `names`, with its key."""
    return Bundle.parse(pem(*names))


def pem(*names: str) -> str:
    """The same as text."""
    return authority().issue_cert(*names).private_key_and_cert_chain_pem.bytes().decode()


def trusting(*protocols: str) -> ssl.SSLContext:
    """A client that trusts them, and speaks `protocols` in this order."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context
