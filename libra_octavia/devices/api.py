"""A device's amphora API: mutual TLS with the one device that is meant, deadlines, words.

Connections are kept. A call that meets one which the device has closed meanwhile is made once more;
anything further is for whoever tries again.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)

from libra_octavia.agent.devices import DeviceAway, DeviceRefused
from libra_octavia.devices.answers import Configuration, NotStarted, Present, Reply, Standing

__all__ = ["FENCE", "IN_FORCE", "Api", "Apis", "Configuration", "NotStarted", "Present", "Standing"]

FENCE = "X-Libra-Fence"
IN_FORCE = "X-Libra-In-Force"
BY_KERNEL = "X-Libra-By-Kernel"

_MOST_BYTES = 64 * 1024 * 1024
_KEPT = 512
"""Devices to which connections are kept; of more, those that were not called for longest go."""


class Apis:
    """The APIs of all devices. `context` gives the TLS of this moment; timeouts are in seconds."""

    def __init__(
        self,
        *,
        context: Callable[[], ssl.SSLContext],
        port: int,
        connect_timeout: float,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = context
        self._port = port
        self._timeouts = urllib3.Timeout(connect=connect_timeout, read=timeout)
        self._timeout = timeout
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str, int], urllib3.HTTPSConnectionPool] = OrderedDict()

    def of(self, amphora_id: str, address: str, *, fence: int) -> Api:
        """The API of a device, for calls in the name of a lease with that fence."""
        context = self._context()
        key = (amphora_id, address, id(context))
        with self._lock:
            found = self._kept.pop(key, None)
            if found is None:
                found = urllib3.HTTPSConnectionPool(
                    address,
                    self._port,
                    maxsize=2,
                    timeout=self._timeouts,
                    retries=False,
                    ssl_context=context,
                    # Whoever answers at the address must prove to be this very device.
                    server_hostname=amphora_id,
                )
            self._kept[key] = found
            while len(self._kept) > _KEPT:
                _, old = self._kept.popitem(last=False)
                old.close()
        return Api(
            connections=found,
            who=f"device {amphora_id} at {address}",
            fence=fence,
            timeout=self._timeout,
            clock=self._clock,
        )


class Api:
    """One device's API. Every method raises DeviceAway, and DeviceRefused for what it refuses."""

    def __init__(
        self,
        *,
        connections: urllib3.HTTPSConnectionPool,
        who: str,
        fence: int,
        timeout: float,
        clock: Callable[[], float],
    ) -> None:
        self._connections = connections
        self._who = who
        self._fence = fence
        self._timeout = timeout
        self._clock = clock

    def info(self) -> Mapping[str, Any]:
        """Who the device is."""
        found = self._good(self._call("GET", "/info"), 200).json()
        return found if isinstance(found, dict) else {}

    def standing(self) -> Standing:
        """What the device serves, for whoever does not know."""
        reply = self._good(self._call("GET", "/details"), 200)
        found = reply.json()
        if not isinstance(found, dict):
            raise DeviceAway(f"{self._who}: its details are no object")
        seen = reply.headers.get(FENCE.lower(), "")
        return Standing(
            load_balancers=tuple(map(str, found.get("loadbalancers") or ())),
            listeners=tuple(map(str, found.get("listeners") or ())),
            fence=int(seen) if seen.isdecimal() else 0,
        )

    def configuration(self, balancer: str) -> Configuration | None:
        """What configuration the device has for HAProxy; None where it has none."""
        return self.present(balancer).configuration

    def present(self, balancer: str) -> Present:
        """All that the device has for a load balancer, in one call."""
        reply = self._call("GET", f"/loadbalancer/{balancer}/haproxy")
        named = reply.headers.get(BY_KERNEL.lower(), "").split(",")
        return Present(self._configuration(reply), frozenset(filter(None, named)))

    def by_kernel(self, listener: str) -> Configuration | None:
        """What the device has for a listener of UDP or SCTP; None where there is none."""
        return self._configuration(self._call("GET", f"/listeners/{listener}/udp_listener"))

    def _configuration(self, reply: Reply) -> Configuration | None:
        if reply.status == 404 and isinstance(reply.json(), dict):
            return None
        reply = self._good(reply, 200)
        return Configuration(
            md5=reply.headers.get("etag", "").strip('"'),
            in_force=reply.headers.get(IN_FORCE.lower()) == "true",
            text=reply.body.decode(errors="replace"),
        )

    def upload(self, amphora_id: str, balancer: str, text: str) -> None:
        """Have a configuration checked and kept."""
        path = f"/loadbalancer/{amphora_id}/{balancer}/haproxy"
        self._good(self._call("PUT", path, text.encode(), kind="text/plain"), 201, 202)

    def upload_by_kernel(self, amphora_id: str, listener: str, text: str) -> str | None:
        """The same for a listener of UDP or SCTP; gives the reason where it is refused for good."""
        path = f"/listeners/{amphora_id}/{listener}/udp_listener"
        reply = self._call("PUT", path, text.encode(), kind="text/plain")
        if reply.status in (400, 413):
            return f"{self._who}: {reply.words}"
        self._good(reply, 200)
        return None

    def act(self, balancer: str, action: str) -> None:
        """Start or reload; what takes long goes on after this returns. Raises NotStarted too."""
        reply = self._call("PUT", f"/loadbalancer/{balancer}/{action}")
        if reply.status == 500:
            raise NotStarted(f"{self._who}: {reply.words}")
        self._good(reply, 202)

    def drop(self, balancer: str) -> None:
        """Serve a load balancer no more; one that is not served is no fault."""
        self._good(self._call("DELETE", f"/listeners/{balancer}"), 200, 404)

    def listeners(self) -> Mapping[str, str]:
        """The status of each listener, by its id."""
        found = self._good(self._call("GET", "/listeners"), 200).json()
        if not isinstance(found, list):
            raise DeviceAway(f"{self._who}: its listeners are no list")
        return {str(one.get("uuid")): str(one.get("status")) for one in found}

    def plug(self, body: Mapping[str, Any]) -> bool:
        """Have an interface laid out; False where the device does not see it (yet)."""
        reply = self._call("POST", "/plug/network", json.dumps(body).encode())
        if reply.status == 404:
            return False
        self._good(reply, 202)
        return True

    def file_md5(self, balancer: str, name: str) -> str | None:
        """The MD5 of a file beside the configuration; None where there is none."""
        reply = self._call("GET", f"/loadbalancer/{balancer}/certificates/{name}")
        if reply.status == 404:
            return None
        found = self._good(reply, 200).json()
        return str(found.get("md5sum")) if isinstance(found, dict) else None

    def put_file(self, balancer: str, name: str, content: bytes) -> None:
        """Have a file beside the configuration kept, for the next start or reload."""
        path = f"/loadbalancer/{balancer}/certificates/{name}"
        reply = self._call("PUT", path, content, kind="application/x-pem-file")
        self._good(reply, 200, 201)

    def delete_file(self, balancer: str, name: str) -> None:
        """Have a file forgotten; none there is no fault."""
        path = f"/loadbalancer/{balancer}/certificates/{name}"
        self._good(self._call("DELETE", path), 200, 404)

    def replace_certificate(self, pem: str) -> None:
        """Have the device show another certificate of its own from now on."""
        reply = self._call("PUT", "/certificate", pem.encode(), kind="application/x-pem-file")
        self._good(reply, 202)

    def _good(self, reply: Reply, *good: int) -> Reply:
        if reply.status in good:
            return reply
        said = f"{self._who} says {reply.status}, {reply.words}"
        if reply.status in (400, 404, 405, 409, 413):
            raise DeviceRefused(said)
        raise DeviceAway(said)

    def _call(
        self, method: str, path: str, body: bytes | None = None, *, kind: str = "application/json"
    ) -> Reply:
        try:
            return self._once(method, path, body, kind)
        except (ProtocolError, ConnectionError):
            # Most likely the device had closed a connection that was kept.
            pass
        except (HTTPError, OSError) as error:
            raise DeviceAway(f"{self._who}, {method} {path}: {_reason(error)}") from error
        try:
            return self._once(method, path, body, kind)
        except (HTTPError, OSError) as error:
            raise DeviceAway(f"{self._who}, {method} {path}: {_reason(error)}") from error

    def _once(self, method: str, path: str, body: bytes | None, kind: str) -> Reply:
        headers = {"User-Agent": "libra_octavia", "Accept": "application/json, text/plain"}
        if body is not None:
            headers["Content-Type"] = kind
        if method != "GET":
            headers[FENCE] = str(self._fence)
        deadline = self._clock() + self._timeout
        response = self._connections.urlopen(
            method, f"/1.0{path}", body=body, headers=headers, preload_content=False
        )
        data = bytearray()
        try:
            while chunk := response.read1(65536):
                data += chunk
                # Each read has its own deadline; one that drips must not last for ever.
                if self._clock() > deadline or len(data) > _MOST_BYTES:
                    break
            else:
                response.release_conn()
                found = {name.lower(): value for name, value in response.headers.items()}
                return Reply(response.status, found, bytes(data))
        except BaseException:
            response.close()
            raise
        response.close()
        raise DeviceAway(f"{self._who}, {method} {path}: the answer does not end")


def _reason(error: Exception) -> str:
    match error:
        case NewConnectionError():
            return str(error).rpartition(": ")[2]
        case ConnectTimeoutError():
            return "it does not accept a connection in time"
        case ReadTimeoutError():
            return "it does not answer in time"
    return str(error)
