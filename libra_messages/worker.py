"""The messages a worker takes, as typed, frozen requests.

Source: worker messages. METRICS and DIAGNOSTICS are not on that page; the Libra API server
sends them, with no field but the action. HISTORY, ROLLBACK and the field `generation` are
additions of this implementation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

from pydantic import Field, ValidationError

from libra_messages import fields
from libra_messages.actions import Actions, Command, faults_in, refuse_other_than_objects
from libra_messages.balancer import Contract, LoadBalancer
from libra_messages.codes import Code
from libra_messages.faults import Fault, Malformed
from libra_messages.rules import faults_of_update

MAX_ARCHIVED = 100
"""How many load balancers one ARCHIVE message may name."""

_MAX_LOOKED_AT = 10
"""Of how many load balancers of an UPDATE the fields are checked; more than two are refused."""


class Update(Command):
    """UPDATE: the whole configuration; a load balancer that is left out goes away."""

    action: ClassVar[str] = "UPDATE"
    loadbalancers: tuple[LoadBalancer, ...] = Field(
        description="One load balancer, or two: one HTTP, the other TCP or GALERA.",
        json_schema_extra={"minItems": 1, "maxItems": 2},
    )
    generation: fields.Generation = Field(
        default=None,
        description="The sender's own number of this configuration; one older than the applied "
        "is refused. No check where absent.",
    )


class Suspend(Command):
    """SUSPEND: refuse connections until ENABLE."""

    action: ClassVar[str] = "SUSPEND"


class Enable(Command):
    """ENABLE: undo a SUSPEND."""

    action: ClassVar[str] = "ENABLE"


class Delete(Command):
    """DELETE: erase the load balancer for good."""

    action: ClassVar[str] = "DELETE"


class Discover(Command):
    """DISCOVER: tell the version of the messages, the actions and the limits."""

    action: ClassVar[str] = "DISCOVER"


class ArchivedLoadBalancer(Contract):
    """A load balancer whose logs are to be archived."""

    protocol: fields.ProtocolField = Field(description="HTTP, TCP or GALERA.")
    name: Any = Field(default=None, description="Any value; echoed.")
    id: fields.Label = Field(default=None, description="Any string or integer; names the logs.")


class Archive(Command):
    """ARCHIVE: send the access logs to an object store."""

    action: ClassVar[str] = "ARCHIVE"
    hpcs_object_store_type: fields.Text = Field(description="The kind of store: swift.")
    hpcs_object_store_basepath: fields.Text = Field(description="The container.")
    hpcs_object_store_endpoint: fields.Text = Field(description="URL of the account.")
    hpcs_object_store_token: fields.Secret = Field(description="The token; never logged.")
    loadbalancers: tuple[ArchivedLoadBalancer, ...] = Field(
        description="The load balancers, at least one.",
        json_schema_extra={"minItems": 1, "maxItems": MAX_ARCHIVED},
    )


class Stats(Command):
    """STATS: does HAProxy answer, and how are the nodes."""

    action: ClassVar[str] = "STATS"


class Metrics(Command):
    """METRICS: the bytes that went through each load balancer."""

    action: ClassVar[str] = "METRICS"
    ack: fields.Generation = Field(
        default=None,
        description="The `report` of the last answer that was received, or 0 for none; the answer "
        "covers all since then. All since the last METRICS without it where absent.",
    )


class Diagnostics(Command):
    """DIAGNOSTICS: can the gearmand servers and the network be reached."""

    action: ClassVar[str] = "DIAGNOSTICS"


class History(Command):
    """HISTORY: tell the last five configurations that were in force."""

    action: ClassVar[str] = "HISTORY"


class Rollback(Command):
    """ROLLBACK: apply a configuration of the history once more."""

    action: ClassVar[str] = "ROLLBACK"
    entry: fields.Entry = Field(description="The number of the entry, as HISTORY tells it.")
    generation: fields.Generation = Field(
        default=None, description="As in UPDATE, of the configuration that is made so."
    )


Request: TypeAlias = (
    Update
    | Suspend
    | Enable
    | Delete
    | Discover
    | Archive
    | Stats
    | Metrics
    | Diagnostics
    | History
    | Rollback
)
"""Any request that `parse` returns; tell them apart by ``isinstance`` or by ``action``."""

_REQUESTS: tuple[type[Request], ...] = (
    Update,
    Suspend,
    Enable,
    Delete,
    Discover,
    Archive,
    Stats,
    Metrics,
    Diagnostics,
    History,
    Rollback,
)

FAMILY: Actions[Request] = Actions("hpcs_action", _REQUESTS)
"""These messages, by the field that they have in common."""

ACTIONS: tuple[str, ...] = FAMILY.names
"""The values of ``hpcs_action``, in canonical spelling."""

MODELS: dict[str, type[Request]] = FAMILY.models
"""The model of each action."""


def parse(message: Mapping[str, Any], *, max_nodes: int) -> Request:
    """Return the typed request that `message` is.

    Takes a message as `libra_messages.decode.decode` returns it, with names and enumerated
    values in any case, and the limit of nodes in one message. A field that is null is absent.
    The message is left as it is, for its answer.

    Raises:
        Malformed: with code ``not_an_object``, ``missing_action``, ``unknown_action`` or
            ``malformed_message``, and every fault of the message.

    """
    refuse_other_than_objects(message)
    model = FAMILY.model_of(message)
    folded, twice = FAMILY.folded(message, model)
    faults = list(twice)
    request: Request | None = None
    try:
        request = model.model_validate(_bounded(folded, model, max_nodes))
    except ValidationError as error:
        faults += faults_in(error)
    if model is Update:
        faults += faults_of_update(folded, max_nodes)
    elif model is Archive:
        faults += _faults_of_archive(folded)
    if request is None or faults:
        raise Malformed(Code.MALFORMED_MESSAGE, faults)
    return request


def action_of(message: Any) -> str | None:
    """Return the action of a message in canonical spelling, for a log line.

    `None` where `parse` would not find one of `ACTIONS`. Raises nothing.
    """
    return FAMILY.action_of(message)


def _bounded(folded: dict[str, Any], model: type[Request], max_nodes: int) -> dict[str, Any]:
    """Cut lists that are refused for their length, so that no message costs more than its limit."""
    balancers = folded.get("loadbalancers")
    if not isinstance(balancers, list):
        return folded
    most = MAX_ARCHIVED if model is Archive else _MAX_LOOKED_AT
    cut = [
        {**balancer, "nodes": balancer["nodes"][:max_nodes]}
        if isinstance(balancer, dict) and isinstance(balancer.get("nodes"), list)
        else balancer
        for balancer in balancers[:most]
    ]
    return {**folded, "loadbalancers": cut}


def _faults_of_archive(folded: dict[str, Any]) -> list[Fault]:
    balancers = folded.get("loadbalancers")
    if isinstance(balancers, list) and not 1 <= len(balancers) <= MAX_ARCHIVED:
        reason = f"must be 1 to {MAX_ARCHIVED} load balancers, got {len(balancers) or 'none'}"
        return [Fault("loadbalancers", reason)]
    return []
