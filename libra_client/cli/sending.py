"""One message to one node, and what people are told when no answer comes."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from libra_client.cli import options, output
from libra_client.cli.exits import Exit
from libra_client.client import Result
from libra_client.pool import FUNCTION as POOL
from libra_common.jobs import (
    AdminClient,
    FunctionStatus,
    GearmanServer,
    JobTimeout,
    NoServer,
    TlsFiles,
)

_LOOK_SECONDS = 3.0
"""How long each gearman server is asked who serves a name."""

_BETWEEN_FAULTS = re.compile(r"; (?=[a-z_]+[^\s:]*: )")
"""What stands between two faults of a malformed message."""


class Unserved(JobTimeout):
    """No answer came, and no node of that name is at any gearman server that could be asked."""


def send(
    asked: argparse.Namespace,
    message: Mapping[str, Any],
    *,
    timeout: float,
    response_field: str = "hpcs_response",
) -> Result:
    """Send `message` to the node that was asked for, and return its answer.

    `timeout` is in seconds, where no option gives another; `response_field` says PASS or FAIL in
    the answer. Raises what `Client.submit` raises;
    an answer that did not come in time is explained.
    """
    found = options.settings(asked)
    client = options.client(found)
    try:
        return client.submit(
            asked.node, message, options.timeout(asked, timeout), response_field=response_field
        )
    except JobTimeout as error:
        raise _explained(error, asked.node, *options.servers(found)) from error


def refused(asked: argparse.Namespace, result: Result) -> Exit:
    """Tell of an answer of FAIL, one fault a line."""
    code = f" ({result.error_code})" if result.error_code else ""
    reasons = _BETWEEN_FAULTS.split(result.error or "")
    if len(reasons) == 1:
        output.complain(f"{asked.node}: FAIL{code}: {reasons[0]}")
    else:
        output.complain(f"{asked.node}: FAIL{code}:")
        for reason in reasons:
            output.note(f"  {reason}")
    return Exit.FAIL


def _explained(
    error: JobTimeout, node: str, servers: Sequence[GearmanServer], tls: TlsFiles | None
) -> JobTimeout:
    """Say why no answer came, as far as the gearman servers know."""
    try:
        known = functions(servers, tls)
    except NoServer:
        return error
    serving = {function.name for function in known if function.workers}
    if node in serving:
        return JobTimeout(
            f"{error}; a node of that name is there, so what was asked for may still be done:"
            f" see libra {'pool list' if node == POOL else f'stats {node}'}"
        )
    near = difflib.get_close_matches(node, serving, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return Unserved(f"{error}; no node serves that name{hint}")


def functions(servers: Sequence[GearmanServer], tls: TlsFiles | None) -> list[FunctionStatus]:
    """The functions of every server that answers; raises NoServer where none does."""
    found: list[FunctionStatus] = []
    errors: list[NoServer] = []
    for server in servers:
        try:
            found += AdminClient(server=server, tls=tls, timeout=_LOOK_SECONDS).status()
        except NoServer as error:
            errors.append(error)
    if len(errors) == len(servers):
        raise errors[0]
    return found
