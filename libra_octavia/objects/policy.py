"""L7 policies with their rules."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from libra_octavia.l7 import Action, Policy
from libra_octavia.objects.fields import Fields
from libra_octavia.objects.rule import read_rule
from libra_octavia.objects.texts import unwritable

CODES = (301, 302, 303, 307, 308)
MOST_RULES = 50
LONGEST_URL = 1024

_MEANINGLESS = (
    *("name", "description", "project_id", "listener_id", "redirect_pool"),
    *("redirect_pool_id", "redirect_url", "redirect_prefix", "redirect_http_code"),
)
_URL_FIELDS = {
    Action.REDIRECT_TO_URL: "redirect_url",
    Action.REDIRECT_PREFIX: "redirect_prefix",
}
_URL = re.compile(
    r"https?://(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+", re.ASCII | re.IGNORECASE
)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?", re.ASCII)


def read_policy(source: object) -> Policy:
    """A policy of a listener, whole. Raises Unsupported."""
    with Fields.of(source, "L7 policy", "l7policy_id") as fields:
        # What is left over from another action says nothing.
        fields.ignore(*_MEANINGLESS)
        action = fields.word("action", Action, refused={}, default=Action.REJECT)
        rules = fields.inners("rules", read_rule)
        if len(rules) > MOST_RULES:
            fields.fault("rules", f"must not be more than {MOST_RULES}")
        return Policy(
            id=fields.id("l7policy_id"),
            action=action,
            position=fields.number("position", low=1, high=2**31 - 1, default=1),
            enabled=fields.flag("admin_state_up", default=True),
            pool_id=fields.id("redirect_pool_id") if action is Action.REDIRECT_TO_POOL else None,
            url=_url(fields, _URL_FIELDS[action]) if action in _URL_FIELDS else None,
            code=_code(fields) if action in _URL_FIELDS else 302,
            rules=rules,
        )


def _code(fields: Fields) -> int:
    value = fields.raw("redirect_http_code", 302)
    if value in CODES and not isinstance(value, bool):
        return int(value)
    fields.fault("redirect_http_code", f"must be one of {', '.join(map(str, CODES))}")
    return 302


def _url(fields: Fields, name: str) -> str:
    value = fields.text(
        name,
        _URL,
        "must be a whole address of http or https, whose other characters are percent-encoded",
        default="",
    )
    why = unwritable(value, longest=LONGEST_URL) if value else None
    if value and why is None and not _has_host(value):
        why = "must name a host"
    if why is not None:
        fields.fault(name, why)
    return value


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        if ":" in host:
            ipaddress.ip_address(host)
            return True
    except ValueError:
        return False
    return _HOST.fullmatch(host) is not None
