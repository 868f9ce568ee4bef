"""A load balancer as an UPDATE message describes it: nodes, monitor, options.

The names and the meaning of the fields are those of the worker messages, "UPDATE Message"; what
that page leaves open (`monitor`, `options`, `algorithm`) is as the Libra API server sends it.
The models take canonical field names; `libra_messages.worker.parse` folds the others to them,
and applies the rules that look at more than one field.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from libra_messages import fields
from libra_messages.fields import Algorithm, Condition, MonitorType, Protocol
from libra_messages.readers import Refused, choice, number

DEFAULT_PORTS = {Protocol.HTTP: 80, Protocol.TCP: 443, Protocol.GALERA: 3306}
"""The port of a load balancer that names none, by its protocol."""


def _default_is_described(schema: dict[str, Any]) -> None:
    """Take the default out of the JSON Schema of a field whose default hangs on another field."""
    schema.pop("default", None)


class Contract(BaseModel):
    """A frozen part of a message; fields that it does not know are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Node(Contract):
    """A server behind the load balancer."""

    id_as_sent: fields.NodeId = Field(
        default=None, alias="id", description="Names the node in STATS; empty means absent."
    )
    address: fields.Address = Field(
        description="IPv4 or IPv6 address of the node. Host names are not accepted."
    )
    port: fields.Port = Field(description="TCP port of the node, 1 to 65535.")
    weight: fields.Weight = Field(
        default=1,
        description="Share of the traffic relative to the other nodes, 0 to 256; 0 takes none.",
    )
    condition: fields.ConditionField = Field(
        default=Condition.ENABLED, description="A DISABLED node takes no traffic."
    )
    backup: fields.Flag = Field(
        default=False, description="A backup node takes traffic only while no other node is up."
    )

    @property
    def id(self) -> str | None:
        """The id as a string, whichever type it was sent in; `None` where there is none."""
        return None if self.id_as_sent is None else str(self.id_as_sent)


class Monitor(Contract):
    """How the health of the nodes is checked."""

    type: fields.MonitorTypeField = Field(
        default=MonitorType.CONNECT, description="CONNECT opens a TCP connection, HTTP sends a GET."
    )
    delay: fields.Seconds = Field(default=30, description="Seconds between two checks, 1 to 3600.")
    timeout: fields.Seconds = Field(
        default=30,
        description="Seconds a check may take, 1 to 3600; not more than delay, its default.",
        json_schema_extra=_default_is_described,
    )
    attempts: fields.Attempts = Field(
        default=2, description="Failed checks in a row that take a node out of service, 1 to 100."
    )
    path: fields.Path = Field(
        default="/",
        description="Path that an HTTP check asks for. A missing leading slash is added; "
        "empty means '/'. No fragment, no space, no single quote.",
    )

    @model_validator(mode="before")
    @classmethod
    def _timeout_defaults_to_delay(cls, data: Any) -> Any:
        if isinstance(data, dict) and "timeout" not in data and "delay" in data:
            return {**data, "timeout": _read_or(number(1, 3600), data["delay"], 30)}
        return data


class Options(Contract):
    """Limits on the connections through the load balancer."""

    client_timeout: fields.Milliseconds = Field(
        default=30_000, description="Milliseconds a client may be silent, 1 to 86400000."
    )
    server_timeout: fields.Milliseconds = Field(
        default=30_000, description="Milliseconds a node may be silent, 1 to 86400000."
    )
    connect_timeout: fields.Milliseconds = Field(
        default=30_000, description="Milliseconds a connection to a node may take, 1 to 86400000."
    )
    connect_retries: fields.Retries = Field(
        default=3, description="Further attempts to connect to a node, 0 to 100."
    )


class LoadBalancer(Contract):
    """One load balancer: a port that listens, and the nodes behind it."""

    protocol: fields.ProtocolField = Field(
        description="HTTP, TCP, or GALERA: TCP with one writer, the other nodes backup."
    )
    port: fields.Port = Field(
        default=80,
        description="Port that listens, 1 to 65535. Default: 80 HTTP, 443 TCP, 3306 GALERA.",
        json_schema_extra=_default_is_described,
    )
    algorithm: fields.AlgorithmField = Field(
        default=Algorithm.ROUND_ROBIN, description="How requests are spread over the nodes."
    )
    nodes: tuple[Node, ...] = Field(
        description="The nodes, at least one.", json_schema_extra={"minItems": 1}
    )
    monitor: Monitor | None = Field(
        default=None,
        description="How the health of the nodes is checked; by a connection every 30 seconds "
        "where absent.",
    )
    options: Options = Field(
        default_factory=lambda: Options(),
        description="Limits on the connections; all have defaults.",
    )
    name: Any = Field(default=None, description="Any value; echoed, otherwise not used.")
    id: fields.Label = Field(default=None, description="Any string or integer; echoed.")

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_protocol(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        protocol = _read_or(choice(Protocol), data.get("protocol"), Protocol.HTTP)
        filled = {"port": DEFAULT_PORTS[protocol], **data}
        if protocol is Protocol.GALERA:
            filled["nodes"] = _one_writer(data.get("nodes"))
        return filled


def _one_writer(nodes: Any) -> Any:
    """Where no node says `backup`, make the first enabled one the writer, the others backup."""
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        return nodes
    if any("backup" in node for node in nodes):
        return nodes
    read = choice(Condition)
    enabled = (
        position
        for position, node in enumerate(nodes)
        if _read_or(read, node.get("condition", "ENABLED"), None) is Condition.ENABLED
    )
    writer = next(enabled, 0)
    return [{**node, "backup": position != writer} for position, node in enumerate(nodes)]


def _read_or(read: Any, value: Any, default: Any) -> Any:
    """Read a value that another default hangs on; its own field reports the fault."""
    try:
        return read(value)
    except Refused:
        return default
