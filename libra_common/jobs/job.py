"""A job as a handler sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Job:
    """One job taken from a server.

    `received` is on the monotonic clock (seconds), for order and durations; `received_at` is the
    wall clock in UTC, for people. `unique` is the caller's key and empty when it sent none;
    `handle` is the server's, and starts again from 1 when the server does.
    """

    handle: str
    unique: str
    function: str
    data: bytes = field(repr=False)  # may carry keys and tokens, and a repr ends up in logs
    received: float
    received_at: datetime


Handler = Callable[[Job], "bytes | Future[bytes]"]
"""What answers a job: at once, or later through a future, which keeps no thread waiting."""

INTERNAL_ERROR = json.dumps(
    {
        "hpcs_response": "FAIL",
        "hpcs_error": "internal error",
        "hpcs_error_code": "internal_error",
    }
).encode()
"""The answer of a job whose handler raised: callers need an object, WORK_FAIL breaks them."""


def internal_error(job: Job, error: Exception) -> bytes:  # noqa: ARG001 - a default of that shape
    """Answer a job whose handler raised, without telling the caller about our inside."""
    return INTERNAL_ERROR
