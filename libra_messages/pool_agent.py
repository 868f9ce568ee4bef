"""The field `agent` of BUILD_DEVICE: what a device needs to be driven by the amphora API.

An addition of this implementation. `certificate` and `heartbeat_key` are secrets; no fault ever
shows them.
"""

from __future__ import annotations

import re
import uuid
from typing import Annotated, Any

from pydantic import Field, SecretStr

from libra_messages import fields
from libra_messages.balancer import Contract
from libra_messages.faults import shown
from libra_messages.fields import Reads
from libra_messages.readers import Refused, address

MAX_PEM = 32_768
"""Characters of a PEM text; a key of 4096 bits with a long chain has a third of that."""

_PEM = re.compile(
    r"\s*(?:-----BEGIN (?P<kind>[A-Z0-9 ]+)-----[\r\n][A-Za-z0-9+/=\r\n]+"
    r"-----END (?P=kind)-----\s*)",
    re.ASCII,
)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_KEY = re.compile(r"[!#-&(-~]{16,255}", re.ASCII)
_HOST = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,5}", re.ASCII)


def _amphora_id(value: Any) -> str:
    """Read a UUID as Octavia writes it; in lower case."""
    if isinstance(value, str) and _UUID.fullmatch(value):
        return str(uuid.UUID(value))
    raise Refused(f"must be a UUID, got {shown(value)}")


def _blocks(value: Any) -> list[str]:
    """The kinds of the PEM blocks that a text is made of; none where it is something else."""
    if not isinstance(value, str) or len(value) > MAX_PEM:
        return []
    kinds, position = [], 0
    while position < len(value):
        found = _PEM.match(value, position)
        if found is None:
            return []
        kinds.append(found["kind"])
        position = found.end()
    return kinds


def _pair(value: Any) -> SecretStr:
    """Read certificates and one private key, in any order."""
    kinds = _blocks(value)
    keys = [kind for kind in kinds if kind.endswith("PRIVATE KEY")]
    plain = keys in (["PRIVATE KEY"], ["RSA PRIVATE KEY"], ["EC PRIVATE KEY"])
    if plain and set(kinds) == {"CERTIFICATE", *keys}:
        return SecretStr(value)
    raise Refused(
        f"must be PEM of at most {MAX_PEM} characters: a certificate, its chain, and one private"
        " key that is not encrypted"
    )


def _authorities(value: Any) -> str:
    """Read one certificate or several."""
    if set(_blocks(value)) == {"CERTIFICATE"}:
        text: str = value
        return text
    raise Refused(f"must be PEM of at most {MAX_PEM} characters with nothing but certificates")


def _heartbeat_key(value: Any) -> SecretStr:
    """Read what heartbeats are signed with: a word that a settings file can hold as it is."""
    if isinstance(value, str) and _KEY.fullmatch(value):
        return SecretStr(value)
    raise Refused("must be 16 to 255 printable ASCII characters without spaces and quotes")


def _controllers(value: Any) -> tuple[str, ...]:
    """Read a list of places that heartbeats go to."""
    if not isinstance(value, list):
        raise Refused(f"must be a list, got {shown(value)}")
    if len(value) > _MOST_CONTROLLERS:
        raise Refused(f"must be at most {_MOST_CONTROLLERS}, got {len(value)}")
    return tuple(_endpoint(item, position) for position, item in enumerate(value))


_MOST_CONTROLLERS = 32


def _endpoint(value: Any, position: int) -> str:
    """Read "host:port"; an IPv6 address has brackets. Canonical text."""
    if isinstance(value, str):
        host, colon, port = value.rpartition(":")
        if colon and _DIGITS.fullmatch(port) and 1 <= int(port) <= 65535:
            if host.startswith("[") and host.endswith("]"):
                found = _address(host[1:-1])
                if found is not None and ":" in found:
                    return f"[{found}]:{int(port)}"
            elif _HOST.fullmatch(host) and (_address(host) or not _NUMBERS_ONLY.fullmatch(host)):
                return f"{host}:{int(port)}"
    raise Refused(f'item {position} must be "host:port", an IPv6 address in [], got {shown(value)}')


_NUMBERS_ONLY = re.compile(r"[0-9.]+", re.ASCII)


def _address(text: str) -> str | None:
    try:
        return address(text)
    except Refused:
        return None


_PEM_SCHEMA = {"type": "string", "maxLength": MAX_PEM, "pattern": "^\\s*-----BEGIN "}


class Agent(Contract):
    """The device runs an amphora agent too, with this."""

    amphora_id: Annotated[str, Reads(_amphora_id, {"type": "string", "format": "uuid"})] = Field(
        description="Who the device is to its controllers: the name in its certificate."
    )
    certificate: Annotated[SecretStr, Reads(_pair, _PEM_SCHEMA)] = Field(
        description="Certificate, chain and private key of the device's API, PEM. A secret."
    )
    ca: Annotated[str, Reads(_authorities, _PEM_SCHEMA)] = Field(
        description="The authorities whose certificates may call the device's API, PEM."
    )
    heartbeat_key: Annotated[
        SecretStr,
        Reads(_heartbeat_key, {"type": "string", "pattern": f"^{_KEY.pattern}$"}),
    ] = Field(description="What heartbeats are signed with. A secret.")
    controllers: Annotated[
        tuple[str, ...],
        Reads(
            _controllers,
            {"type": "array", "items": {"type": "string"}, "maxItems": _MOST_CONTROLLERS},
        ),
    ] = Field(description='Where heartbeats go, in turns: "host:port". May be empty: nowhere.')
    port: fields.Port = Field(default=9443, description="TCP port of the device's API.")
