"""Packets are the same however the network cuts them up."""

from __future__ import annotations

import socket

import pytest
from gearman.errors import ConnectionError as Gone
from gearman.errors import ProtocolError
from hypothesis import given, settings
from hypothesis import strategies as st

from libra_common.jobs.servers import GearmanServer
from libra_common.jobs.wire import HEADER_ROOM, Connection, Cut
from tests.unit.jobs.fakeserver import ECHO_RES, JOB_ASSIGN, JOB_ASSIGN_UNIQ, NOOP, packet

LIMIT = 1000


def connected() -> tuple[Connection, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = Connection(
            server=GearmanServer("127.0.0.1", listener.getsockname()[1]), message_limit=LIMIT
        )
        connection.connect()
        far, _ = listener.accept()
    return connection, far


def commands(connection: Connection) -> list[tuple[int, dict[str, bytes]]]:
    found = []
    while (command := connection.read_command()) is not None:
        found.append(command)
    return found


@settings(max_examples=40)
@given(
    st.lists(
        st.sampled_from([0, 1, 1000, HEADER_ROOM, HEADER_ROOM + 1001, 150_000]),
        min_size=1,
        max_size=4,
    ),
    # One long piece among them, or 600 kB would come byte by byte.
    st.lists(st.integers(1, 200_000), max_size=5).map(lambda pieces: [*pieces, 50_000]),
)
def test_jobs_of_any_size_arrive_in_order_whatever_the_pieces(
    sizes: list[int], pieces: list[int]
) -> None:
    # Given jobs below and above the limit, with a wake-up behind each
    stream = b"".join(
        packet(JOB_ASSIGN_UNIQ, b"H:%d" % size, b"node", b"key", b"d" * size) + packet(NOOP)
        for size in sizes
    )
    connection, far = connected()
    try:
        # When the stream comes in pieces
        found = []
        turn = 0
        while stream:
            piece, stream = (
                stream[: pieces[turn % len(pieces)]],
                stream[pieces[turn % len(pieces)] :],
            )
            turn += 1
            taken = 0
            far.setblocking(True)
            far.sendall(piece)
            while taken < len(piece):
                taken += connection.read_data_from_socket()
                connection.read_commands_from_buffer()
                found += commands(connection)
                # Then what is kept never grows beyond a packet and a turn
                assert len(connection._incoming_buffer) < LIMIT + HEADER_ROOM + 12 + 2**20
    finally:
        connection.close()
        far.close()
    # And every packet arrives, the long ones cut and with their true size
    assert [kind for kind, _ in found] == [JOB_ASSIGN_UNIQ, NOOP] * len(sizes)
    for size, (_, job) in zip(sizes, found[::2], strict=True):
        assert (job["job_handle"], job["task"], job["unique"]) == (b"H:%d" % size, b"node", b"key")
        if isinstance(job["data"], Cut):
            assert job["data"].size == size > LIMIT
        else:
            assert job["data"] == b"d" * size


def test_a_long_job_without_unique_is_cut_too() -> None:
    connection, far = connected()
    with far:
        far.sendall(packet(JOB_ASSIGN, b"H:1", b"node", b"d" * 70_000))
        while not commands_later(connection, JOB_ASSIGN, 70_000):
            pass
    connection.close()


def commands_later(connection: Connection, kind: int, size: int) -> bool:
    connection.read_data_from_socket()
    connection.read_commands_from_buffer()
    found = commands(connection)
    if not found:
        return False
    assert found[0][0] == kind
    assert found[0][1]["data"].size == size  # type: ignore[attr-defined]
    return True


@given(st.binary(min_size=1, max_size=200))
def test_random_bytes_are_waited_for_or_refused_and_nothing_else(noise: bytes) -> None:
    connection, far = connected()
    try:
        far.sendall(noise)
        while not connection.read_data_from_socket():
            pass
        try:
            connection.read_commands_from_buffer()
        except ProtocolError:
            return
        assert b"\0RES".startswith(noise[:4])
    finally:
        connection.close()
        far.close()


def test_what_came_before_the_end_is_still_read() -> None:
    connection, far = connected()
    with far:
        far.sendall(packet(ECHO_RES, b"1") + packet(NOOP))
    while not (found := connection.read_data_from_socket()):
        pass
    assert found
    connection.read_commands_from_buffer()
    assert len(commands(connection)) == 2
    with pytest.raises(Gone, match="closed the connection"):
        read_for_ever(connection)


def read_for_ever(connection: Connection) -> None:
    while True:
        connection.read_data_from_socket()


def test_nothing_to_read_is_not_an_error_and_does_not_wait() -> None:
    connection, far = connected()
    with far:
        assert connection.read_data_from_socket() == 0
        assert connection.flush() == 0
    connection.close()


def test_the_socket_is_kept_alive_and_does_not_delay_small_packets() -> None:
    connection, far = connected()
    with far:
        opened: socket.socket = connection.gearman_socket
        tcp = {
            socket.TCP_NODELAY: 1,
            socket.TCP_KEEPIDLE: 30,
            socket.TCP_KEEPINTVL: 10,
            socket.TCP_KEEPCNT: 3,
            socket.TCP_USER_TIMEOUT: 60_000,
        }
        for option, value in tcp.items():
            assert opened.getsockopt(socket.IPPROTO_TCP, option) == value
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    connection.close()
