"""What the errors of python-swiftclient and requests mean, in words that hold no secret. Pure."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from http import HTTPStatus

import requests
from swiftclient.exceptions import ClientException

from libra_worker.archive.base import (
    ArchiveError,
    StoreFault,
    StoreForbidden,
    StoreFull,
    StoreTimeout,
    StoreUnauthorized,
    StoreUnreachable,
    StoreUntrusted,
)

_TRANSACTION = re.compile(r"[A-Za-z0-9-]{1,80}", re.ASCII)
_DEPTH = 12


def meaning_of(error: Exception, what: str) -> ArchiveError:
    """The error that `error` is for whoever sent the message; `what` was being done."""
    if isinstance(error, ClientException):
        return _of_status(error, what)
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return StoreUntrusted(
                f"the certificate of the object store is not to be trusted: {cause.verify_message}"
            )
    if any(isinstance(cause, TimeoutError | requests.Timeout) for cause in causes):
        return StoreTimeout(f"the object store did not answer in time: {what}")
    if isinstance(error, requests.TooManyRedirects):
        return StoreFault(f"the object store wants to be asked elsewhere, which is refused: {what}")
    if isinstance(error, requests.exceptions.SSLError):
        return StoreUntrusted(f"there is no TLS with the object store: {what}")
    reasons = [
        cause.strerror
        for cause in causes
        if isinstance(cause, OSError) and isinstance(cause.errno, int) and cause.strerror
    ]
    why = reasons[-1] if reasons else "the connection was cut"
    return StoreUnreachable(f"the object store cannot be reached, or left: {what}: {why}")


def _of_status(error: ClientException, what: str) -> ArchiveError:
    status = error.http_status
    if not isinstance(status, int):
        return StoreFault(f"the object store gave no answer that can be read: {what}")
    try:
        name = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        name = str(status)
    transaction = error.transaction_id
    if isinstance(transaction, str) and _TRANSACTION.fullmatch(transaction):
        name += f", transaction {transaction}"
    text = f"the object store answered {name} to {what}"
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return StoreUnauthorized(
                f"{text}: the token is not accepted: it is wrong or has expired, or the identity"
                " service that could tell does not answer"
            )
        case HTTPStatus.FORBIDDEN:
            return StoreForbidden(f"{text}: the token has no right to write there")
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE | HTTPStatus.INSUFFICIENT_STORAGE:
            return StoreFull(f"{text}: a quota or the store is full")
        case HTTPStatus.REQUEST_TIMEOUT | HTTPStatus.GATEWAY_TIMEOUT:
            return StoreTimeout(text)
    return StoreFault(text)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and all that is inside it, in whatever way the libraries have put it there."""
    waiting: list[tuple[BaseException, int]] = [(error, 0)]
    seen: set[int] = set()
    while waiting:
        one, depth = waiting.pop(0)
        if id(one) in seen or depth > _DEPTH:
            continue
        seen.add(id(one))
        yield one
        inner = [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
        waiting += [(part, depth + 1) for part in inner if isinstance(part, BaseException)]
