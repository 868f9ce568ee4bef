"""The generated parts of the manual's pages, and what puts them in.

A page holds `<!-- generated: NAME -->` and `<!-- end -->` with the part between them, where NAME
is one of `parts()`. `python -m libra_client.cli.reference FILE...` writes them anew; a test
compares.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from libra_client.cli.exits import Exit
from libra_client.cli.schema import about
from libra_messages.codes import Code
from libra_messages.schema import ACTIONS, schema

_PART = re.compile(r"(<!-- generated: ([^>]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_CODE = re.compile(r'\s+([A-Z_]+) = "[a-z_]+"  # (.*)')


def parts() -> dict[str, Callable[[], str]]:
    """Every generated part by its name."""
    fields = {
        f"fields of {action}": (lambda action=action: fields_of(action))
        for action in ACTIONS
        if "required" in schema(action) and len(schema(action)["properties"]) > 1
    }
    return {"exit codes": exit_codes, "actions": actions, "error codes": error_codes, **fields}


def refreshed(page: str) -> str:
    """Return a page with all its generated parts written anew; raises KeyError for no such part."""
    made = parts()
    return _PART.sub(lambda found: f"{found[1]}\n{made[found[2]]()}\n{found[4]}", page)


def exit_codes() -> str:
    """The exit codes of the command."""
    return _table(("code", "meaning"), ((str(code.value), code.meaning) for code in Exit))


def actions() -> str:
    """The actions, and what each does."""
    return _table(("`hpcs_action`", "what it does"), ((f"`{one}`", about(one)) for one in ACTIONS))


def error_codes() -> str:
    """The stable words, with what stands beside each where it is defined."""
    comments = dict(_CODE.findall(inspect.getsource(Code)))
    rows = ((f"`{code.value}`", comments.get(code.name, "a fault of the program")) for code in Code)
    return _table(("`hpcs_error_code`", "meaning"), rows)


def fields_of(action: str) -> str:
    """The fields of an action's message, those of its parts below them."""
    rows = list(_fields(schema(action), ""))
    return _table(("field", "required", "default", "values", "meaning"), rows)


def _fields(part: Mapping[str, Any], path: str, whole: Any = None) -> Iterator[tuple[str, ...]]:
    whole = whole or part
    required = part.get("required", [])
    for name, field in part["properties"].items():
        inner, many = _below(field, whole)
        default = json.dumps(field["default"]) if "default" in field else ""
        yield (
            f"`{path}{name}`",
            "yes" if name in required else "",
            f"`{default}`" if default and inner is None else "",
            f"{'list of ' if many else ''}object{'s' if many else ''}" if inner else _values(field),
            field["description"],
        )
        if inner is not None:
            yield from _fields(inner, f"{path}{name}{'[]' if many else ''}.", whole)


def _below(field: Mapping[str, Any], whole: Any) -> tuple[Mapping[str, Any] | None, bool]:
    """The object that a field holds, or a list of which it holds, and whether it is a list."""
    for option in field.get("anyOf", [field]):
        item = option.get("items", option)
        if "$ref" in item:
            return whole["$defs"][item["$ref"].rsplit("/", 1)[1]], "items" in option
    return None, False


def _values(field: Mapping[str, Any]) -> str:
    """What may be written, in words."""
    if "examples" in field:
        return ", ".join(f"`{word}`" for word in field["examples"])
    options = list(_options(field))
    if any("enum" in option for option in options):
        return ", ".join(f"`{word}`" for option in options for word in option.get("enum", []))
    kinds: dict[str, None] = {}
    for option in options:
        for kind in (
            [option["type"]] if isinstance(option.get("type"), str) else option.get("type", [])
        ):
            low, high = option.get("minimum"), option.get("maximum")
            bounds = f" {low} to {high}" if high is not None else ""
            kinds[f"{kind}{bounds}"] = None
    kinds.pop("null", None)
    return " or ".join(kinds) or "any"


def _options(field: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "type" in field or "anyOf" not in field:
        yield field
    else:
        for option in field["anyOf"]:
            yield from _options(option)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    cells = ((cell.replace("|", "\\|") for cell in line) for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def main(files: Iterable[str]) -> None:
    """Write the generated parts of the pages anew."""
    for file in files:
        page = Path(file)
        page.write_text(refreshed(page.read_text()))


if __name__ == "__main__":
    main(sys.argv[1:])
