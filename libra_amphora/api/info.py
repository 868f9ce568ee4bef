"""Who the node is: the first that every controller asks."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable

from libra_amphora.api.base import UNVERSIONED, V01, V1, Answer, Call, Route


class InfoApi:
    """`haproxy_version` gives HAProxy's release and must cost nothing."""

    def __init__(self, *, amphora_id: str, haproxy_version: Callable[[], str]) -> None:
        self._amphora_id = amphora_id
        self._haproxy_version = haproxy_version

    def routes(self) -> Iterable[Route]:
        """The version of the API, and /info with and without one."""
        yield Route(
            "GET",
            "/",
            self._version,
            summary="The newest version of the API",
            fast=True,
            versions=(UNVERSIONED,),
            answers={200: "the version"},
        )
        yield Route(
            "GET",
            "/info",
            self._info,
            summary="Who the node is",
            fast=True,
            versions=(UNVERSIONED, V1, V01),
            answers={200: "host name, id and versions"},
        )

    def _version(self, call: Call) -> Answer:  # noqa: ARG002
        return Answer(200, {"api_version": V1})

    def _info(self, call: Call) -> Answer:
        return Answer(
            200,
            {
                "hostname": socket.gethostname(),
                "uuid": self._amphora_id,
                "haproxy_version": self._haproxy_version(),
                "api_version": call.version,
            },
        )
