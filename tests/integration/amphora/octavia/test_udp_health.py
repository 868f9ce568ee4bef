"""Octavia's own health manager takes what is said of a UDP listener and its members.

What the kernel would have is made up here; that it has it is proved in `network/test_lvs`.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from libra_amphora import lvs_config, lvs_report
from libra_amphora.heartbeat import message, packet
from libra_amphora.ip_vs import Row, Table
from libra_amphora.snapshot import Traffic
from tests.integration.amphora.octavia.test_health import counts, says
from tests.support import octavia, octavia_controller

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_health_manager_sees_udp_listeners_members_and_traffic() -> None:
    with octavia.site() as site:
        # Given a UDP listener with a member that answers, one that does not, one out of use
        (node,) = site.nodes
        site.add_balancer()
        site.controller.listen()
        with site.backend("member") as backend:
            pool = site.add_pool(protocol="UDP", monitor="UDP-CONNECT")
            up, down, off = (
                site.add_member(pool, backend, ip_address=f"198.18.0.{number}", enabled=enabled)
                for number, enabled in ((1, True), (2, True), (3, False))
            )
            listener = site.add_listener(port=53, pool=pool, protocol="UDP")
        text = site.controller.do("lvs_text", listener=listener)
        config = lvs_config.read(text.encode())
        key = ("UDP", (octavia.address(octavia.VIP), 53))
        table: Table = {key: {(octavia.address("198.18.0.1"), backend.port): Row(1, 2, 3)}}
        # When the node tells of it
        snapshot = lvs_report.snapshot(
            [lvs_report.View(id=listener, config=config, should_run=True, runs=True)],
            table=table,
            traffic={key: Traffic(bytes_in=1000, bytes_out=2000, total_connections=30)},
            total=lambda _, __, traffic: traffic,
        )
        said = message(snapshot, amphora_id=node.id, sequence=1)
        with beating(packet(said, octavia_controller.KEY), site.controller.health_port):
            # Then its controller has it all
            expected = {listener: "ONLINE", pool: "DEGRADED", up: "ONLINE", down: "ERROR"}
            says(site, lambda found: {id_: found[id_] for id_ in expected} == expected)
            counts(site, listener, [1000, 2000, 30])
        assert site.controller.do("statuses")[off] == "OFFLINE"
        assert node.id in site.controller.do("beats")


@contextlib.contextmanager
def beating(data: bytes, port: int) -> Iterator[None]:
    """Send this each second, as a node does: its controller may be busy with the last."""
    ends = threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not ends.is_set():
                sender.sendto(data, ("127.0.0.1", port))
                ends.wait(1.0)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()
