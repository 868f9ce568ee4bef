"""From the bytes of a job to a JSON object, strictly, remembering names given twice."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from libra_messages.codes import Code
from libra_messages.faults import Fault, Malformed, shown

MAX_DEPTH = 100
"""How deeply objects and lists may be nested, unknown fields included."""

MAX_DIGITS = 1000
"""How long an integer may be, unknown fields included."""


class Repeating(dict[str, Any]):
    """A JSON object in which a name was given more than once; the last value is kept.

    `repeated` holds each further giving of a name, in order, so that a known field that was
    given twice can be refused. Everywhere else it is an ordinary `dict`.
    """

    repeated: tuple[str, ...] = ()


class _NotJsonError(ValueError):
    """Something that Python's reader lets pass, or dies of, and strict JSON does not have."""


def decode(data: bytes) -> dict[str, Any]:
    """Return the JSON object that `data` holds.

    Takes UTF-8 without a byte order mark. NaN, Infinity, numbers beyond a double, integers of
    more than `MAX_DIGITS` digits and nesting beyond `MAX_DEPTH` levels are refused, so that what
    is returned can always be encoded again. Objects with a name given twice come as `Repeating`.

    Raises:
        Malformed: with code ``bad_json`` or ``not_an_object``.

    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad(f"the message is not UTF-8: byte {error.start} is wrong") from None
    if not text.strip(" \t\r\n"):
        raise _bad("the message is empty")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_integer,
        )
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at line {error.lineno}, column {error.colno}"
        raise _bad(f"the message is not JSON: {reason}") from None
    except _NotJsonError as error:
        raise _bad(f"the message is not JSON: {error}") from None
    except RecursionError:
        raise _too_deep() from None
    if not isinstance(value, dict):
        reason = f"the message must be a JSON object, got {shown(value)}"
        raise Malformed(Code.NOT_AN_OBJECT, [Fault("", reason)])
    if _deeper_than(value, MAX_DEPTH):
        raise _too_deep()
    return value


def _bad(reason: str) -> Malformed:
    return Malformed(Code.BAD_JSON, [Fault("", reason)])


def _too_deep() -> Malformed:
    return _bad(f"the message is nested deeper than {MAX_DEPTH} levels")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; only one with a repeated name pays for remembering it."""
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    repeating = Repeating(plain)
    seen: set[str] = set()
    again: list[str] = []
    for name, _ in pairs:
        if name in seen:
            again.append(name)
        seen.add(name)
    repeating.repeated = tuple(again)
    return repeating


def _constant(name: str) -> NoReturn:
    raise _NotJsonError(f"{name} is no JSON number")


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _NotJsonError(f"the number {shown(text)} is out of range")
    return number


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _NotJsonError(f"a number has {len(text)} digits, at most {MAX_DIGITS} are read")
    return int(text)


def _deeper_than(value: Any, limit: int) -> bool:
    """Say whether `value` nests more than `limit` levels; goes level by level, not down."""
    level = [value]
    for _ in range(limit):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True
