"""Is a new device of use: its worker is registered with gearmand and answers DIAGNOSTICS well."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from libra_common.jobs import (
    AdminClient,
    GearmanServer,
    JobClient,
    JobError,
    JobTimeout,
    NoServer,
    TlsFiles,
)
from libra_messages.decode import decode
from libra_messages.faults import Malformed
from libra_pool_mgm.clouds.errors import BuildFailed, CloudTimeout

LOG = logging.getLogger(__name__)

ASK_SECONDS = 5.0
"""How long one job server may take to say who is registered there."""

_QUESTION = json.dumps({"hpcs_action": "DIAGNOSTICS"}).encode()

Registered = Mapping[str, tuple[GearmanServer, ...]]
"""The job servers at which each function has a worker."""


class Inspection:
    """Looks at devices through the job servers; every method waits, and may be called in threads.

    `diag_timeout` is how long DIAGNOSTICS may take, in seconds.
    """

    def __init__(
        self, *, servers: Sequence[GearmanServer], tls: TlsFiles | None, diag_timeout: float
    ) -> None:
        self._servers = tuple(servers)
        self._tls = tls
        self._diag_timeout = diag_timeout

    def registered(self) -> Registered:
        """Return which functions have workers, and where; raises NoServer if nobody says it."""
        found: dict[str, tuple[GearmanServer, ...]] = {}
        errors = []
        for server in self._servers:
            admin = AdminClient(server=server, tls=self._tls, timeout=ASK_SECONDS)
            try:
                functions = admin.status()
            except NoServer as error:
                errors.append(error)
                continue
            for function in functions:
                if function.workers:
                    found[function.name] = (*found.get(function.name, ()), server)
        if len(errors) == len(self._servers):
            raise errors[0]
        return found

    def diagnose(self, name: str, servers: Sequence[GearmanServer]) -> None:
        """Have the device `name` look at itself; it is registered at `servers`.

        Raises BuildFailed with what is wrong, CloudTimeout if it does not answer in time.
        """
        client = JobClient(servers=servers, tls=self._tls)
        try:
            data = client.submit(name, _QUESTION, timeout=self._diag_timeout)
        except JobTimeout:
            raise CloudTimeout(
                f"device {name} did not answer DIAGNOSTICS within {self._diag_timeout:g} s"
            ) from None
        except JobError as error:
            raise BuildFailed(f"device {name} could not be asked: {error}") from error
        try:
            answer = decode(data)
        except Malformed as error:
            raise BuildFailed(
                f"device {name} answered DIAGNOSTICS with nonsense: {error}"
            ) from None
        LOG.debug("device %s answered DIAGNOSTICS: %s", name, answer)
        if (fault := fault_in(answer)) is not None:
            raise BuildFailed(f"device {name} is of no use: {fault}")


def fault_in(answer: Mapping[str, Any]) -> str | None:
    """Say what an answer to DIAGNOSTICS shows to be wrong, None where all is well enough.

    At least two thirds of the job servers must be within the device's reach, as the original
    pool manager had it.
    """
    if answer.get("hpcs_response") != "PASS":
        return f"DIAGNOSTICS failed: {answer.get('hpcs_error', 'no reason given')}"
    if answer.get("network") == "FAIL":
        return "it cannot reach the network"
    haproxy = answer.get("haproxy")
    if isinstance(haproxy, Mapping) and haproxy.get("status") == "FAIL":
        return "its HAProxy does not answer"
    seen = answer.get("gearman")
    looks = [one for one in seen if isinstance(one, Mapping)] if isinstance(seen, list) else []
    away = [str(one.get("host")) for one in looks if one.get("status") == "FAIL"]
    if len(away) > len(looks) / 3:
        return f"it cannot reach the job servers {', '.join(away)}"
    return None
