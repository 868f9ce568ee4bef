"""Where a message wants its logs: checked before anything is rotated or connected to. Pure."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from libra_messages.codes import Code
from libra_messages.faults import Fault, Malformed, shown
from libra_messages.worker import Archive
from libra_worker.archive.base import Destination

_ENDPOINT = re.compile(r"[!-~]{1,2048}", re.ASCII)
_TOKEN = re.compile(r"[!-~]{1,8192}", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}", re.ASCII)
_CONTAINER_BYTES = 256
_PREFIX_BYTES = 512


def destination_of(request: Archive, *, allow_http: bool) -> Destination:
    """The destination that a message names. Raises Malformed with every fault of it."""
    faults = [
        *_faults_of_endpoint(request.hpcs_object_store_endpoint, allow_http=allow_http),
        *_faults_of_container(request.hpcs_object_store_basepath),
    ]
    token = request.hpcs_object_store_token.get_secret_value()
    if not _TOKEN.fullmatch(token):
        # Never shown, not even when it is none.
        reason = "must be printable ASCII without spaces, at most 8192 characters"
        faults.append(Fault("hpcs_object_store_token", reason))
    faults += [
        Fault(f"loadbalancers[{place}].id", f"is too long to name an object, got {shown(lb.id)}")
        for place, lb in enumerate(request.loadbalancers)
        if len(prefix(lb.id, "")) > _PREFIX_BYTES
    ]
    if faults:
        raise Malformed(Code.MALFORMED_MESSAGE, faults)
    return Destination(
        endpoint=request.hpcs_object_store_endpoint.rstrip("/"),
        container=request.hpcs_object_store_basepath,
        token=token,
    )


def prefix(label: str | int | None, protocol: str) -> str:
    """What stands before the slash of an object's name: the load balancer's id, else its protocol.

    Anything but letters, digits and `_.-` is percent-encoded, so that no id leads elsewhere.
    """
    text = "" if label is None else str(label)
    if not text:
        return protocol
    return (
        text
        if _PLAIN.fullmatch(text)
        else quote(text, safe="", errors="replace").replace(".", "%2E")
    )


def _faults_of_endpoint(endpoint: str, *, allow_http: bool) -> list[Fault]:
    field = "hpcs_object_store_endpoint"
    try:
        url = urlsplit(endpoint)
        # A port that is none is found out only when it is asked for.
        sound = bool(_ENDPOINT.fullmatch(endpoint) and url.hostname and url.port != 0)
    except ValueError:
        sound = False
    if not sound or url.scheme not in ("http", "https"):
        return [Fault(field, "must be an https:// URL of the account")]
    if url.username is not None or url.query or url.fragment or "?" in endpoint or "#" in endpoint:
        return [Fault(field, "must hold no user, query or fragment")]
    if url.scheme == "http" and not allow_http:
        reason = "must be https://; this node's settings do not allow plain HTTP"
        return [Fault(field, reason)]
    return []


def _faults_of_container(name: str) -> list[Fault]:
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        size = 0
    plain = "/" not in name and name not in (".", "..") and name.isprintable()
    if not plain or not 1 <= size <= _CONTAINER_BYTES:
        reason = f"must be a container's name: 1 to {_CONTAINER_BYTES} printable bytes, no slash"
        return [Fault("hpcs_object_store_basepath", f"{reason}, got {shown(name)}")]
    return []
