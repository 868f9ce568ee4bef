"""keepalived: its configuration, and start, stop and reload."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable

from libra_amphora.api.base import Answer, Call, Raw, Refused, Route, ok
from libra_amphora.keepalived import Keepalived
from libra_amphora.vrrp_config import LIMIT
from libra_amphora.vrrp_errors import KeepalivedError, NotConfigured, VrrpConfigRefused
from libra_common.errors import LibraError

LOG = logging.getLogger(__name__)

_NOT_UPLOADED = "Failed to upload keepalived configuration."


class VrrpApi:
    """PUT vrrp/upload and vrrp/<action>."""

    def __init__(self, *, keepalived: Keepalived) -> None:
        self._keepalived = keepalived
        self._actions: dict[str, tuple[Callable[[], None], str]] = {
            "start": (keepalived.start, "started"),
            "stop": (keepalived.stop, "stopped"),
            "reload": (keepalived.reload, "reloaded"),
        }

    def routes(self) -> Iterable[Route]:
        """Both of both versions."""
        yield Route(
            "PUT",
            "/vrrp/upload",
            self._upload,
            summary="Check and keep a configuration of keepalived for the next start or reload",
            body=Raw(limit=LIMIT),
            guarded=True,
            answers={
                200: "kept",
                400: "it is refused; the present one stays",
                500: "it could not be kept",
                503: "topology transition",
            },
        )
        yield Route(
            "PUT",
            "/vrrp/{action}",
            self._act,
            summary="Start, stop or reload keepalived",
            guarded=True,
            late=ok(202, details="still under way"),
            answers={
                202: "done",
                400: "unknown action, or nothing was uploaded",
                500: "keepalived did not do it",
                503: "topology transition",
            },
        )

    def _upload(self, call: Call) -> Answer:
        try:
            self._keepalived.upload(call.body)
        except VrrpConfigRefused as error:
            raise Refused(400, _NOT_UPLOADED, str(error)) from error
        except LibraError as error:
            raise Refused(500, _NOT_UPLOADED, str(error)) from error
        return ok(headers={"ETag": hashlib.md5(call.body, usedforsecurity=False).hexdigest()})

    def _act(self, call: Call) -> Answer:
        word = call.params["action"]
        action = word.lower()
        if action not in self._actions:
            raise Refused(400, "Invalid Request", f"Unknown action: {word}")
        act, done = self._actions[action]
        try:
            act()
        except NotConfigured as error:
            raise Refused(400, "Invalid Request", str(error)) from error
        except KeepalivedError as error:
            LOG.error("keepalived did not %s: %s", action, error)
            message = f"Failed to {action} keepalived service: {error}"
            raise Refused(500, message, str(error)) from error
        return ok(202, details=f"keepalived {done}")
