"""How a resource declares its routes, and what its handlers take and give.

A resource is a class with its collaborators and a method `routes()`:

    class PlugApi:
        def __init__(self, *, network: Network) -> None: ...

        def routes(self) -> Iterable[Route]:
            yield Route(
                "POST", "/plug/vip/{ip}", self.plug_vip,
                summary="Plug a VIP",
                body=Json(VipBody, invalid="Invalid subnet information"),
                guarded=True,
                answers={202: "plugged", 404: "no such interface"},
            )

        def plug_vip(self, call: Call) -> Answer:
            body: VipBody = call.body
            ...
            return ok(202, details=f"VIP {ip} plugged on interface {name}")

Each route is served below /1.0 and /v0.1, with and without a slash at its end. Handlers are plain
functions that run in a thread and may block; they answer, or raise `Refused`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pydantic

from libra_common.errors import LibraError

V1 = "1.0"
V01 = "0.1"
UNVERSIONED = ""
"""Among a route's `versions`: served without a version before it, as /info is."""

PREFIXES: Mapping[str, str] = {"1.0": V1, "v0.1": V01}
"""The first part of a path, and the version that it stands for."""

JSON_BYTES = 256 * 1024
PEM_BYTES = 1024 * 1024
TEXT_BYTES = 8 * 1024 * 1024
"""The most that a request of each kind may carry; 10,000 servers are about two megabytes."""

_ECHOED = 128
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


class Refused(LibraError):
    """The request is answered with this status and `{"message": ..., "details": ...}`.

    `details` is left out where it is None. `more` are further fields of the body.
    """

    code = "refused"

    def __init__(self, status: int, message: str, details: str | None = None, **more: Any) -> None:
        super().__init__(f"{message}: {details}" if details else message)
        self.status = status
        self.body: dict[str, Any] = {"message": message, **more}
        if details is not None:
            self.body["details"] = details


@dataclass(frozen=True)
class Answer:
    """A status and a body: an object for JSON, or a text that is sent as it is."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


def ok(status: int = 200, *, headers: Mapping[str, str] | None = None, **fields: Any) -> Answer:
    """`{"message": "OK"}` with `fields` beside it."""
    return Answer(status, {"message": "OK", **fields}, headers or {})


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request as a handler sees it.

    `version` is "1.0" or "0.1". `params` are the checked parts of the path. `body` is bytes, the
    model that `Json` names, or None. `caller` names who asks, for the log.
    """

    version: str
    params: Mapping[str, str]
    body: Any = None
    caller: str = ""


@dataclass(frozen=True, kw_only=True)
class Raw:
    """The body is taken as bytes, at most `limit` of them; `kind` is its media type in OpenAPI."""

    limit: int = TEXT_BYTES
    kind: str = "text/plain"

    def read(self, data: bytes) -> bytes:
        """The body itself."""
        return data


M = TypeVar("M", bound=pydantic.BaseModel)


@dataclass(frozen=True)
class Json(Generic[M]):
    """The body is a JSON object that `model` accepts; else 400 with the message `invalid`."""

    model: type[M]
    invalid: str = "Invalid request"
    limit: int = JSON_BYTES

    def read(self, data: bytes) -> M:
        """The body as the model. Raises Refused with every faulty field in its details."""
        try:
            found = json.loads(data, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise Refused(400, self.invalid, "the body is not JSON") from None
        if not isinstance(found, dict):
            raise Refused(400, self.invalid, "the body is not a JSON object")
        try:
            return self.model.model_validate(found)
        except pydantic.ValidationError as error:
            faults = [
                f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}"
                for fault in error.errors(include_url=False, include_input=False)
            ]
            raise Refused(400, self.invalid, "; ".join(faults[:20])) from None


Handler = Callable[[Call], Answer]


@dataclass(frozen=True)
class Route:
    """One method of one path; `{name}` in `path` are parameters, checked by `PARAMETERS`.

    `guarded`: answered with 503 while the topology changes. `fast`: costs next to nothing and
    waits for nothing, so it needs no thread. `quick` answers for the handler where that is so at
    the moment, and gives None where it is not. `late` is the answer where the handler takes too
    long and goes on by itself; without one that is a 500. `versions` is where it is served.
    `answers` says when which status comes, for the OpenAPI document. `absent` answers for an id
    in the path that no thing can have; without it that is a 400.
    """

    method: str
    path: str
    handler: Handler
    summary: str = field(default="", kw_only=True)
    body: Raw | Json[Any] | None = field(default=None, kw_only=True)
    guarded: bool = field(default=False, kw_only=True)
    fast: bool = field(default=False, kw_only=True)
    quick: Callable[[Call], Answer | None] | None = field(default=None, kw_only=True)
    late: Answer | None = field(default=None, kw_only=True)
    versions: tuple[str, ...] = field(default=(V1, V01), kw_only=True)
    answers: Mapping[int, str] = field(default_factory=dict, kw_only=True)
    absent: Callable[[str, str], Refused] | None = field(default=None, kw_only=True)


def uuid(text: str) -> str:
    """An id in its usual form, lower case. Raises ValueError."""
    if not _UUID.fullmatch(text):
        raise ValueError("is not a UUID")
    return text.lower()


def word(text: str) -> str:
    """Any short printable text; the handler decides. Raises ValueError."""
    if len(text) > _ECHOED or not text.isprintable():
        raise ValueError("is too long or has unprintable characters")
    return text


PARAMETERS: Mapping[str, Callable[[str], str]] = {
    "amphora_id": uuid,
    "loadbalancer_id": uuid,
    "listener_id": uuid,
    "filename": word,
    "action": word,
    "ip": word,
}
"""How each parameter of a path is checked before a handler sees it."""


def parameters(path: str) -> list[str]:
    """The names of the parameters in a route's path, in their order."""
    return re.findall(r"\{(\w+)\}", path)


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")
