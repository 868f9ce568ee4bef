"""Sending messages to nodes and reading what they answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from libra_common.errors import LibraError
from libra_common.jobs import JobClient, Kept, TlsFiles, parse_server

UPDATE_TIMEOUT = 120.0
"""Seconds that existing API servers give an action that changes something."""

QUERY_TIMEOUT = 10.0
"""Seconds for an action that only asks."""

_NO_REASON = "Load Balancer error"  # what existing clients show when a FAIL gives no reason


class BadAnswer(LibraError):
    """What answered is no Libra worker: not JSON, or not an object."""

    code = "bad_answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A node's answer, read.

    `ok` is True only when the response field says PASS and the message was not refused as
    malformed; `response` is that field. `error` is for people, `error_code` a stable word,
    `bad_request` the faults of a malformed message; each is None where the answer has none.
    `answer` is all of it, and `elapsed` the seconds that it took.
    """

    ok: bool
    response: str | None
    error: str | None
    error_code: str | None
    bad_request: str | None
    answer: dict[str, Any] = field(repr=False)
    elapsed: float


class Client:
    """Speaks to nodes through the gearman servers (`host:port` each), tried in their order.

    Raises SettingsError for a server that cannot be understood. Every action raises what
    `JobClient.submit` raises (no server, no answer in time, a lost connection, a failed job) and
    BadAnswer; an answer of FAIL is a Result, not an exception. Timeouts are in seconds.

    Each call opens a connection of its own. In a `with` block, at whose end they are closed, calls
    use again what earlier ones have opened in the last ten seconds, which spares them a handshake.
    """

    def __init__(
        self,
        servers: Sequence[str],
        *,
        tls: TlsFiles | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._jobs = JobClient(servers=[parse_server(text) for text in servers], tls=tls)
        self._clock = clock

    def __enter__(self) -> Client:
        self._jobs = replace(self._jobs, kept=Kept())
        return self

    def __exit__(self, *_: object) -> None:
        if self._jobs.kept is not None:
            self._jobs.kept.close()
        self._jobs = replace(self._jobs, kept=None)

    def submit(
        self,
        node: str,
        message: Mapping[str, Any],
        timeout: float = UPDATE_TIMEOUT,
        *,
        response_field: str = "hpcs_response",
    ) -> Result:
        """Send a message to a node (the name of its gearman function) and read the answer.

        `response_field` is "response" for the pool manager's messages.
        """
        began = self._clock()
        raw = self._jobs.submit(
            node, json.dumps(message, allow_nan=False).encode(), timeout=timeout
        )
        return read_answer(raw, response_field=response_field, elapsed=self._clock() - began)

    def update(
        self,
        node: str,
        configuration: Mapping[str, Any],
        timeout: float = UPDATE_TIMEOUT,
        *,
        generation: int | None = None,
    ) -> Result:
        """Give a node its whole configuration (`loadBalancers`); what it leaves out goes away.

        `generation` is your own number of it; one older than the applied is refused.
        """
        fence = {} if generation is None else {"generation": generation}
        return self.submit(node, {**configuration, **fence, "hpcs_action": "UPDATE"}, timeout)

    def suspend(self, node: str, timeout: float = UPDATE_TIMEOUT) -> Result:
        """Refuse all traffic until `enable`."""
        return self._act(node, "SUSPEND", timeout)

    def enable(self, node: str, timeout: float = UPDATE_TIMEOUT) -> Result:
        """End a suspension."""
        return self._act(node, "ENABLE", timeout)

    def delete(self, node: str, timeout: float = UPDATE_TIMEOUT) -> Result:
        """Erase the node's load balancers; cannot be undone."""
        return self._act(node, "DELETE", timeout)

    def discover(self, node: str, timeout: float = QUERY_TIMEOUT) -> Result:
        """Ask for the node's version, actions and limits."""
        return self._act(node, "DISCOVER", timeout)

    def stats(self, node: str, timeout: float = QUERY_TIMEOUT) -> Result:
        """Ask whether HAProxy answers, and for the state of each member."""
        return self._act(node, "STATS", timeout)

    def history(self, node: str, timeout: float = QUERY_TIMEOUT) -> Result:
        """Ask for the last five configurations that were in force, newest first."""
        return self._act(node, "HISTORY", timeout)

    def rollback(
        self,
        node: str,
        entry: int,
        timeout: float = UPDATE_TIMEOUT,
        *,
        generation: int | None = None,
    ) -> Result:
        """Apply a configuration of the history once more; `generation` as in `update`."""
        fence = {} if generation is None else {"generation": generation}
        return self.submit(node, {**fence, "hpcs_action": "ROLLBACK", "entry": entry}, timeout)

    def diagnostics(self, node: str, timeout: float = QUERY_TIMEOUT) -> Result:
        """Ask what the node can reach."""
        return self._act(node, "DIAGNOSTICS", timeout)

    def _act(self, node: str, action: str, timeout: float) -> Result:
        return self.submit(node, {"hpcs_action": action}, timeout)


def read_answer(raw: bytes, *, response_field: str = "hpcs_response", elapsed: float) -> Result:
    """Read an answer in the order of the existing clients: malformed first, then FAIL.

    Unlike them, an answer without PASS is never a success. Raises BadAnswer when it is not a
    JSON object.
    """
    try:
        answer = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"the answer is not JSON: {raw[:80]!r}") from error
    if not isinstance(answer, dict):
        raise BadAnswer(f"the answer is not a JSON object: {raw[:80]!r}")
    response = _text(answer.get(response_field))
    bad_request = _faults(answer["badRequest"]) if "badRequest" in answer else None
    ok = response == "PASS" and bad_request is None
    words, code = ("hpcs_error", "hpcs_error_code")
    if response_field == "response":  # the pool manager's
        words, code = ("error", "error_code")
    error_text = None if ok else _text(answer.get(words)) or bad_request
    if not ok and error_text is None:
        error_text = _NO_REASON if response else f"the answer has no {response_field}"
    return Result(
        ok=ok,
        response=response,
        error=error_text,
        error_code=None if ok else _text(answer.get(code)),
        bad_request=bad_request,
        answer=answer,
        elapsed=elapsed,
    )


def _faults(bad_request: Any) -> str:
    """The text of badRequest.validationErrors.message, or whatever stands in its place."""
    found = bad_request
    for name in ("validationErrors", "message"):
        if not isinstance(found, dict) or name not in found:
            return json.dumps(bad_request)
        found = found[name]
    return found if isinstance(found, str) else json.dumps(found)


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)
