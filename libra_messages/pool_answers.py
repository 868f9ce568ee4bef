"""The pool manager's answers: the original object, untouched, plus the added fields.

Source: pool manager commands: the original message, with ``response`` PASS or FAIL. On FAIL come
``error`` in words and ``error_code``, a stable word for programs; the words stand in
``hpcs_error`` too, for that is where the Libra API server looks for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from libra_messages.answers import FAIL, PASS, merged
from libra_messages.faults import Malformed

ANSWER_FIELDS = ("response", "error", "error_code", "hpcs_error", "badRequest")
"""Fields that only an answer may set: those that came with a request are never echoed."""


class PoolCode(StrEnum):
    """Why a message was answered FAIL, as one word that never changes its meaning.

    The words for what is wrong with the message itself (``bad_json`` and so on) are those of
    `libra_messages.codes.Code`.
    """

    # What the cloud said.
    QUOTA = "quota"  # the project may not have another device or address
    CAPACITY = "capacity"  # no host, or no address, is left
    BAD_REQUEST = "bad_request"  # no such image, flavor, network, zone, group or key
    BUILD_FAILED = "build_failed"  # the device was not good; it was deleted again
    DELETE_FAILED = "delete_failed"  # the cloud could not delete it
    TIMEOUT = "timeout"  # not done in time; what was begun is undone
    CLOUD_UNAVAILABLE = "cloud_unavailable"  # the cloud, or a service of it, is away
    UNAUTHORIZED = "unauthorized"  # the cloud does not let the pool manager do this
    NOT_FOUND = "not_found"  # there is no such device or address
    CONFLICT = "conflict"  # another device holds it, or it is not this pool's
    CLOUD_ERROR = "cloud_error"  # anything else that the cloud said

    # What the pool manager says.
    UNREACHABLE = "unreachable"  # nothing answers at the address
    SHUTTING_DOWN = "shutting_down"  # it leaves; send it again
    INTERNAL_ERROR = "internal_error"  # a fault of the program: it is in the log


def passed(request: Mapping[str, Any] | None, **fields: Any) -> dict[str, Any]:
    """Return the answer PASS to `request` with `fields` added, each replacing every casing of it.

    `None`, for input that was no JSON object, gives the added fields alone.
    """
    return merged(request, {**fields, "response": PASS}, ANSWER_FIELDS)


def failed(
    request: Mapping[str, Any] | None,
    *,
    error: str,
    code: str,
    bad_request: bool = False,
    **fields: Any,
) -> dict[str, Any]:
    """Return the answer FAIL to `request`, otherwise as `passed` does.

    `error` is for people, `code` one of `PoolCode` or `Code`. `bad_request` says that the sender
    is at fault and adds ``badRequest.validationErrors.message``.
    """
    added = {**fields, "response": FAIL, "error": error, "error_code": str(code)}
    added["hpcs_error"] = error
    if bad_request:
        added["badRequest"] = {"validationErrors": {"message": error}}
    return merged(request, added, ANSWER_FIELDS)


def from_malformed(request: Mapping[str, Any] | None, malformed: Malformed) -> dict[str, Any]:
    """Return the answer to a message that was refused as malformed; `None` if not an object."""
    return failed(request, error=str(malformed), code=malformed.code, bad_request=True)
