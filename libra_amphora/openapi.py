"""The OpenAPI document of the agent, made from its routes: `python -m libra_amphora.openapi`."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from libra_amphora.api.base import (
    PREFIXES,
    UNVERSIONED,
    Answer,
    Call,
    Json,
    Raw,
    Route,
    parameters,
)
from libra_common import version

_REF = "#/components/schemas/{model}"
_ALWAYS_REF = "#/components/responses/on{code}"
_ERROR = {
    "type": "object",
    "required": ["message"],
    "properties": {"message": {"type": "string"}, "details": {"type": "string"}},
}
_ALWAYS = {
    "401": "the client certificate is verified, and its name is not allowed",
    "404": "no such thing, or nothing at this path",
    "405": "another method",
    "408": "the request came too slowly",
    "413": "the request is too large",
    "500": "a fault in the agent, or it takes too long",
}


class OpenApiApi:
    """Serves the document of `routes`, and of itself, to whoever may call at all."""

    def __init__(self, *, routes: Iterable[Route]) -> None:
        self._document = document([*routes, *self.routes()])

    def routes(self) -> Iterable[Route]:
        """One, without a version."""
        yield Route(
            "GET",
            "/openapi.json",
            self._get,
            summary="This document",
            fast=True,
            versions=(UNVERSIONED,),
            answers={200: "the document"},
        )

    def _get(self, call: Call) -> Answer:  # noqa: ARG002
        return Answer(200, self._document)


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The document of some routes, in the order of their paths."""
    prefixes = {word: f"/{prefix}" for prefix, word in PREFIXES.items()} | {UNVERSIONED: ""}
    paths: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Any] = {"Error": _ERROR}
    for route in routes:
        for served in route.versions:
            path = f"{prefixes[served]}{route.path}"
            operation = _operation(route, schemas)
            paths.setdefault(path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Libra's amphora API",
            "version": version.RELEASE,
            "description": "Octavia's amphora API, 1.0 and v0.1, over mutual TLS.",
        },
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "responses": {f"on{code}": _response(code, when) for code, when in _ALWAYS.items()},
            "securitySchemes": {"mutualTLS": {"type": "mutualTLS"}},
        },
        "security": [{"mutualTLS": []}],
        "paths": dict(sorted(paths.items())),
    }


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, str] = {}
    if parameters(route.path) or route.body is not None:
        told["400"] = "the request is wrong"
    told |= {str(code): when for code, when in route.answers.items()}
    responses = {code: {"$ref": _ALWAYS_REF.format(code=code)} for code in _ALWAYS}
    responses |= {code: _response(code, when) for code, when in told.items()}
    operation: dict[str, Any] = {
        "summary": route.summary,
        "parameters": [_parameter(name) for name in parameters(route.path)],
        "responses": dict(sorted(responses.items())),
    }
    if isinstance(route.body, Json):
        schema = route.body.model.model_json_schema(ref_template=_REF)
        schemas |= schema.pop("$defs", {})
        schemas[route.body.model.__name__] = schema
        reference = {"$ref": _REF.format(model=route.body.model.__name__)}
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": reference}},
        }
    elif isinstance(route.body, Raw):
        operation["requestBody"] = {
            "required": True,
            "content": {route.body.kind: {"schema": {"type": "string"}}},
        }
    return operation


def _parameter(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if name.endswith("_id"):
        schema["format"] = "uuid"
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _response(code: str, when: str) -> dict[str, Any]:
    if code.startswith("2"):
        return {"description": when}
    content = {"application/json": {"schema": {"$ref": _REF.format(model="Error")}}}
    return {"description": when, "content": content}


def main() -> int:
    """Print the document."""
    from libra_amphora.conf import read
    from libra_amphora.node import Node

    with tempfile.TemporaryDirectory() as folder:
        # The routes are the same for every node; this one is never opened.
        config = Path(folder) / "agent.conf"
        own = f"state_dir = {folder}/state\nrun_dir = {folder}/run\nuser = root\ngroup = root\n"
        config.write_text(
            "[amphora_agent]\namphora_id = 00000000-0000-0000-0000-000000000000\n"
            f"[libra_amphora]\n{own}"
        )
        routes = list(Node(read([config])).routes())
    sys.stdout.write(json.dumps(document(routes), indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
