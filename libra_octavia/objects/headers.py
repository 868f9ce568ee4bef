"""The headers that a listener tells its members."""

from __future__ import annotations

import re
from collections.abc import Mapping

from libra_octavia.model import Header, Protocol
from libra_octavia.objects.fields import Fields

PORT = "X-Forwarded-Port"

_NUMBER = re.compile(r"[0-9]{1,5}", re.ASCII)


def read_headers(
    fields: Fields, protocol: Protocol, own_port: int
) -> tuple[tuple[Header, ...], int | None]:
    """What is in `insert_headers`: the headers, and the port that members are told.

    The port is the one given, or the listener's own where that is just `true`.
    """
    asked = fields.raw("insert_headers", {})
    if not isinstance(asked, Mapping):
        fields.fault("insert_headers", "must be names with values")
        return (), None
    if asked and protocol not in (Protocol.HTTP, Protocol.TERMINATED_HTTPS):
        fields.fault("insert_headers", f"a listener of {protocol} reads no requests")
        return (), None
    found, port = [], None
    for name, value in asked.items():
        if name == PORT:
            port = _port(fields, value, own_port)
        elif name not in list(Header):
            known = ", ".join([PORT, *Header])
            fields.fault("insert_headers", f"{name!r} is none of {known}")
        elif _truth(fields, name, value):
            header = Header(name)
            if header.of_tls and protocol is not Protocol.TERMINATED_HTTPS:
                fields.fault(f"insert_headers.{name}", "needs a listener of TERMINATED_HTTPS")
            found.append(header)
    return tuple(sorted(found)), port


def _truth(fields: Fields, name: str, value: object) -> bool:
    word = str(value).lower()
    if word not in ("true", "false"):
        fields.fault(f"insert_headers.{name}", f"must be true or false, is {value!r}")
    return word == "true"


def _port(fields: Fields, value: object, own_port: int) -> int | None:
    word = str(value).lower()
    if word in ("true", "false"):
        return own_port if word == "true" else None
    if _NUMBER.fullmatch(word) and 1 <= int(word) <= 65535:
        return int(word)
    fields.fault(
        f"insert_headers.{PORT}", f"must be true, false or a port from 1 to 65535, is {value!r}"
    )
    return None
