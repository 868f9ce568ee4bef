"""Asking the pool manager for devices and floating IPs."""

from __future__ import annotations

from typing import Any

from libra_client.client import Client, Result

FUNCTION = "libra_pool_mgm"
"""The gearman function of the pool manager."""

BUILD_TIMEOUT = 660.0
"""Seconds for a device: what a pool manager gives it by default, and a minute more."""

CHANGE_TIMEOUT = 120.0
"""Seconds for everything else."""

RESPONSE_FIELD = "response"
"""The field of an answer that says PASS or FAIL."""


class Pool:
    """The pool manager, through the gearman servers of `client`.

    Every method waits for the answer, `timeout` seconds at most, and raises what `Client.submit`
    raises; an answer of FAIL is a Result, not an exception. What was asked for before nobody
    answered may be done all the same.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def build_device(self, timeout: float = BUILD_TIMEOUT, **wishes: Any) -> Result:
        """Have a device built: `name`, `addr`, `type` and `az` are in the answer.

        `wishes` are flavor, image, az and network, and `agent`, an object; what is None is as the
        pool's settings say.
        """
        return self.act("BUILD_DEVICE", timeout, **wishes)

    def delete_device(self, name: str, timeout: float = CHANGE_TIMEOUT) -> Result:
        """Have a device deleted; one that is gone is no fault."""
        return self.act("DELETE_DEVICE", timeout, name=name)

    def build_ip(self, timeout: float = CHANGE_TIMEOUT) -> Result:
        """Have a floating IP made: `id` and `ip` are in the answer."""
        return self.act("BUILD_IP", timeout)

    def assign_ip(self, ip: str, name: str, timeout: float = CHANGE_TIMEOUT) -> Result:
        """Have a floating IP given to a device; one of another device is refused."""
        return self.act("ASSIGN_IP", timeout, ip=ip, name=name)

    def remove_ip(self, ip: str, name: str, timeout: float = CHANGE_TIMEOUT) -> Result:
        """Have a floating IP taken from a device, and kept for another time."""
        return self.act("REMOVE_IP", timeout, ip=ip, name=name)

    def delete_ip(self, ip: str, timeout: float = CHANGE_TIMEOUT) -> Result:
        """Have a floating IP given back; one that is gone is no fault."""
        return self.act("DELETE_IP", timeout, ip=ip)

    def attach_port(
        self, name: str, key: str, timeout: float = CHANGE_TIMEOUT, **wishes: Any
    ) -> Result:
        """Have a device given a port, the same one again for the same key.

        `wishes` are subnet, network, ip, addresses and security_groups. `port`, `mac`, `ip`,
        `cidr`, `gateway`, `mtu`, `host_routes` and `fixed_ips` are in the answer.
        """
        return self.act("ATTACH_PORT", timeout, name=name, key=key, **wishes)

    def detach_port(self, name: str, port: str, timeout: float = CHANGE_TIMEOUT) -> Result:
        """Have a port taken from a device and given back; one that is gone is no fault."""
        return self.act("DETACH_PORT", timeout, name=name, port=port)

    def list_devices(self, timeout: float = CHANGE_TIMEOUT) -> Result:
        """Have all devices of the pool told: `devices` is in the answer."""
        return self.act("LIST_DEVICES", timeout)

    def act(self, action: str, timeout: float, **fields: Any) -> Result:
        """Send an action with the fields that are not None."""
        given: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
        message = {"action": action, **given}
        return self._client.submit(FUNCTION, message, timeout, response_field=RESPONSE_FIELD)
