"""JSON Schema of each action's message, for developers of API servers."""

from __future__ import annotations

from typing import Any

from libra_messages.actions import Actions
from libra_messages.fields import any_case
from libra_messages.worker import ACTIONS, FAMILY

__all__ = ["ACTIONS", "schema"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_CASE = "Field names may be sent in any case; unknown fields are ignored and echoed."


def schema(action: str, family: Actions[Any] = FAMILY) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the message of `action`, in any case of its letters.

    `family` are the worker's messages, or the pool manager's (`libra_messages.pool.FAMILY`). Field
    names stand in canonical lower case, which a schema cannot relax. Numbers may be sent as
    strings of digits. Rules over several fields (one HTTP and one TCP, no id twice) are not in it.

    Raises:
        ValueError: where there is no such action.

    """
    model = family.model_named(action)
    made = model.model_json_schema(by_alias=True)
    definitions = made.pop("$defs", {})
    for part in (made, *definitions.values()):
        _allow_null(part)
    word = {"description": "The kind of message.", "examples": [model.action]}
    return {
        "$schema": _DIALECT,
        "title": model.action,
        "description": f"{model.__doc__} {_CASE}",
        "type": "object",
        "required": [family.field, *made.get("required", [])],
        "properties": {
            family.field: {**any_case(model.action), **word},
            **made.get("properties", {}),
        },
        **({"$defs": definitions} if definitions else {}),
    }


def _allow_null(part: dict[str, Any]) -> None:
    """Let each field that is not required be null, which means absent."""
    for name, found in part.get("properties", {}).items():
        about = {key: found.pop(key) for key in ("description", "default") if key in found}
        found.pop("title", None)
        if about.get("default", "") is None:
            del about["default"]
        if name in part.get("required", []) or not found:
            part["properties"][name] = {**about, **found}
        else:
            kinds = [kind for kind in found.get("anyOf", [found]) if kind != {"type": "null"}]
            part["properties"][name] = {**about, "anyOf": [*kinds, {"type": "null"}]}
