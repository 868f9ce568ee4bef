"""Options by a real Octavia, a real device and its address."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from tests.support import netns
from tests.support.octavia_cloud import GATEWAY, OctaviaCloud
from tests.support.options.graph import Body
from tests.support.options.stage import Stage

FAR = "198.19.200.1"


class CloudStage(Stage):
    """A new load balancer for each thing that is served, made by one call of Octavia's API."""

    near = home = GATEWAY
    home6 = ""
    far = FAR
    silent = "203.0.113.126"

    def __init__(self, cloud: OctaviaCloud) -> None:
        super().__init__()
        self._cloud = cloud
        self._served = ""
        for address in (GATEWAY, FAR):
            with contextlib.suppress(AssertionError):
                netns.ip("address", "add", f"{address}/32", "dev", "lo", namespace=cloud.namespace)
        self._open.callback(self._take_away)

    def serve(self, body: Body, secrets: Mapping[str, Any] | None = None) -> None:
        self._take_away()
        for name, secret in (secrets or {}).items():
            self._cloud.api.keep(name, secret)
        # Octavia makes no graph with a pool that leaves these out (500).
        unset = dict.fromkeys(("tls_ciphers", "tls_versions", "alpn_protocols"))
        pools = [{**unset, **pool} for pool in body.get("pools", ())]
        made = self._cloud.balancer(**{**body, "pools": pools})
        self._served = made["id"]
        self.host = made["vip_address"]

    def _take_away(self) -> None:
        if self._served:
            self._cloud.delete(f"loadbalancers/{self._served}", "?cascade=true")
            self._served = ""
