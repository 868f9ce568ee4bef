"""The messages the pool manager takes, as typed, frozen requests.

Source: pool manager commands. DELETE_IP is not on that page; the Libra API server sends it.
The fields of BUILD_DEVICE, and ATTACH_PORT, DETACH_PORT and LIST_DEVICES, are additions of this
implementation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import Field, ValidationError

from libra_messages import decode as strict
from libra_messages.actions import Actions, Command, faults_in, refuse_other_than_objects
from libra_messages.codes import Code
from libra_messages.faults import Malformed, shown
from libra_messages.fields import Address, Reads
from libra_messages.pool_agent import Agent
from libra_messages.readers import Refused, address

_DEVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", re.ASCII)
_LONGEST_WORD = 255


def _device_name(value: Any) -> str:
    """Read the name of a device: what host names are made of, and the underscore."""
    if isinstance(value, str) and _DEVICE_NAME.fullmatch(value):
        return value
    raise Refused(
        "must be 1 to 255 of the characters A-Z a-z 0-9 . _ - not starting with . _ or -, "
        f"got {shown(value)}"
    )


def _word(value: Any) -> str:
    """Read the name or id of a thing in the cloud: one printable line; a number as its digits."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and text.strip() and text.isprintable() and len(text) <= _LONGEST_WORD:
        return text
    raise Refused(f"must be 1 to {_LONGEST_WORD} printable characters, got {shown(value)}")


def _addresses(value: Any) -> tuple[str, ...]:
    """Read a list of addresses, each of them once."""
    if not isinstance(value, list):
        raise Refused(f"must be a list, got {shown(value)}")
    if len(value) > _MOST_ADDRESSES:
        raise Refused(f"must be at most {_MOST_ADDRESSES}, got {len(value)}")
    found: dict[str, int] = {}
    for position, item in enumerate(value):
        try:
            first = found.setdefault(address(item), position)
        except Refused as error:
            raise Refused(f"item {position} {error}") from None
        if first != position:
            raise Refused(f"item {position} is the same address as item {first}")
    return tuple(found)


def _words(value: Any) -> tuple[str, ...]:
    """Read a list of names or ids of things in the cloud."""
    if not isinstance(value, list):
        raise Refused(f"must be a list, got {shown(value)}")
    if len(value) > _MOST_GROUPS:
        raise Refused(f"must be at most {_MOST_GROUPS}, got {len(value)}")
    found = []
    for position, item in enumerate(value):
        try:
            found.append(_word(item))
        except Refused as error:
            raise Refused(f"item {position} {error}") from None
    return tuple(dict.fromkeys(found))


_MOST_ADDRESSES = 64
_MOST_GROUPS = 32
_WORD_SCHEMA = {"type": ["string", "integer"], "minLength": 1, "maxLength": _LONGEST_WORD}

