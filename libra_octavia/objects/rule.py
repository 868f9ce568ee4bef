"""L7 rules."""

from __future__ import annotations

import re

from libra_octavia.l7 import Compare, Rule, RuleType
from libra_octavia.objects.fields import Fields
from libra_octavia.objects.regex import wrong_with
from libra_octavia.objects.texts import unwritable

LONGEST = 255

_MEANINGLESS = ("project_id", "l7policy_id")
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}", re.ASCII)
_DN_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}", re.ASCII)
_RESULT = re.compile(r"[0-9]{1,9}", re.ASCII)
_TRUE = re.compile(r"true", re.ASCII | re.IGNORECASE)

_KEYS = {
    RuleType.HEADER: (_NAME, "must be 1 to 64 letters, digits, dots, hyphens and underscores"),
    RuleType.COOKIE: (_NAME, "must be 1 to 64 letters, digits, dots, hyphens and underscores"),
    RuleType.SSL_DN_FIELD: (_DN_FIELD, "must be the name of a field as CN, O or OU"),
}
_VALUES = {
    RuleType.SSL_CONN_HAS_CERT: (_TRUE, "must be true; `invert` asks for the opposite"),
    RuleType.SSL_VERIFY_RESULT: (_RESULT, "must be a number"),
}
_COMPARISONS = {
    RuleType.FILE_TYPE: (Compare.EQUAL_TO, Compare.REGEX),
    RuleType.SSL_CONN_HAS_CERT: (Compare.EQUAL_TO,),
    RuleType.SSL_VERIFY_RESULT: (Compare.EQUAL_TO,),
}
"""The only comparisons of some types, as Octavia's API has it."""


def read_rule(source: object) -> Rule:
    """A rule of a policy. Raises Unsupported."""
    with Fields.of(source, "L7 rule", "l7rule_id") as fields:
        fields.ignore(*_MEANINGLESS)
        type_ = fields.word("type", RuleType, refused={}, default=RuleType.PATH)
        compare = fields.word("compare_type", Compare, refused={}, default=Compare.EQUAL_TO)
        allowed = _COMPARISONS.get(type_, tuple(Compare))
        if compare not in allowed:
            fields.fault("compare_type", f"must be {' or '.join(allowed)} for {type_}")
        return Rule(
            id=fields.id("l7rule_id"),
            type=type_,
            compare=compare,
            key=_key(fields, type_),
            value=_value(fields, type_, compare),
            invert=fields.flag("invert", default=False),
            enabled=fields.flag("admin_state_up", default=True),
        )


def _key(fields: Fields, type_: RuleType) -> str | None:
    if type_ in _KEYS:
        pattern, why = _KEYS[type_]
        return fields.text("key", pattern, why, default="")
    if fields.raw("key"):
        fields.fault("key", f"is not for {type_}")
    return None


def _value(fields: Fields, type_: RuleType, compare: Compare) -> str:
    if type_ in _VALUES:
        pattern, why = _VALUES[type_]
        return fields.text("value", pattern, why, default="")
    value = fields.raw("value", "")
    if not isinstance(value, str):
        fields.fault("value", f"must be a text, is {value!r}")
        return ""
    why_not = unwritable(value, longest=LONGEST)
    if why_not is None and compare is Compare.REGEX:
        why_not = wrong_with(value)
    if why_not is not None:
        fields.fault("value", why_not)
    return value
