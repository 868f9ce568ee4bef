"""What OpenStack's services and clients say when they fail, as the stable errors of `errors`.

The clients have three trees of exceptions (novaclient's, openstacksdk's, keystoneauth1's under
both), and the services say the same thing in different ways: nova tells a full quota by the words
of a 403, neutron by the type of a 409. `classify` is the one place that knows; it is pure.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from keystoneauth1 import exceptions as keystone
from novaclient import exceptions as nova
from openstack import exceptions as sdk

from libra_pool_mgm.clouds.errors import (
    BadRequest,
    CloudError,
    CloudTimeout,
    CloudUnavailable,
    Conflict,
    NoCapacity,
    NotFound,
    QuotaExceeded,
    Unauthorized,
)

LOG = logging.getLogger(__name__)

_TEXT_LIMIT = 500
_NO_ROOM = "no valid host"
_QUOTA = re.compile(r"quota|maximum number of \w+ (?:has been )?exceeded|too many", re.IGNORECASE)
_POOL = re.compile(r": HTTPS?ConnectionPool\(.*", re.DOTALL)  # urllib3's innards
_NEUTRON_TYPES = {
    "OverQuota": QuotaExceeded,
    "IpAddressGenerationFailure": NoCapacity,
    "ExternalIpAddressExhausted": NoCapacity,
    "ExternalGatewayForFloatingIPNotFound": BadRequest,
}
_STATUSES = {
    400: BadRequest,
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    408: CloudTimeout,
    409: Conflict,
    412: Conflict,
    413: QuotaExceeded,
    429: CloudUnavailable,
    504: CloudTimeout,
}
_OF_THE_CLIENTS = (
    nova.ClientException,
    nova.UnsupportedVersion,
    nova.ResourceNotFound,
    sdk.SDKException,
    keystone.ClientException,
    requests.RequestException,
)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An answer of a service that refused; `kind` is neutron's name of it, "" elsewhere.

    `status` is None where there was no answer at all.
    """

    status: int | None = None
    kind: str = ""
    text: str = ""
    request_id: str = ""


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn whatever the clients raise inside into a CloudError, and log it with its request id.

    `doing` says in a few words what was tried; the error's text begins with it.
    """
    try:
        yield
    except _OF_THE_CLIENTS as error:
        refusal = refusal_of(error)
        kind = _without_answer(error) if refusal.status is None else classify(refusal)
        LOG.warning(
            "%s: %s: %s (%s, request id %s)",
            doing,
            kind.code,
            refusal.text,
            f"HTTP {refusal.status}" if refusal.status else type(error).__name__,
            refusal.request_id or "none",
        )
        raise kind(f"{doing}: {refusal.text}") from error


def classify(refusal: Refusal) -> type[CloudError]:
    """Give the error that an answer with a status of 400 or more stands for."""
    if refusal.kind in _NEUTRON_TYPES:
        return _NEUTRON_TYPES[refusal.kind]
    if refusal.status == 403 and _QUOTA.search(refusal.text):
        return QuotaExceeded
    return _STATUSES.get(refusal.status or 0, CloudUnavailable)


def fault_is_for_room(fault: str) -> bool:
    """Tell whether a server went into ERROR because no host could take it."""
    return _NO_ROOM in fault.lower()


def refusal_of(error: BaseException) -> Refusal:
    """Read what is known of an exception of any of the clients."""
    status = next(
        (
            value
            for name in ("status_code", "http_status", "code")
            if isinstance(value := getattr(error, name, None), int)
        ),
        None,
    )
    headers, body = _answer_of(getattr(error, "response", None))
    inner = _innermost(body)
    text = inner.get("message") or getattr(error, "message", None) or str(error)
    return Refusal(
        status=status,
        kind=str(inner.get("type") or ""),
        text=_one_line(str(text)),
        request_id=str(
            getattr(error, "request_id", None) or headers.get("x-openstack-request-id") or ""
        ),
    )


def _without_answer(error: BaseException) -> type[CloudError]:
    # keystoneauth1 says ConnectTimeout of a read timeout too, so it may have been carried out.
    if isinstance(error, keystone.ConnectTimeout | requests.Timeout | sdk.ResourceTimeout):
        return CloudTimeout
    if isinstance(error, sdk.DuplicateResource | sdk.ConfigException | sdk.InvalidRequest):
        return BadRequest
    return CloudUnavailable


def _answer_of(response: Any) -> tuple[Mapping[str, str], object]:
    if not isinstance(response, requests.Response):
        return {}, None
    try:
        return response.headers, response.json()
    except ValueError:
        return response.headers, None


def _innermost(body: object) -> Mapping[str, object]:
    """Find the object with the message: `{"NeutronError": {...}}`, `{"badRequest": {...}}`."""
    if isinstance(body, Mapping):
        if "message" in body:
            return body
        for value in body.values():
            if isinstance(value, Mapping) and "message" in value:
                return value
    return {}


def _one_line(text: str) -> str:
    words = " ".join(_POOL.sub("", text).split())
    return words if len(words) <= _TEXT_LIMIT else f"{words[:_TEXT_LIMIT]}..."
