"""What is asked of the pool manager, and what its answers mean to a load balancer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from libra_client.client import BadAnswer, Result, read_answer
from libra_client.pool import RESPONSE_FIELD
from libra_common.jobs import BadJob, JobClient, JobError
from libra_octavia.agent.devices import DeviceAway, DeviceRefused

GOOD_STATES = ("building", "active")
"""What the pool manager says of a device that is not lost."""

_FOR_GOOD = frozenset({"bad_request", "malformed_message", "message_too_large"})
"""The error codes that the same request would meet again."""


@dataclass(frozen=True)
class Built:
    """A device that was built: its name, and where its API is."""

    name: str
    address: str


class BuildFailed(DeviceAway):
    """A device could not be built; `name` is what it would be called, empty where that is unknown.

    The pool manager takes away what there was of it, unless it could not. With `for_good` the same
    would happen again.
    """

    def __init__(self, text: str, *, name: str, for_good: bool) -> None:
        super().__init__(text)
        self.name = name
        self.for_good = for_good


class NotThere(DeviceAway):
    """The pool manager knows no such device, port or address."""


class Pool:
    """The pool manager behind the gearman function `function`; timeouts are in seconds.

    Every method may be called again after any failure, and raises DeviceAway, or DeviceRefused
    where the same request would be refused again.
    """

    def __init__(
        self, *, client: JobClient, function: str, build_timeout: float, timeout: float
    ) -> None:
        self._client = client
        self._function = function
        self._build_timeout = build_timeout
        self._timeout = timeout

    def build(
        self, key: str, *, agent: Mapping[str, Any], wishes: Mapping[str, str | None]
    ) -> Built:
        """Have a device built, or get the one of this key, a UUID, that was built already.

        `agent` is what its amphora agent needs; `wishes` are flavor, az and network. Raises
        BuildFailed where the pool manager says that it cannot be.
        """
        result = self._ask(
            "BUILD_DEVICE", timeout=self._build_timeout, unique=key, agent=agent, **wishes
        )
        name = str(result.answer.get("name") or "")
        if not result.ok:
            raise BuildFailed(_words(result), name=name, for_good=_for_good(result))
        address = str(result.answer.get("addr") or "")
        if not name or not address:
            raise DeviceAway("the pool manager's answer has no name or no address of the device")
        return Built(name, address)

    def delete(self, name: str) -> None:
        """Have a device deleted with its ports; one that is gone is no fault."""
        self._do("DELETE_DEVICE", name=name)

    def devices(self) -> Sequence[Mapping[str, Any]]:
        """Every device of the pool as LIST_DEVICES has it."""
        found = self._do("LIST_DEVICES").get("devices")
        if not isinstance(found, list):
            raise DeviceAway("the pool manager's answer has no devices")
        return found

    def attach(
        self,
        name: str,
        *,
        key: str,
        subnet: str | None,
        network: str | None,
        addresses: Sequence[str],
        security_groups: Sequence[str],
    ) -> Mapping[str, Any]:
        """Have a device have a port; the one of this key is changed where it is there already.

        What is answered tells of the port: `port` (its id), `mac`, `mtu`, `fixed_ips`.
        """
        return self._do(
            "ATTACH_PORT",
            name=name,
            key=key,
            subnet=subnet,
            network=network,
            addresses=list(addresses),
            security_groups=list(security_groups) or None,
        )

    def detach(self, name: str, port: str) -> None:
        """Have a port taken from a device and given back; one that is gone is no fault."""
        self._do("DETACH_PORT", name=name, port=port)

    def build_ip(self, key: str, *, timeout: float | None = None) -> str:
        """Have a floating IP made, or get the one of this key, a UUID, that was made already."""
        result = self._ask("BUILD_IP", timeout=timeout or self._timeout, unique=key)
        return str(_checked(result)["ip"])

    def assign_ip(self, ip: str, name: str) -> None:
        """Have a floating IP lead to a device."""
        self._do("ASSIGN_IP", ip=ip, name=name)

    def remove_ip(self, ip: str, name: str) -> None:
        """Have a floating IP lead to a device no more."""
        self._do("REMOVE_IP", ip=ip, name=name)

    def delete_ip(self, ip: str) -> None:
        """Have a floating IP given back; one that is gone is no fault."""
        self._do("DELETE_IP", ip=ip)

    def _do(self, action: str, **fields: Any) -> Mapping[str, Any]:
        return _checked(self._ask(action, timeout=self._timeout, **fields))

    def _ask(
        self, action: str, *, timeout: float, unique: str | None = None, **fields: Any
    ) -> Result:
        given = {name: value for name, value in fields.items() if value is not None}
        message = json.dumps({"action": action, **given}, allow_nan=False).encode()
        try:
            raw = self._client.submit(self._function, message, timeout=timeout, unique=unique)
            return read_answer(raw, response_field=RESPONSE_FIELD, elapsed=0.0)
        except BadJob as error:
            raise DeviceRefused(f"{action}: {error}") from error
        except (JobError, BadAnswer) as error:
            raise DeviceAway(f"the pool manager, {action}: {error}") from error


def _checked(result: Result) -> Mapping[str, Any]:
    if result.ok:
        return result.answer
    if _for_good(result):
        raise DeviceRefused(_words(result))
    raise (NotThere if result.error_code == "not_found" else DeviceAway)(_words(result))


def _for_good(result: Result) -> bool:
    return result.bad_request is not None or result.error_code in _FOR_GOOD


def _words(result: Result) -> str:
    action = result.answer.get("action", "")
    code = f" ({result.error_code})" if result.error_code else ""
    return f"the pool manager refused {action}{code}: {result.error}"
