"""Settings that a controller changes in a running agent."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.amphora import AMPHORA_ID, Amphora
from tests.support.octavia_text import BALANCER, LISTENER, MEMBERS, Proxy, configuration
from tests.support.ports import free_port


@contextmanager
def health_manager() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(30)
        yield receiver


def heard(receiver: socket.socket, key: str) -> Any:
    """What the next heartbeat says, if it is signed with this key."""
    packet = receiver.recv(65536)
    payload, digest = packet[:-64], packet[-64:]
    expected = hmac.new(key.encode(), payload, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(expected.encode(), digest)
    return json.loads(zlib.decompress(payload))


def sent(receiver: socket.socket, key: str, *, more: str = "") -> str:
    port = receiver.getsockname()[1]
    return (
        f"[health_manager]\ncontroller_ip_port_list = 127.0.0.1:{port}\n"
        f"heartbeat_interval = 1\nheartbeat_key = {key}\n{more}"
    )


def test_heartbeats_follow_what_a_controller_changes_and_go_on_so_after_a_restart(
    amphora: Amphora,
) -> None:
    # Given a listener that serves, and an agent that was told no health manager
    proxy = Proxy(port=free_port(), members={MEMBERS[0]: free_port()}, check="")
    path = f"/1.0/loadbalancer/{AMPHORA_ID}/{BALANCER}/haproxy"
    assert amphora.call("PUT", path, configuration(proxy)).status == 201
    assert amphora.call("PUT", f"/1.0/loadbalancer/{BALANCER}/start").status == 202

    with health_manager() as first, health_manager() as second:
        # When a controller says where to, and with which key
        assert amphora.call("PUT", "/1.0/config", sent(first, "one")).status == 202

        # Then they come, signed, with what is served
        said = heard(first, "one")
        assert said["id"] == AMPHORA_ID
        assert said["listeners"][LISTENER]["status"] == "OPEN"

        # And elsewhere with another key, when it changes its mind
        assert amphora.call("PUT", "/1.0/config", sent(second, "two")).status == 202
        assert heard(second, "two")["listeners"].keys() == {LISTENER}

        # And a restart, or settings read again, forget nothing of that
        amphora.reread()
        assert amphora.call("GET", "/info").status == 200
        amphora.stop()
        while _waiting(second):
            second.recv(65536)
        amphora.start()
        assert heard(second, "two")["id"] == AMPHORA_ID


def test_settings_that_may_not_change_stay_as_they_are(amphora: Amphora) -> None:
    with health_manager() as receiver:
        more = "[haproxy_amphora]\nhaproxy_cmd = /bin/false\nbind_port = 1\n"
        assert amphora.call("PUT", "/1.0/config", sent(receiver, "k", more=more)).status == 202
        assert heard(receiver, "k")["id"] == AMPHORA_ID
        amphora.stop()
        amphora.start()
        assert amphora.call("GET", "/info").body["haproxy_version"]


def test_file_with_a_fault_changes_nothing_and_tells_no_secret(amphora: Amphora) -> None:
    with health_manager() as receiver:
        assert amphora.call("PUT", "/1.0/config", sent(receiver, "good")).status == 202
        bad = sent(receiver, "very-secret").replace("interval = 1", "interval = soon")

        reply = amphora.call("PUT", "/1.0/config", bad)

        assert reply.status == 500
        assert reply.body["message"] == "Unable to update amphora-agent configuration."
        assert "heartbeat_interval" in reply.body["details"]
        assert "very-secret" not in str(reply.body)
        assert "very-secret" not in amphora.said()
        assert heard(receiver, "good")["id"] == AMPHORA_ID


def _waiting(receiver: socket.socket) -> bool:
    receiver.setblocking(False)
    try:
        receiver.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    finally:
        receiver.settimeout(30)
    return True
