"""Listeners: their statuses, and the end of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from libra_amphora.api.base import V01, Answer, Call, Refused, Route, ok
from libra_amphora.balancers import Balancers
from libra_amphora.lvs_errors import LvsError
from libra_amphora.vrrp_errors import KeepalivedError
from libra_haproxy.errors import EngineError


def no_listener(version: str, id_: str) -> Refused:  # noqa: ARG001 - the same words in both
    """404 in the words of both specs."""
    return Refused(404, "Listener Not Found", f"No listener with UUID: {id_}")


class ListenersApi:
    """`deleted` is called after a listener has gone, to tidy up what nobody uses any more."""

    def __init__(self, *, balancers: Balancers, deleted: Callable[[], None]) -> None:
        self._balancers = balancers
        self._deleted = deleted

    def routes(self) -> Iterable[Route]:
        """GET of all and of one, DELETE of one."""
        yield Route(
            "GET",
            "/listeners",
            self._all,
            summary="The status of every listener",
            quick=self._all_resting,
            answers={200: "a list"},
        )
        yield Route(
            "GET",
            "/listeners/{listener_id}",
            self._one,
            summary="The status of one listener, its pools and members",
            versions=(V01, "1.0"),
            absent=no_listener,
            answers={200: "the status", 404: "there is no such listener"},
        )
        yield Route(
            "DELETE",
            "/listeners/{listener_id}",
            self._delete,
            summary="Remove a listener, or a whole load balancer, and all that only it used",
            guarded=True,
            absent=no_listener,
            late=ok(),
            answers={
                200: "gone",
                404: "there was none",
                500: "HAProxy cannot be stopped",
                503: "topology transition",
            },
        )

    def _all(self, call: Call) -> Answer:  # noqa: ARG002
        return Answer(200, self._balancers.statuses())

    def _all_resting(self, call: Call) -> Answer | None:  # noqa: ARG002
        found = self._balancers.resting()
        return None if found is None else Answer(200, found)

    def _one(self, call: Call) -> Answer:
        found = self._balancers.details(call.params["listener_id"])
        if found is None:
            raise no_listener(call.version, call.params["listener_id"])
        return Answer(200, found)

    def _delete(self, call: Call) -> Answer:
        try:
            there = self._balancers.delete(call.params["listener_id"])
        except EngineError as error:
            raise Refused(500, "Error stopping haproxy", str(error)) from error
        except (LvsError, KeepalivedError) as error:
            raise Refused(500, "Error stopping keepalivedlvs", str(error)) from error
        if not there:
            raise no_listener(call.version, call.params["listener_id"])
        self._deleted()
        return ok()
