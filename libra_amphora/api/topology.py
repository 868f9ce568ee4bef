"""The topology: what the node is to its pair."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Any

import pydantic

from libra_amphora.api.base import Answer, Call, Json, Refused, Route, ok
from libra_amphora.errors import TransitionInProgress
from libra_amphora.network_errors import NoSuchInterface
from libra_amphora.plugged import ACTIVE_STANDBY, IPAddress
from libra_amphora.topology import ROLES, TOPOLOGIES, Topology
from libra_amphora.topology_store import Wish

_INVALID = "Invalid request"


class TopologyBody(pydantic.BaseModel):
    """POST topology; `tolopogy` is how the documents spell it once."""

    model_config = pydantic.ConfigDict(strict=True)

    topology: str = pydantic.Field(
        validation_alias=pydantic.AliasChoices("topology", "tolopogy"), max_length=128
    )
    role: str | None = pydantic.Field(default=None, max_length=128)
    ha_ip: str | None = pydantic.Field(default=None, max_length=128)
    secret: str | None = pydantic.Field(default=None, max_length=1024, repr=False)


class TopologyApi:
    """GET and POST of it."""

    def __init__(self, *, topology: Topology, amphora_id: str) -> None:
        self._topology = topology
        self._amphora_id = amphora_id

    def routes(self) -> Iterable[Route]:
        """Served by both spellings."""
        for path in ("/topology", "/tolopogy"):
            yield Route(
                "GET", path, self._get, summary="The topology and the role", answers={200: "both"}
            )
            # Not guarded like the others: it is itself what begins a transition.
            yield Route(
                "POST",
                path,
                self._set,
                summary="Change the topology",
                body=Json(TopologyBody, invalid=_INVALID),
                answers={
                    200: "nothing was to be done",
                    202: "begun; TOPOLOGY-CHANGE until it is in force",
                    400: "a parameter is wrong",
                    503: "topology transition",
                },
            )

    def _get(self, call: Call) -> Answer:  # noqa: ARG002
        wish = self._topology.wish
        return Answer(
            200,
            {
                "hostname": socket.gethostname(),
                "uuid": self._amphora_id,
                "topology": wish.topology,
                "role": self._topology.role,
                "ha_ip": str(wish.ha_ip) if wish.ha_ip else "",
            },
        )

    def _set(self, call: Call) -> Answer:
        body: TopologyBody = call.body
        if self._topology.changing:
            raise TransitionInProgress
        wish = understood(body)
        try:
            begun = self._topology.set(wish, secret=body.secret or "")
        except NoSuchInterface as error:
            raise Refused(400, _INVALID, f"ha_ip: {error}") from error
        return ok(202 if begun else 200)


def understood(body: TopologyBody) -> Wish:
    """What a body asks for. Raises Refused with every parameter that is wrong."""
    faults: list[str] = []
    topology = body.topology.upper().replace("_", "-")
    if topology not in TOPOLOGIES:
        faults.append(f"Unknown topology: {body.topology}")
    role, ha_ip = None, None
    if body.role is not None and body.role.upper() not in ROLES:
        faults.append(f"Unknown role: {body.role}")
    if topology == ACTIVE_STANDBY:
        faults += [
            f"Missing parameter: {name}"
            for name in ("role", "ha_ip", "secret")
            if not getattr(body, name)
        ]
        role = body.role.upper() if body.role else None
        ha_ip = _address(body.ha_ip, faults) if body.ha_ip else None
    if faults:
        raise Refused(400, _INVALID, "; ".join(faults))
    return Wish(topology=topology, role=role, ha_ip=ha_ip)


def _address(text: str, faults: list[str]) -> IPAddress | None:
    try:
        found: Any = ipaddress.ip_address(text.strip())
    except ValueError:
        faults.append(f"Bad ha_ip: {text}")
        return None
    if getattr(found, "scope_id", None):
        faults.append(f"Bad ha_ip: {text}")
        return None
    address: IPAddress = found
    return address
