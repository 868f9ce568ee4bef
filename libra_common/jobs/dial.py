"""Opening a TCP or TLS connection to a gearman server within a deadline."""

from __future__ import annotations

import socket
import ssl
import time

from libra_common.jobs.servers import GearmanServer, TlsFiles
from libra_common.keepalive import OPTIONS

CONNECT_TIMEOUT = 5.0
"""Seconds for the TCP and TLS handshakes together; name look-up has the resolver's own limit."""


def dial(
    server: GearmanServer, *, tls: TlsFiles | None = None, timeout: float = CONNECT_TIMEOUT
) -> socket.socket:
    """Connect to the first of the server's addresses (IPv4 and IPv6) that answers.

    With `tls` the returned socket has finished its handshake and the server's name or address was
    verified. `timeout` is in seconds for all addresses together. Raises OSError (TimeoutError,
    socket.gaierror and ssl.SSLError are kinds of it), the last address's reason.
    """
    context = tls.context if tls else None
    addresses = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    deadline = time.monotonic() + timeout
    reason: OSError = TimeoutError(f"no connection to {server} within {timeout:g} s")
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        # A share each, so that one address in a black hole leaves time for the next.
        share = (deadline - time.monotonic()) / (len(addresses) - index)
        if share <= 0:
            break
        opened = socket.socket(family, kind, protocol)
        try:
            return _handshake(opened, address, context, server.host, time.monotonic() + share)
        except OSError as error:
            opened.close()
            reason = error
    raise reason


def _handshake(
    opened: socket.socket,
    address: tuple[str | int, ...] | tuple[int, bytes],
    context: ssl.SSLContext | None,
    name: str,
    deadline: float,
) -> socket.socket:
    for level, option, value in OPTIONS:
        opened.setsockopt(level, option, value)
    opened.settimeout(_left(deadline))
    opened.connect(address)
    if context is None:
        return opened
    # The certificate speaks of an address without its zone (fe80::1%eth0).
    wrapped = context.wrap_socket(
        opened, server_hostname=name.partition("%")[0], do_handshake_on_connect=False
    )
    try:
        wrapped.settimeout(_left(deadline))
        wrapped.do_handshake()
    except OSError:
        wrapped.close()
        raise
    return wrapped


def _left(deadline: float) -> float:
    # Zero would mean "do not block" to a socket, which is another thing than "no time left".
    return max(0.001, deadline - time.monotonic())
