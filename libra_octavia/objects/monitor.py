"""Health monitors."""

from __future__ import annotations

import re
from enum import StrEnum

from libra_octavia.model import Monitor, MonitorType
from libra_octavia.objects.fields import Fields

MOST_SECONDS = 86_400
MOST_SCTP_SECONDS = 3_600
"""The longest time that a device waits for an association."""

_MEANINGLESS = ("name", "project_id", "pool_id")
_PATH = re.compile(r"/[A-Za-z0-9._~!$&()*+,;=:@/?%-]{0,1023}", re.ASCII)
_DOMAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}(:[0-9]{1,5})?", re.ASCII)
_CODES = re.compile(r"[1-5][0-9]{2}(-[1-5][0-9]{2})?(\s*,\s*[1-5][0-9]{2}(-[1-5][0-9]{2})?){0,63}")


class Method(StrEnum):
    """HTTP methods."""

    CONNECT = "CONNECT"
    DELETE = "DELETE"
    GET = "GET"
    HEAD = "HEAD"
    OPTIONS = "OPTIONS"
    PATCH = "PATCH"
    POST = "POST"
    PUT = "PUT"
    TRACE = "TRACE"


def read_monitor(source: object) -> Monitor:
    """A health monitor, whole. Raises Unsupported."""
    with Fields.of(source, "health monitor", "healthmonitor_id") as fields:
        fields.ignore(*_MEANINGLESS)
        monitor = Monitor(
            id=fields.id("healthmonitor_id"),
            type=fields.word("type", MonitorType, refused={}, default=MonitorType.TCP),
            delay=fields.number("delay", low=1, high=MOST_SECONDS),
            timeout=fields.number("timeout", low=1, high=MOST_SECONDS),
            rise=fields.number("max_retries", low=1, high=10),
            fall=fields.number("max_retries_down", low=1, high=10, default=3),
            enabled=fields.flag("admin_state_up", default=True),
            method=fields.word("http_method", Method, refused={}, default=Method.GET).value,
            path=fields.text(
                "url_path",
                _PATH,
                "must begin with / and have no quote, space, # or other character that a URL"
                " cannot have",
                default="/",
            ),
            codes=_codes(fields),
            http_version=_version(fields),
            domain=(
                fields.text("domain_name", _DOMAIN, "must be a host name", default="")
                if fields.has("domain_name")
                else None
            ),
        )
        if monitor.type is MonitorType.SCTP and monitor.timeout > MOST_SCTP_SECONDS:
            fields.fault("timeout", f"must be at most {MOST_SCTP_SECONDS} for SCTP")
        if monitor.domain and monitor.http_version != "1.1":
            fields.fault("domain_name", "needs http_version 1.1")
    return monitor


def _codes(fields: Fields) -> tuple[tuple[int, int], ...]:
    text = fields.text(
        "expected_codes", _CODES, "must be statuses, or ranges of them, with commas", default="200"
    )
    ranges = []
    for part in text.split(","):
        low, _, high = part.strip().partition("-")
        ranges.append((int(low), int(high or low)))
    if any(low > high for low, high in ranges):
        fields.fault("expected_codes", f"has a range that is empty: {text!r}")
    return tuple(ranges)


def _version(fields: Fields) -> str:
    value = fields.raw("http_version", 1.0)
    if value in (1.0, 1.1, "1.0", "1.1") and not isinstance(value, bool):
        return str(float(value))
    fields.fault("http_version", f"must be 1.0 or 1.1, is {value!r}")
    return "1.0"