DeviceName = Annotated[
    str, Reads(_device_name, {"type": "string", "pattern": f"^{_DEVICE_NAME.pattern}$"})
]
Word = Annotated[str | None, Reads(_word, _WORD_SCHEMA)]
Key = Annotated[str, Reads(_word, _WORD_SCHEMA)]
Addresses = Annotated[
    tuple[str, ...] | None,
    Reads(
        _addresses,
        {
            "type": "array",
            "maxItems": _MOST_ADDRESSES,
            "items": {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
        },
    ),
]
Groups = Annotated[
    tuple[str, ...] | None,
    Reads(_words, {"type": "array", "maxItems": _MOST_GROUPS, "items": _WORD_SCHEMA}),
]
MaybeAddress = Annotated[
    str | None,
    Reads(address, {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}),
]


class BuildDevice(Command):
    """BUILD_DEVICE: build a device; what is not named here is as the settings say."""

    action: ClassVar[str] = "BUILD_DEVICE"
    flavor: Word = Field(default=None, description="Size of the device, name or id.")
    image: Word = Field(default=None, description="Image to boot, name or id.")
    az: Word = Field(default=None, description="Availability zone to build in.")
    network: Word = Field(default=None, description="Network to be on, name or id.")
    agent: Agent | None = Field(
        default=None, description="The device is driven by the amphora API too, with this."
    )


class DeleteDevice(Command):
    """DELETE_DEVICE: delete a device; one that is gone already is no fault."""

    action: ClassVar[str] = "DELETE_DEVICE"
    name: DeviceName = Field(description="Name of the device.")


class BuildIp(Command):
    """BUILD_IP: get a floating IP."""

    action: ClassVar[str] = "BUILD_IP"


class AssignIp(Command):
    """ASSIGN_IP: give a floating IP, which no other device may hold, to a device."""

    action: ClassVar[str] = "ASSIGN_IP"
    ip: Address = Field(description="The floating IP.")
    name: DeviceName = Field(description="Name of the device.")


class RemoveIp(Command):
    """REMOVE_IP: take a floating IP from a device, and keep it for another time."""

    action: ClassVar[str] = "REMOVE_IP"
    ip: Address = Field(description="The floating IP.")
    name: DeviceName = Field(description="Name of the device.")


class DeleteIp(Command):
    """DELETE_IP: give a floating IP back to the cloud; one that is gone already is no fault."""

    action: ClassVar[str] = "DELETE_IP"
    ip: Address = Field(description="The floating IP.")


class AttachPort(Command):
    """ATTACH_PORT: give a device a port in a subnet, or change the port of that key."""

    action: ClassVar[str] = "ATTACH_PORT"
    name: DeviceName = Field(description="Name of the device.")
    key: Key = Field(
        description="The sender's own word for this port; the same key gives the same port again."
    )
    subnet: Word = Field(default=None, description="Subnet to be in, an id.")
    network: Word = Field(default=None, description="Network of the subnet, name or id.")
    ip: MaybeAddress = Field(
        default=None, description="Address in the subnet; a free one where absent."
    )
    addresses: Addresses = Field(
        default=None,
        description="Addresses that the port may have besides, such as VIPs; where absent, those"
        " that it has, none at first.",
    )
    security_groups: Groups = Field(
        default=None, description="Security groups, names or ids; the cloud's default where absent."
    )


class DetachPort(Command):
    """DETACH_PORT: take a port from its device and give it back; one that is gone is no fault."""

    action: ClassVar[str] = "DETACH_PORT"
    name: DeviceName = Field(description="Name of the device.")
    port: Key = Field(description="The port, as ATTACH_PORT answered it.")


class ListDevices(Command):
    """LIST_DEVICES: tell of all devices of this pool and of their ports."""

    action: ClassVar[str] = "LIST_DEVICES"


Request: TypeAlias = (
    BuildDevice
    | DeleteDevice
    | BuildIp
    | AssignIp
    | RemoveIp
    | DeleteIp
    | AttachPort
    | DetachPort
    | ListDevices
)
"""Any request that `parse` returns; tell them apart by ``isinstance`` or by ``action``."""

_REQUESTS: tuple[type[Request], ...] = (
    BuildDevice,
    DeleteDevice,
    BuildIp,
    AssignIp,
    RemoveIp,
    DeleteIp,
    AttachPort,
    DetachPort,
    ListDevices,
)

FAMILY: Actions[Request] = Actions("action", _REQUESTS)
"""These messages, by the field that they have in common."""

ACTIONS: tuple[str, ...] = FAMILY.names
"""The values of ``action``, in canonical spelling."""

_TRAILING_COMMA = re.compile(rb",(?=[ \t\r\n]*\}[ \t\r\n]*\Z)")


def decode(data: bytes) -> dict[str, Any]:
    """Return the JSON object that `data` holds, strictly but for one slip.

    The example of BUILD_IP in pool manager commands has a comma before its closing brace, and
    was copied since; it is accepted as it stands there. In any other message it is refused.

    Raises:
        Malformed: with code ``bad_json`` or ``not_an_object``.

    """
    try:
        return strict.decode(data)
    except Malformed:
        mended = _TRAILING_COMMA.sub(b"", data)
        message = None if mended == data else _or_none(mended)
        if FAMILY.action_of(message) != BuildIp.action or message is None:
            raise
        return message


def parse(message: Mapping[str, Any]) -> Request:
    """Return the typed request that `message` is.

    Takes a message as `decode` returns it, with names and the action in any case. A field that is
    null is absent. The message is left as it is, for its answer.

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
        request = model.model_validate(folded)
    except ValidationError as error:
        faults += faults_in(error)
    if request is None or faults:
        raise Malformed(Code.MALFORMED_MESSAGE, faults)
    return request


def _or_none(data: bytes) -> dict[str, Any] | None:
    try:
        return strict.decode(data)
    except Malformed:
        return None
