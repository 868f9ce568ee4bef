"""From a message to its answer: decode, parse, drive, answer.

Every job is answered by a JSON object that says PASS or FAIL, whatever happens: a caller that
gets anything else leaves its load balancer in limbo.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from libra_common.errors import LibraError
from libra_common.health import Tally
from libra_common.version import MESSAGES, RELEASE
from libra_messages import answers, worker
from libra_messages.codes import Code
from libra_messages.decode import decode
from libra_messages.faults import Malformed
from libra_worker.archive.archiver import Archiver, Unfinished, fields_of
from libra_worker.diagnostics import Diagnosis
from libra_worker.drivers.base import DeletedError, Driver, LbStatus, Volume

LOG = logging.getLogger(__name__)

_UTC = "%Y-%m-%d %H:%M:%S.%f"
"""Times in METRICS, as the API servers store them."""

Message = Mapping[str, Any]
Fields = dict[str, Any]


class Controller:
    """Answers the messages of one node.

    `message_limit` (bytes) and `max_nodes` are what DISCOVER tells and what is refused above;
    `diagnose` looks at the network when DIAGNOSTICS asks; `tally` counts what is answered.
    """

    def __init__(
        self,
        *,
        driver: Driver,
        diagnose: Callable[[], Diagnosis],
        max_nodes: int,
        message_limit: int,
        archiver: Archiver,
        tally: Tally | None = None,
    ) -> None:
        self._driver = driver
        self._diagnose = diagnose
        self._max_nodes = max_nodes
        self._message_limit = message_limit
        self._archiver = archiver
        self._tally = tally or Tally()

    def answer(self, data: bytes) -> bytes:
        """Answer one message; raises nothing that is foreseen."""
        with self._tally.job() as ended:
            answer = self._answered(data)
            action = worker.FAMILY.action_of(answer) or "none"
            ended(action, answer.get("hpcs_error_code", answers.PASS))
            return answers.encode(answer)

    def refuse_oversize(self, size: int) -> bytes:
        """Answer a message of `size` bytes, which is more than is read."""
        error = f"the message has {size} bytes and the limit is {self._message_limit}"
        LOG.warning("refused: %s", error)
        return answers.encode(
            answers.failed(None, error=error, code=Code.MESSAGE_TOO_LARGE, bad_request=True)
        )

    def _answered(self, data: bytes) -> Fields:
        try:
            message: Message = decode(data)
        except Malformed as error:
            LOG.warning("refused: %s", error)
            return answers.from_malformed(None, error)
        return self._answer(message)

    def _answer(self, message: Message) -> Fields:
        try:
            request = worker.parse(message, max_nodes=self._max_nodes)
            LOG.info("%s begins", request.action)
            added = self._do(request)
        except Malformed as error:
            LOG.warning("refused: %s", error)
            return answers.from_malformed(message, error)
        except DeletedError as error:
            LOG.warning("failed: %s", error)
            return answers.failed(message, error=str(error), code=error.code, status="DELETED")
        except Unfinished as error:
            LOG.error("failed (%s): %s", error.code, error)
            sent = fields_of(error.sent) if error.sent else {}
            return answers.failed(message, error=str(error), code=error.code, **sent)
        except LibraError as error:
            LOG.error("failed (%s): %s", error.code, error)
            return answers.failed(message, error=str(error), code=error.code)
        except Exception:
            # A fault of ours is answered too: silence would have gearmand run it again elsewhere.
            LOG.exception("failed unexpectedly")
            return answers.failed(message, error="internal error", code=Code.INTERNAL_ERROR)
        LOG.info("%s done", request.action)
        return answers.passed(message, **added)

    def _do(self, request: worker.Request) -> Fields:
        """Carry out a request; returns what the answer adds beside PASS."""
        match request:
            case worker.Update():
                return self._update(request)
            case worker.Rollback():
                return {"lb_status": self._driver.rollback(request)}
            case worker.History():
                return self._history()
            case worker.Suspend():
                return {"lb_status": self._driver.suspend()}
            case worker.Enable():
                return {"lb_status": self._driver.enable()}
            case worker.Delete():
                return self._delete()
            case worker.Stats():
                return self._stats()
            case worker.Discover():
                return self._discover()
            case worker.Diagnostics():
                return self._diagnostics()
            case worker.Archive():
                return {**self._lb_status(), **fields_of(self._archiver.archive(request))}
            case worker.Metrics():
                return self._metrics(request)

    def _update(self, request: worker.Update) -> Fields:
        updated = self._driver.update(request)
        superseded = {"superseded": True} if updated.superseded else {}
        return {"lb_status": updated.lb_status, **superseded}

    def _delete(self) -> Fields:
        totals = [asdict(total) for total in self._driver.delete()]
        return {"lb_status": LbStatus.DELETED, "totals": totals}

    def _stats(self) -> Fields:
        stats = self._driver.stats()
        generation = {} if stats.generation is None else {"generation": stats.generation}
        return {
            "lb_status": stats.lb_status,
            "nodes": [asdict(node) for node in stats.nodes],
            "load_balancers": [asdict(one) for one in stats.load_balancers],
            **generation,
            **self._lines_missed(),
        }

    def _history(self) -> Fields:
        entries = [asdict(entry) for entry in self._driver.history()]
        return {**self._lb_status(), "history": entries}

    def _metrics(self, request: worker.Metrics) -> Fields:
        metrics = self._driver.metrics(request)
        return {
            "lb_status": metrics.lb_status,
            "report": metrics.report,
            "after": metrics.after,
            "utc_start": metrics.utc_start.strftime(_UTC),
            "utc_end": metrics.utc_end.strftime(_UTC),
            "loadBalancers": [
                {"protocol": one.protocol, **_volume(one.period), "totals": _volume(one.totals)}
                for one in metrics.load_balancers
            ],
            **self._lines_missed(),
        }

    def _discover(self) -> Fields:
        return {
            **self._lb_status(),
            "version": MESSAGES,
            "release": RELEASE,
            "actions": list(worker.ACTIONS),
            "limits": {
                "load_balancers": 2,
                "max_nodes": self._max_nodes,
                "message_bytes": self._message_limit,
            },
        }

    def _diagnostics(self) -> Fields:
        healthy = self._healthy()
        diagnosis = self._diagnose()
        return {
            **self._lb_status(),
            "network": _word(diagnosis.network),
            "gearman": [
                {"host": server.host, "port": server.port, "status": _word(server.reached)}
                for server in diagnosis.gearman
            ],
            "haproxy": {
                "status": "NONE" if healthy is None else _word(healthy),
                **self._driver.describe(),
            },
        }

    def _healthy(self) -> bool | None:
        try:
            return self._driver.healthy()
        except LibraError as error:
            LOG.warning("HAProxy is not well: %s", error)
            return False

    def _lines_missed(self) -> Fields:
        """What STATS and METRICS say of access logs, where it is known."""
        missed = self._driver.lines_missed()
        return {} if missed is None else {"log_lines": asdict(missed)}

    def _lb_status(self) -> Fields:
        """The field that every PASS has, where there is, or was, a load balancer."""
        status = self._driver.lb_status()
        return {} if status is None else {"lb_status": status}


def _volume(volume: Volume) -> Fields:
    """A volume of traffic; `requests` only where there are such."""
    found = asdict(volume)
    if volume.requests is None:
        del found["requests"]
    return found


def _word(good: bool) -> str:
    return answers.PASS if good else answers.FAIL
