"""Which interface has an address, and what that interface lets in."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Literal

import pydantic

from libra_amphora.api import addresses
from libra_amphora.api.base import JSON_BYTES, V1, Answer, Call, Raw, Refused, Route, ok
from libra_amphora.network import Network
from libra_amphora.network_errors import NetworkError, NoSuchAddress
from libra_amphora.plugged import Allowed, IPAddress

_INVALID = "Invalid rules information"
_MOST = 4096

Protocol = Literal["TCP", "UDP", "SCTP", "VRRP"]


class RuleBody(pydantic.BaseModel):
    """One kind of traffic that is let in; `cidr` null is from everywhere."""

    model_config = pydantic.ConfigDict(extra="forbid")

    protocol: Protocol
    cidr: addresses.LooseNetwork | None
    port: int = pydantic.Field(ge=1, le=65535, strict=True)


_RULES = pydantic.TypeAdapter(
    Annotated[list[RuleBody], pydantic.Field(max_length=_MOST)],
)


class InterfaceApi:
    """GET interface, and PUT of its rules."""

    def __init__(self, *, network: Network) -> None:
        self._network = network

    def routes(self) -> Iterable[Route]:
        """The first is of both versions; the second came later."""
        yield Route(
            "GET",
            "/interface/{ip}",
            self._get,
            summary="The name of the interface that has an address",
            answers={200: "the name", 400: "no address", 404: "no interface has it"},
        )
        yield Route(
            "PUT",
            "/interface/{ip}/rules",
            self._rules,
            summary="Let in only this by the interface that has an address",
            body=Raw(limit=JSON_BYTES, kind="application/json"),
            guarded=True,
            versions=(V1,),
            answers={
                200: "in force",
                400: "the address or a rule is wrong",
                404: "no interface has the address",
                500: "nftables refused or is not there; nothing was changed",
                503: "topology transition",
            },
        )

    def _get(self, call: Call) -> Answer:
        try:
            return ok(interface=self._network.interface_of(_address(call)))
        except NoSuchAddress as error:
            raise Refused(404, str(error)) from None

    def _rules(self, call: Call) -> Answer:
        address = _address(call)
        rules = read_rules(call.body)
        try:
            self._network.allow(address, rules)
        except NoSuchAddress as error:
            raise Refused(404, "Error interface not found for IP address", str(error)) from None
        except NetworkError as error:
            raise Refused(500, "Failed to set interface rules", str(error)) from error
        return ok()


def read_rules(data: bytes) -> tuple[Allowed, ...]:
    """The rules of a body, a JSON list. Raises Refused with every faulty field."""
    try:
        rules = _RULES.validate_python(json.loads(data))
    except pydantic.ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        ]
        raise Refused(400, _INVALID, "; ".join(faults[:20])) from None
    except (ValueError, RecursionError):
        raise Refused(400, _INVALID, "the body is not JSON") from None
    return tuple(
        Allowed(protocol=rule.protocol, source=rule.cidr, port=rule.port) for rule in rules
    )


def _address(call: Call) -> IPAddress:
    try:
        return addresses.address(call.params["ip"])
    except ValueError:
        raise Refused(400, "Bad IP address version") from None
