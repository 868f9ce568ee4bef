"""UDP and SCTP listeners, which Octavia gives to the kernel's IP_VS by keepalived."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable

from libra_amphora.api.balancers import IN_FORCE
from libra_amphora.api.base import V1, Answer, Call, Raw, Refused, Route, ok
from libra_amphora.lvs import LvsListeners
from libra_amphora.lvs_config import LIMIT
from libra_amphora.lvs_errors import LvsConfigRefused, NoIpVs
from libra_common.errors import LibraError

LOG = logging.getLogger(__name__)

_DONE = {"start": "started", "stop": "stopped", "reload": "reloaded"}


class UdpApi:
    """The two routes of their own. Actions come by a load balancer's: `act` is for those.

    `prepare` makes the network ready for a listener; `announce` tells it where that is.
    """

    def __init__(
        self,
        *,
        listeners: LvsListeners,
        prepare: Callable[[], None],
        announce: Callable[[], None],
    ) -> None:
        self._listeners = listeners
        self._prepare = prepare
        self._announce = announce

    def routes(self) -> Iterable[Route]:
        """The two that a controller calls."""
        yield Route(
            "PUT",
            "/listeners/{amphora_id}/{listener_id}/udp_listener",
            self._put,
            summary="Check and keep a UDP or SCTP listener for the next start or reload",
            body=Raw(limit=LIMIT),
            guarded=True,
            versions=(V1,),
            answers={
                200: "kept",
                400: "it is refused, or the node has no IP_VS; the present one stays",
                500: "it could not be checked or kept",
                503: "topology transition",
            },
        )
        yield Route(
            "GET",
            "/listeners/{listener_id}/udp_listener",
            self._get,
            summary="The configuration of a UDP or SCTP listener as it was uploaded last",
            versions=(V1,),
            absent=_not_found,
            answers={200: "the text", 404: "there is none"},
        )

    def act(self, action: str, id_: str) -> Answer | None:
        """Start, stop or reload a listener; None where the id is none of these."""
        if not self._listeners.has(id_):
            return None
        try:
            if action == "stop":
                self._listeners.stop(id_)
            else:
                self._prepare()
                self._listeners.start(id_)
                self._announce()
        except LibraError as error:
            LOG.error("keepalived did not %s %s: %s", action, id_, error)
            message = f"Failed to {action} keepalivedlvs listener {id_}"
            raise Refused(500, message, str(error)) from error
        return ok(202, details=f"keepalivedlvs listener {id_} {_DONE[action]}")

    def _put(self, call: Call) -> Answer:
        try:
            self._listeners.upload(call.params["listener_id"], call.body)
        except NoIpVs as error:
            message = "UDP and SCTP listeners are not possible on this node"
            raise Refused(400, message, str(error)) from error
        except LvsConfigRefused as error:
            raise Refused(400, "Invalid request", str(error)) from error
        except LibraError as error:
            raise Refused(500, "Configuration not checked", str(error)) from error
        return ok(headers={"ETag": hashlib.md5(call.body, usedforsecurity=False).hexdigest()})

    def _get(self, call: Call) -> Answer:
        id_ = call.params["listener_id"]
        if not self._listeners.has(id_):
            raise _not_found(call.version, id_)
        text = self._listeners.text(id_)
        headers = {
            "ETag": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(),
            IN_FORCE: str(self._listeners.in_force(id_)).lower(),
        }
        return Answer(200, text, headers)


def _not_found(version: str, id_: str) -> Refused:  # noqa: ARG001 - only one version has it
    return Refused(404, "UDP Listener Not Found", f"No UDP listener with UUID: {id_}")
