"""The types of the fields of a message: a reader and its JSON Schema, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, SecretStr
from pydantic_core import CoreSchema, core_schema

from libra_messages import readers


class Protocol(StrEnum):
    """What a load balancer speaks. GALERA is TCP with one writer, the other nodes backup."""

    HTTP = "HTTP"
    TCP = "TCP"
    GALERA = "GALERA"


class Algorithm(StrEnum):
    """How requests are spread over the nodes."""

    ROUND_ROBIN = "ROUND_ROBIN"
    LEAST_CONNECTIONS = "LEAST_CONNECTIONS"


class Condition(StrEnum):
    """Whether a node may take traffic."""

    ENABLED = "ENABLED"
    DISABLED = "DISABLED"


class MonitorType(StrEnum):
    """How a node's health is checked: by a TCP connect, or by an HTTP GET."""

    CONNECT = "CONNECT"
    HTTP = "HTTP"


@dataclass(frozen=True)
class Reads:
    """An annotation: the field is read by `read`, and API developers see `json_schema`."""

    read: Callable[[Any], Any]
    json_schema: Mapping[str, Any]

    def __get_pydantic_core_schema__(
        self, _source: Any, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return dict(self.json_schema)


def _whole(least: int, most: int) -> Reads:
    """Whole numbers from `least` to `most`, as a number or as a string of digits."""
    integer = {"type": "integer", "minimum": least, "maximum": most}
    digits = {"type": "string", "pattern": "^[0-9]{1,10}$"}
    return Reads(readers.number(least, most), {"anyOf": [integer, digits]})


_MOST_COUNTED = 2**53  # what every JSON parser reads exactly
_counted = readers.number(0, _MOST_COUNTED)


def _count(value: Any) -> int:
    """Read a whole number of up to 16 digits."""
    long = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16
    return _counted(int(value) if long else value)


def _one_of(kind: type[StrEnum]) -> Reads:
    """One of the values of `kind`, in any case."""
    values = [member.value for member in kind]
    return Reads(readers.choice(kind), {"anyOf": [{"enum": values}, any_case(*values)]})


def any_case(*words: str) -> dict[str, Any]:
    """Return the JSON Schema of a string that is one of `words` in any case of its letters."""
    patterns = (
        "".join(f"[{c.upper()}{c.lower()}]" if c.isalpha() else c for c in word) for word in words
    )
    return {"type": "string", "pattern": f"^({'|'.join(patterns)})$"}


def _secret(value: Any) -> SecretStr:
    """Read a string that is not empty and must never be shown."""
    if isinstance(value, str) and value:
        return SecretStr(value)
    raise readers.Refused("must be a string that is not empty")


_STRING = {"type": "string", "minLength": 1}

ProtocolField = Annotated[Protocol, _one_of(Protocol)]
AlgorithmField = Annotated[Algorithm, _one_of(Algorithm)]
ConditionField = Annotated[Condition, _one_of(Condition)]
MonitorTypeField = Annotated[MonitorType, _one_of(MonitorType)]
Port = Annotated[int, _whole(1, 65535)]
Weight = Annotated[int, _whole(0, 256)]
Seconds = Annotated[int, _whole(1, 3600)]
Attempts = Annotated[int, _whole(1, 100)]
Milliseconds = Annotated[int, _whole(1, 86_400_000)]
Retries = Annotated[int, _whole(0, 100)]
Flag = Annotated[
    bool, Reads(readers.flag, {"anyOf": [{"type": "boolean"}, any_case("TRUE", "FALSE")]})
]
Address = Annotated[
    str,
    Reads(
        readers.address,
        {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
    ),
]
NodeId = Annotated[
    str | int | None,
    Reads(
        readers.node_id,
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": "^([A-Za-z0-9_][A-Za-z0-9_.-]{0,63})?$"},
            ]
        },
    ),
]
Path = Annotated[str, Reads(readers.path, {"type": "string", "maxLength": readers.PATH_CHARACTERS})]
_COUNT = Reads(
    _count,
    {
        "anyOf": [
            {"type": "integer", "minimum": 0, "maximum": _MOST_COUNTED},
            {"type": "string", "pattern": "^[0-9]{1,16}$"},
        ]
    },
)
Entry = Annotated[int, _COUNT]
Generation = Annotated[int | None, _COUNT]
Label = Annotated[str | int | None, Reads(readers.label, {"type": ["string", "integer"]})]
Text = Annotated[str, Reads(readers.text, _STRING)]
Secret = Annotated[SecretStr, Reads(_secret, _STRING)]
