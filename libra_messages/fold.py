"""Field names in any case, folded to the canonical names of the fields that are known.

"The casing of the JSON field names or values does not matter" and "extraneous fields are
ignored" (worker messages, "Some things in common with all messages"). Only ASCII letters have
case here: the Kelvin sign is no ``k`` and the long s is no ``s``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import BaseModel

from libra_messages.decode import Repeating
from libra_messages.faults import Fault


@dataclass(frozen=True, slots=True)
class Shape:
    """The known fields of an object: canonical name to the shape below it, `None` for a value.

    The shape below applies to an object, and to each object of a list.
    """

    fields: Mapping[str, Shape | None] = field(default_factory=dict)


def shape_of(model: type[BaseModel]) -> Shape:
    """Return the shape of the messages that `model` reads, nested models included."""
    fields: dict[str, Shape | None] = {}
    for name, info in model.model_fields.items():
        below = next(_models_in(info.annotation), None)
        fields[info.alias or name] = None if below is None else shape_of(below)
    return Shape(fields)


def ascii_lower(text: str) -> str:
    """Return `text` with A to Z in lower case and every other character as it is."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


def fold(
    message: Mapping[str, Any], shape: Shape, path: str = ""
) -> tuple[dict[str, Any], tuple[Fault, ...]]:
    """Return the known fields of `message` under canonical names, and the names given twice.

    A known field that is null is left out: null means absent, everywhere. Where a field was
    given more than once its first value is kept, and a fault names all the spellings. `path` is
    where `message` stands within the whole. Raises nothing.
    """
    folded: dict[str, Any] = {}
    first: dict[str, str] = {}
    faults: list[Fault] = []
    again: list[tuple[str, str]] = []
    for name, value in message.items():
        known = ascii_lower(name) if isinstance(name, str) else None
        if known is None or known not in shape.fields:
            continue
        if known in first:
            again.append((known, name))
            continue
        first[known] = name
        if value is not None:
            below = shape.fields[known]
            folded[known] = (
                value if below is None else _below(value, below, _join(path, known), faults)
            )
    if isinstance(message, Repeating):
        again += (
            (known, name) for name in message.repeated if (known := ascii_lower(name)) in first
        )
    for known in dict.fromkeys(known for known, _ in again):
        names = [first[known], *(name for one, name in again if one == known)]
        reason = "given more than once: " + ", ".join(map(repr, names[:10]))
        faults.append(Fault(_join(path, known), reason))
    return folded, tuple(faults)


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _below(value: Any, shape: Shape, path: str, faults: list[Fault]) -> Any:
    """Fold an object or the objects of a list; anything else is left for the field's reader."""
    if isinstance(value, Mapping):
        folded, found = fold(value, shape, path)
        faults.extend(found)
        return folded
    if isinstance(value, list):
        return [
            _below(item, shape, f"{path}[{position}]", faults)
            if isinstance(item, Mapping)
            else item
            for position, item in enumerate(value)
        ]
    return value


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that an annotation such as ``tuple[Node, ...] | None`` names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
