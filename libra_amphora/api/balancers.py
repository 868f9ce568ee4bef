"""Configurations, and starting, stopping and reloading what they say."""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Callable, Iterable

from libra_amphora.api.base import V01, V1, Answer, Call, Raw, Refused, Route, ok
from libra_amphora.balancers import Balancers
from libra_haproxy.errors import EngineError, HaproxyTimeout
from libra_haproxy.text import TextRefused
from libra_haproxy.text_instance import TextInstance

LOG = logging.getLogger(__name__)

_SAID = {"start": "starting", "stop": "stopping", "reload": "reloading"}
IN_FORCE = "X-Libra-In-Force"
"""The header that says of a configuration whether HAProxy serves it now, `true` or `false`."""

BY_KERNEL = "X-Libra-By-Kernel"
"""The header that names the listeners of UDP and SCTP, where there are any, with commas."""

_VALID = "Configuration file is valid"


def not_found(version: str, id_: str) -> Refused:
    """404 for a load balancer (1.0) or a listener (v0.1), in the words of GET haproxy."""
    if version == V01:
        return Refused(404, "Listener Not Found", f"No listener with UUID: {id_}")
    return Refused(404, "Loadbalancer Not Found", f"No loadbalancer with UUID: {id_}")


def no_such_object(version: str, id_: str) -> Refused:
    """404 in the words of everything else."""
    what = "listener" if version == V01 else "loadbalancer"
    return Refused(404, "Listener Not Found", f"No {what} with UUID: {id_}")


def peer_name(amphora_id: str) -> str:
    """What an amphora is called among HAProxy's peers: its id's SHA-1, in names' characters."""
    digest = hashlib.sha1(amphora_id.encode(), usedforsecurity=False).digest()
    name = base64.b64encode(digest, altchars=b"_-").decode("ascii").rstrip("=")
    return re.sub(r"^-", "x", name)


class BalancersApi:
    """`prepare` makes the network ready for a load balancer; `announce` tells it where that is.

    `other` does an action for what is no load balancer, and gives None where it does not know it.
    `by_kernel` gives the ids of listeners of UDP and SCTP.
    """

    def __init__(
        self,
        *,
        balancers: Balancers,
        prepare: Callable[[], None],
        announce: Callable[[str], None],
        other: Callable[[str, str], Answer | None] = lambda *_: None,
        by_kernel: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self._other = other
        self._by_kernel = by_kernel
        self._balancers = balancers
        self._prepare = prepare
        self._announce = announce

    def routes(self) -> Iterable[Route]:
        """Both versions' own paths."""
        for version, above, id_ in (
            (V1, "loadbalancer", "loadbalancer_id"),
            (V01, "listeners", "listener_id"),
        ):
            yield Route(
                "PUT",
                f"/{above}/{{amphora_id}}/{{{id_}}}/haproxy",
                self._upload,
                summary="Check and keep a configuration for the next start or reload",
                body=Raw(),
                guarded=True,
                versions=(version,),
                answers={
                    201: "kept",
                    400: "HAProxy refuses it",
                    500: "it could not be checked",
                    503: "topology transition",
                },
            )
            yield Route(
                "GET",
                f"/{above}/{{{id_}}}/haproxy",
                self._get,
                summary="The configuration as it was uploaded last",
                versions=(version,),
                absent=not_found,
                answers={200: "the text", 404: "there is none"},
            )
            yield Route(
                "PUT",
                f"/{above}/{{{id_}}}/{{action}}",
                self._act,
                summary="Start, stop or reload",
                guarded=True,
                versions=(version,),
                absent=no_such_object,
                late=ok(202, details="still under way; the listeners' status will tell"),
                answers={
                    202: "done, or under way",
                    400: "unknown action",
                    404: "unknown id",
                    500: "HAProxy did not do it",
                    503: "topology transition",
                },
            )

    def _upload(self, call: Call) -> Answer:
        try:
            source = call.body.decode("utf-8")
        except UnicodeDecodeError:
            raise Refused(400, "Invalid request", "the configuration is not UTF-8") from None
        try:
            self._balancers.upload(_id(call), source, peer=peer_name(call.params["amphora_id"]))
        except TextRefused as error:
            raise Refused(400, "Invalid request", error.details) from error
        except HaproxyTimeout as error:
            raise Refused(500, "Configuration not checked", str(error)) from error
        return ok(201, headers={"ETag": _md5(call.body)})

    def _get(self, call: Call) -> Answer:
        instance = self._balancers.find(_id(call))
        record = instance.record if instance else None
        beside = self._by_kernel()
        headers = {BY_KERNEL: ",".join(beside)} if beside else {}
        if instance is None or record is None:
            return Answer(404, not_found(call.version, _id(call)).body, headers)
        headers |= {
            "ETag": _md5(record.uploaded.encode()),
            IN_FORCE: str(instance.in_force()).lower(),
        }
        return Answer(200, record.uploaded, headers)

    def _act(self, call: Call) -> Answer:
        action, id_ = call.params["action"], _id(call)
        if action.lower() not in _SAID:
            raise Refused(400, "Invalid Request", f"Unknown action: {action}")
        instance = self._balancers.find(id_)
        if instance is None or instance.record is None:
            if (done := self._other(action.lower(), id_)) is not None:
                return done
            raise no_such_object(call.version, id_)
        try:
            return ok(202, details=self._done(action.lower(), id_, instance))
        except EngineError as error:
            said = f"Error {_SAID[action.lower()]} haproxy"
            LOG.error("%s of %s: %s", said, id_, error)
            raise Refused(500, said, str(error)) from error

    def _done(self, action: str, id_: str, instance: TextInstance) -> str:
        if action == "stop":
            instance.stop()
            return f"Listener {id_} stopped"
        self._prepare()
        instance.start()
        self._announce(id_)
        if action == "reload":
            return f"{_VALID}\nListener {id_} reloaded"
        return f"{_VALID}\nhaproxy daemon for {id_} started"


def _id(call: Call) -> str:
    return call.params.get("loadbalancer_id") or call.params["listener_id"]


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
