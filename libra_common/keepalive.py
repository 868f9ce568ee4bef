"""Options of a TCP connection to gearmand or through the gate, which may stay open for months."""

from __future__ import annotations

import socket

# A host that vanished without a FIN: first probe after 30 s of silence, then three 10 s apart;
# unacknowledged data gives up after 60 s (milliseconds here).
OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000),
    # Without it two small writes in a row cost 40 ms each job (Nagle against delayed ACK).
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)
"""Level, option and value of each: a peer that vanished is noticed, small packets go at once."""
