"""The JSON Schema says what the parser does: checked with the parser's own corpus."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from libra_messages.decode import decode
from libra_messages.fold import Shape, fold, shape_of
from libra_messages.schema import ACTIONS, schema
from libra_messages.worker import MODELS, parse

ACCEPTED = Path(__file__).parents[2] / "corpus" / "messages" / "accepted"

KINDS: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
    "null": type(None),
}


def agrees(value: Any, rule: dict[str, Any], whole: dict[str, Any]) -> bool:
    """The part of JSON Schema that these schemas use."""
    if "$ref" in rule:
        return agrees(value, whole["$defs"][rule["$ref"].rsplit("/", 1)[1]], whole)
    kinds = rule.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(isinstance(value, KINDS[kind]) for kind in kinds):
        return False
    if isinstance(value, bool) and kinds and "boolean" not in kinds:
        return False
    if "anyOf" in rule and not any(agrees(value, option, whole) for option in rule["anyOf"]):
        return False
    if "enum" in rule and value not in rule["enum"]:
        return False
    if isinstance(value, str) and "pattern" in rule and not re.search(rule["pattern"], value):
        return False
    if isinstance(value, int) and value < rule.get("minimum", value):
        return False
    if isinstance(value, int) and value > rule.get("maximum", value):
        return False
    if isinstance(value, list):
        bounds = rule.get("minItems", 0), rule.get("maxItems", len(value))
        return bounds[0] <= len(value) <= bounds[1] and all(
            agrees(item, rule.get("items", {}), whole) for item in value
        )
    if isinstance(value, dict):
        parts = rule.get("properties", {})
        return all(name in value for name in rule.get("required", [])) and all(
            agrees(item, parts.get(name, {}), whole) for name, item in value.items()
        )
    return True


@pytest.mark.parametrize("file", sorted(ACCEPTED.glob("*.json")), ids=lambda file: file.stem)
def test_the_schema_agrees_with_every_accepted_message(file: Path) -> None:
    # Given an accepted message, its names folded as a schema cannot
    message = decode(file.read_bytes())
    request = parse(message, max_nodes=20)
    shape = shape_of(MODELS[request.action])
    folded, _ = fold(message, Shape({"hpcs_action": None, **shape.fields}))
    # Then the schema of its action agrees
    found = schema(request.action)
    assert agrees(folded, found, found)


def test_the_schema_refuses_what_the_parser_refuses() -> None:
    # Given messages with one fault each
    found = schema("UPDATE")
    node = {"address": "10.0.0.1", "port": 80}
    wrong: list[dict[str, Any]] = [
        {},
        {"loadbalancers": []},
        {"loadbalancers": [{"protocol": "FTP", "nodes": [node]}]},
        {"loadbalancers": [{"protocol": "HTTP", "nodes": []}]},
        {"loadbalancers": [{"protocol": "HTTP", "nodes": [{**node, "port": 0}]}]},
        {"loadbalancers": [{"protocol": "HTTP", "nodes": [{**node, "port": None}]}]},
        {"loadbalancers": [{"protocol": "HTTP", "nodes": [{**node, "weight": "1e3"}]}]},
        {"loadbalancers": [{"protocol": "HTTP", "nodes": [{**node, "backup": "no"}]}]},
    ]
    # Then the schema disagrees with each
    for message in wrong:
        assert not agrees({"hpcs_action": "UPDATE", **message}, found, found), message


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_has_a_schema_in_any_case_with_its_fields_described(action: str) -> None:
    # Given an action in lower case
    found = schema(action.lower())
    # Then its schema is JSON, of the dialect it names, and says what each field is
    assert json.loads(json.dumps(found)) == found
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert found["required"][0] == "hpcs_action"
    for part in (found, *found.get("$defs", {}).values()):
        assert all(field["description"] for field in part.get("properties", {}).values())


def test_an_action_that_is_none_is_named_in_the_error() -> None:
    # Given no such action / Then the error lists those there are
    with pytest.raises(ValueError, match="no such action: 'REBOOT'; there are UPDATE, SUSPEND"):
        schema("REBOOT")
