"""UDP and SCTP listeners, which Octavia gives to the kernel's IP_VS: refused, with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from libra_amphora.api.base import V1, Answer, Call, Raw, Refused, Route

_IP_VS = Path("/proc/net/ip_vs")


class UdpApi:
    """`ip_vs` is there where the kernel has IP_VS."""

    def __init__(self, *, ip_vs: Path = _IP_VS) -> None:
        self._ip_vs = ip_vs

    def routes(self) -> Iterable[Route]:
        """The two that a controller calls."""
        yield Route(
            "PUT",
            "/listeners/{amphora_id}/{listener_id}/udp_listener",
            self._put,
            summary="UDP and SCTP listeners are not served by this node",
            body=Raw(),
            guarded=True,
            versions=(V1,),
            answers={400: "always, with the reason", 503: "topology transition"},
        )
        yield Route(
            "GET",
            "/listeners/{listener_id}/udp_listener",
            self._get,
            summary="The configuration of a UDP listener",
            versions=(V1,),
            absent=_not_found,
            answers={404: "there is none"},
        )

    def _put(self, call: Call) -> Answer:  # noqa: ARG002
        reason = "this node serves TCP and HTTP by HAProxy only"
        if not self._ip_vs.exists():
            reason += ", and its kernel has no IP_VS"
        raise Refused(400, "UDP and SCTP listeners are not possible on this node", reason)

    def _get(self, call: Call) -> Answer:
        raise _not_found(call.version, call.params["listener_id"])


def _not_found(version: str, id_: str) -> Refused:  # noqa: ARG001 - only one version has it
    return Refused(404, "UDP Listener Not Found", f"No UDP listener with UUID: {id_}")
