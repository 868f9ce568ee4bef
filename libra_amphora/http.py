"""aiohttp's server, imported without what its client would make.

aiohttp makes its client's TLS contexts at its import, and reads all of the system's authorities
for them: a tenth of the agent's start. The agent is nobody's client and trusts `agent_server_ca`
alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_PLACES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Where OpenSSL is told to look for the system's authorities."""


@contextmanager
def _no_authorities() -> Iterator[None]:
    """Have the system's authorities seem to be none; a context made here trusts nobody."""
    before = {name: os.environ.get(name) for name in _PLACES}
    os.environ.update(dict.fromkeys(_PLACES, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


with _no_authorities():
    from aiohttp import web
    from aiohttp.web_protocol import RequestHandler

__all__ = ["RequestHandler", "web"]
