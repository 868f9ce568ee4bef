"""Whether a port can be listened on, asked before HAProxy is.

`haproxy -c` does not bind. A reload onto a taken port fails after two seconds, and for these two
seconds the old process pauses its listeners, so customers would be refused for a mistake of
somebody else. Hence the look before.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from libra_haproxy.errors import PortForbidden, PortTaken, StartFailed


@dataclass(frozen=True)
class Listen:
    """An address (IP literal; `::` serves IPv4 too) and a port."""

    address: str
    port: int


def refuse_unusable(places: Iterable[Listen], *, low_ports: bool) -> None:
    """Raise for the first place that HAProxy could not listen on.

    `low_ports` says whether HAProxy may listen where this process may not. Raises PortTaken,
    PortForbidden, or StartFailed for an address that this machine does not have.
    """
    for place in places:
        try:
            _try(place)
        except PermissionError as error:
            if not low_ports:
                raise PortForbidden(f"HAProxy may not listen on port {place.port}") from error
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(
                    f"port {place.port} on {place.address} is taken by another program"
                ) from error
            raise StartFailed(
                f"cannot listen on {place.address} port {place.port}: {error.strerror}"
            ) from error


def _try(place: Listen) -> None:
    family = socket.AF_INET6 if ":" in place.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As HAProxy does: connections of an earlier listener that still linger are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, place.address != "::")
        probe.bind((place.address, place.port))
        probe.listen(1)


def default_bind() -> tuple[str, ...]:
    """All addresses of this machine: by IPv6 where the kernel has it, else by IPv4 alone."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            probe.bind(("::", 0))
    except OSError:
        return ("0.0.0.0",)  # noqa: S104 - serving everybody is what a load balancer is for
    return ("::",)
