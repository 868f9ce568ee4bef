"""The answers to a message: the original object, untouched, plus the added fields.

"Every response will return the original message with some additional fields", one of them
``hpcs_response`` with PASS or FAIL (worker messages, "Some things in common with all messages").
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from libra_messages.faults import Malformed
from libra_messages.fold import ascii_lower

PASS = "PASS"  # noqa: S105 - an answer, not a password
FAIL = "FAIL"

ANSWER_FIELDS = (
    "hpcs_response",
    "hpcs_error",
    "hpcs_error_code",
    "badRequest",
    "lb_status",
    "status",
    "superseded",
)
"""Fields that only an answer may set: those that came with a request are never echoed.

A sender that answers come back to reads them as the worker's word: any ``badRequest`` in a
result, for one, is a failure to the original API server.
"""


def passed(request: Mapping[str, Any] | None, **fields: Any) -> dict[str, Any]:
    """Return the answer PASS to `request` with `fields` added.

    The names, values and order of the request stay as they came, but an added field replaces
    every casing of it, and `ANSWER_FIELDS` that came with the request are left out. `None`, for
    input that was no JSON object, gives the added fields alone.
    """
    return merged(request, {**fields, "hpcs_response": PASS}, ANSWER_FIELDS)


def failed(
    request: Mapping[str, Any] | None,
    *,
    error: str,
    code: str,
    bad_request: bool = False,
    **fields: Any,
) -> dict[str, Any]:
    """Return the answer FAIL to `request`, otherwise as `passed` does.

    Takes the text for people (`error`) and the stable word for programs (`code`, one of
    `libra_messages.codes.Code`). `bad_request` says that the sender is at fault and adds
    ``badRequest.validationErrors.message``, which API servers hand on to their users.
    """
    added = {**fields, "hpcs_response": FAIL, "hpcs_error": error, "hpcs_error_code": str(code)}
    if bad_request:
        added["badRequest"] = {"validationErrors": {"message": error}}
    return merged(request, added, ANSWER_FIELDS)


def from_malformed(request: Mapping[str, Any] | None, malformed: Malformed) -> dict[str, Any]:
    """Return the answer to a message that was refused as malformed; `None` if not an object."""
    return failed(request, error=str(malformed), code=malformed.code, bad_request=True)


def encode(answer: Mapping[str, Any]) -> bytes:
    """Return `answer` as JSON in ASCII, a subset of UTF-8, so that lone surrogates survive.

    Raises:
        ValueError: where an added field holds NaN or an infinity, which JSON does not have.

    """
    return json.dumps(answer, ensure_ascii=True, allow_nan=False).encode("ascii")


def merged(
    request: Mapping[str, Any] | None, added: Mapping[str, Any], reserved: Iterable[str]
) -> dict[str, Any]:
    """Return `request` without `reserved` fields, in any case, and with those of `added`."""
    ours = {ascii_lower(name) for name in (*reserved, *added)}
    kept = {name: value for name, value in (request or {}).items() if ascii_lower(name) not in ours}
    return {**kept, **added}
