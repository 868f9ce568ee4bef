from __future__ import annotations

import hashlib
import hmac
import json
import logging
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_amphora.conf import HealthSettings
from libra_amphora.heartbeat import Heartbeat, message, packet
from libra_amphora.snapshot import Listener, Member, Pool, Snapshot, Traffic
from libra_common.settings.values import HostPort

ID = "6e2bc8a0-2548-4fb7-a5f0-fb1ef4a696ce"
LISTENER, POOL, MEMBER = "listener-1", "pool-1", "member-1"
KEY = "the key of heartbeats"

SERVING = Snapshot(
    listeners=(
        Listener(
            id=LISTENER,
            loadbalancer_id="lb",
            type="HTTP",
            status="OPEN",
            traffic=Traffic(
                bytes_in=11, bytes_out=22, connections=3, total_connections=44, request_errors=5
            ),
        ),
        Listener(id="stopped", loadbalancer_id="lb", type="HTTP", status="STOP"),
        Listener(id="unknown", loadbalancer_id="lb", type="HTTP", status=""),
    ),
    pools=(
        Pool(
            id=POOL,
            listener_id=LISTENER,
            backend=f"{POOL}:{LISTENER}",
            status="UP",
            members=(Member(id=MEMBER, status="UP 1/2"), Member(id="other", status="no check")),
        ),
    ),
    haproxy_count=1,
)


def settings(*targets: HostPort, interval: int = 3600, key: str = KEY) -> HealthSettings:
    return HealthSettings(
        controller_ip_port_list=targets, heartbeat_interval=interval, heartbeat_key=key
    )


def opened(data: bytes, key: str = KEY) -> Any:
    """What a receiver reads, or AssertionError where it would drop it."""
    payload, digest = data[:-64], data[-64:]
    assert hmac.new(key.encode(), payload, hashlib.sha256).hexdigest().encode() == digest
    return json.loads(zlib.decompress(payload))


@contextmanager
def receivers(count: int, family: int = socket.AF_INET) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            receiver = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            receiver.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
            receiver.settimeout(20)
            found.append(receiver)
        yield found


def target(receiver: socket.socket) -> HostPort:
    name = receiver.getsockname()
    return HostPort(name[0], name[1])


def make(
    asked: Callable[[], HealthSettings],
    *,
    snapshot: Callable[[], Snapshot] = lambda: SERVING,
    fit: Callable[[], bool] = lambda: True,
) -> Heartbeat:
    return Heartbeat(amphora_id=ID, settings=asked, snapshot=snapshot, fit=fit)


def test_message_says_what_serves_with_totals() -> None:
    assert message(SERVING, amphora_id=ID, sequence=7) == {
        "id": ID,
        "seq": 7,
        "listeners": {
            LISTENER: {
                "status": "OPEN",
                "stats": {"tx": 22, "rx": 11, "conns": 3, "totconns": 44, "ereq": 5},
            }
        },
        "pools": {
            f"{POOL}:{LISTENER}": {
                "status": "UP",
                "members": {MEMBER: "UP 1/2", "other": "no check"},
            }
        },
        "ver": 2,
    }


def test_packet_is_right_to_the_byte() -> None:
    # zlib of level 9, then the digest in hexadecimal: of '{"id": "x"}' under the key "k"
    payload = zlib.compress(b'{"id": "x"}', 9)
    assert payload[:2] == b"\x78\xda"
    digest = hmac.new(b"k", payload, "sha256").hexdigest()
    assert packet({"id": "x"}, "k") == payload + digest.encode()


@given(st.dictionaries(st.text(), st.integers()), st.text(max_size=70))
def test_whatever_is_said_can_be_opened_with_the_key_and_no_other(
    said: dict[str, int], key: str
) -> None:
    key = key.encode("utf-8", "ignore").decode()
    data = packet(said, key)
    assert opened(data, key) == said
    with pytest.raises(AssertionError):
        opened(data, key + "x")


def test_controllers_take_turns() -> None:
    with receivers(3) as found:
        heartbeat = make(lambda: settings(*map(target, found)))
        sent = [heartbeat.beat() for _ in range(6)]
        assert sent == [target(receiver) for receiver in found] * 2
        numbers = [opened(receiver.recv(65536))["seq"] for receiver in found * 2]
    assert numbers == [0, 1, 2, 3, 4, 5]


def test_heartbeats_go_by_ipv6_too() -> None:
    with receivers(1, socket.AF_INET6) as (receiver,):
        make(lambda: settings(target(receiver))).beat()
        assert opened(receiver.recv(65536))["id"] == ID


def test_unreachable_controller_does_not_keep_the_next_from_hearing() -> None:
    with receivers(1) as (receiver,):
        nowhere = [HostPort("no.such.host.invalid", 5555), HostPort("255.255.255.255", 9)]
        heartbeat = make(lambda: settings(*nowhere, target(receiver)))
        for _ in range(3):
            heartbeat.beat()
        assert opened(receiver.recv(65536))["seq"] == 2


def test_nothing_is_sent_while_the_node_is_not_fit_and_it_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fit = False
    with receivers(1) as (receiver,), caplog.at_level(logging.INFO):
        heartbeat = make(lambda: settings(target(receiver)), fit=lambda: fit)
        assert heartbeat.beat() is None
        assert heartbeat.beat() is None
        assert caplog.text.count("no heartbeat is sent") == 1
        fit = True
        assert heartbeat.beat() == target(receiver)
        assert opened(receiver.recv(65536))["seq"] == 0
        assert caplog.text.count("heartbeats are sent again") == 1


def test_without_a_controller_nothing_is_sent_nor_looked_at() -> None:
    def snapshot() -> Snapshot:
        raise AssertionError("looked at")

    assert make(settings, snapshot=snapshot).beat() is None


def test_message_too_large_for_a_datagram_is_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    # Random names, since zlib would make short work of others
    many = tuple(
        Listener(
            id=hashlib.sha256(str(number).encode()).hexdigest(),
            loadbalancer_id="lb",
            type="HTTP",
            status="OPEN",
        )
        for number in range(2500)
    )
    with receivers(1) as (receiver,):
        heartbeat = make(
            lambda: settings(target(receiver)), snapshot=lambda: Snapshot(listeners=many)
        )
        assert heartbeat.beat() is None
    assert "fits into no datagram" in caplog.text


def test_key_list_and_interval_change_while_it_runs() -> None:
    with receivers(2) as (one, other):
        now = settings(target(one))
        heartbeat = make(lambda: now)
        heartbeat.start()
        try:
            assert opened(one.recv(65536))["seq"] == 0
            # When all three change, and that is told
            now = settings(target(other), interval=1, key="another key")
            heartbeat.changed()
            # Then the next is not waited for by the old interval, and goes by the new ones
            assert opened(other.recv(65536), "another key")["seq"] == 1
            assert opened(other.recv(65536), "another key")["seq"] == 2
        finally:
            heartbeat.stop()


def test_fault_of_one_beat_does_not_end_the_heart() -> None:
    faults = iter([RuntimeError("once"), None])

    def snapshot() -> Snapshot:
        fault = next(faults, None)
        if fault is not None:
            raise fault
        return SERVING

    with receivers(1) as (receiver,):
        heartbeat = make(lambda: settings(target(receiver), interval=1), snapshot=snapshot)
        heartbeat.start()
        try:
            assert opened(receiver.recv(65536))["id"] == ID
        finally:
            heartbeat.stop()
