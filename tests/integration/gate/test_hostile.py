"""Whoever does not play by the rules hurts nobody: a stream of jobs goes on beside them."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from libra_common.jobs import JobClient, JobFailed, NoServer, TlsFiles
from libra_gate.packets import HEADER, REQUEST, Kind, packet
from tests.integration.gate.conftest import MakeGate, MakeWorker
from tests.support.gate import Gate, Papers, Raw
from tests.support.gearmand import Gearmand
from tests.support.wait import until

SILENT = 400


@pytest.fixture(name="strict")
def _strict(make_gate: MakeGate, gearmand: Gearmand) -> Gate:
    """A gate that has little patience, so that tests need not have more."""
    return make_gate(gearmand, handshake_timeout=2, packet_timeout=2)


@pytest.fixture(name="api")
def _api(papers: Papers) -> TlsFiles:
    return papers.holder("api", "controller")


class Stream:
    """Jobs one after the other, each answer compared, until told to stop."""

    def __init__(self, gate: Gate, tls: TlsFiles) -> None:
        self.done = 0
        self.faults: list[str] = []
        self._client = JobClient(servers=[gate.address], tls=tls)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Stream:
        self._thread.start()
        until(lambda: self.done or self.faults, "the first job is answered")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def more(self, jobs: int = 5) -> None:
        """Wait until that many more are answered; none has failed."""
        wanted = self.done + jobs
        until(lambda: self.done >= wanted or self.faults, "the stream goes on", 60)
        assert self.faults == []

    def _run(self) -> None:
        while not self._stop.is_set():
            data = random.randbytes(random.randrange(2000))
            try:
                answer = self._client.submit("web-1", data, timeout=30)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test fails by it
                self.faults.append(repr(error))
                return
            if answer != data[::-1]:
                self.faults.append("a wrong answer")
            self.done += 1


@pytest.fixture(name="stream")
def _stream(
    strict: Gate, papers: Papers, make_worker: MakeWorker, api: TlsFiles
) -> Iterator[Stream]:
    make_worker(strict, tls=papers.holder("web-1", "node"))
    with Stream(strict, api) as running:
        yield running
    assert running.faults == []


def _files(gate: Gate) -> int:
    assert gate.process is not None
    return len(list(Path(f"/proc/{gate.process.pid}/fd").iterdir()))


def _rss(gate: Gate) -> int:
    """Bytes of memory."""
    assert gate.process is not None
    pages = Path(f"/proc/{gate.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _connect(gate: Gate) -> socket.socket:
    return socket.create_connection(("127.0.0.1", gate.port), timeout=30)


def _hung_up(opened: socket.socket) -> bool:
    """Whether the gate has ended a connection; waits for it."""
    try:
        while opened.recv(65536):
            pass
    except ConnectionResetError:
        return True
    return True


def test_four_hundred_silent_clients_are_hung_up_on_and_cost_nobody_anything(
    strict: Gate, stream: Stream
) -> None:
    # Given a stream of jobs, and 400 connections that send nothing
    before = _files(strict)
    silent = [_connect(strict) for _ in range(SILENT)]
    until(lambda: _files(strict) > before + SILENT // 2, "the gate has them")
    # Then jobs go on
    stream.more()
    # And each of the silent ones is ended
    assert all(_hung_up(one) for one in silent)
    until(lambda: _files(strict) <= before + 20, "nothing is left of them")
    for one in silent:
        one.close()


def test_four_hundred_clients_with_papers_and_nothing_to_say_cost_little(
    strict: Gate, stream: Stream, papers: Papers
) -> None:
    # Given 400 connections of one holder that end their handshake and say nothing more
    before = _rss(strict)
    context = papers.holder("mute", "controller").context
    silent = [
        context.wrap_socket(_connect(strict), server_hostname="127.0.0.1") for _ in range(SILENT)
    ]
    stream.more()
    # Then they take less than 100 kB each
    assert _rss(strict) - before < SILENT * 100_000
    # And are ended
    for one in silent:
        with contextlib.suppress(ssl.SSLError):
            _hung_up(one)
        one.close()
    stream.more()


_HALVES: dict[str, bytes] = {
    "a header's beginning": b"\0RE",
    "a header without its body": HEADER.pack(REQUEST, Kind.SUBMIT_JOB, 100),
    "half a body": HEADER.pack(REQUEST, Kind.SUBMIT_JOB, 10_000) + b"web-1\0u\0" + bytes(5000),
    "half a line": b"stat",
}


@pytest.mark.parametrize("said", _HALVES.values(), ids=_HALVES.keys())
def test_who_sends_half_a_packet_is_hung_up_on(
    strict: Gate, stream: Stream, papers: Papers, said: bytes
) -> None:
    tls = papers.holder("half", "controller")
    halves = [Raw(strict, tls) for _ in range(20)]
    for one in halves:
        one.socket.sendall(said)
    stream.more()
    assert all(one.ended() for one in halves)
    for one in halves:
        one.socket.close()


@pytest.mark.parametrize("said", [b"\x16\x03\x01", b"\x16\x03\x01\x40\x00" + bytes(100)])
def test_who_sends_half_a_handshake_is_hung_up_on(
    strict: Gate, stream: Stream, said: bytes
) -> None:
    opened = _connect(strict)
    opened.sendall(said)
    stream.more()
    assert _hung_up(opened)
    opened.close()


@pytest.mark.parametrize("seed", range(8))
def test_garbage_is_hung_up_on(strict: Gate, stream: Stream, papers: Papers, seed: int) -> None:
    # Given garbage before TLS, and inside of it
    chance = random.Random(seed)
    plain = _connect(strict)
    with contextlib.suppress(OSError):
        plain.sendall(chance.randbytes(100_000))
    inside = Raw(strict, papers.holder("noise", "controller"))
    with contextlib.suppress(OSError):
        inside.socket.sendall(b"\0" + chance.randbytes(100_000))
    text = Raw(strict, papers.holder("text", "controller"))
    with contextlib.suppress(OSError):
        text.socket.sendall(bytes(chance.randrange(1, 128) for _ in range(100_000)))
    # Then each is ended, and the jobs go on
    stream.more()
    assert _hung_up(plain)
    assert inside.ended()
    assert text.ended()
    for opened in (plain, inside.socket, text.socket):
        opened.close()


def test_packets_of_16_mb_are_refused_in_the_protocol_and_kept_nowhere(
    strict: Gate, stream: Stream, papers: Papers
) -> None:
    # Given jobs of 16 MB, ten at once, on connections that are used again afterwards
    before = _rss(strict)
    tls = papers.holder("big", "controller")
    body = b"web-1\0u\0" + bytes(16 * 2**20)
    found: list[str] = []

    def send() -> None:
        with Raw(strict, tls, timeout=60) as raw:
            raw.send(Kind.SUBMIT_JOB, body)
            refused = raw.receive()
            raw.send(Kind.ECHO_REQ, b"still here")
            if refused and refused[1].startswith(b"TOO_LARGE\0") and raw.receive():
                found.append("refused")

    threads = [threading.Thread(target=send) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Then each is refused with a reason, jobs go on, and the gate is no bigger for it
    assert found == ["refused"] * 10
    stream.more()
    assert _rss(strict) - before < 32 * 2**20


def test_a_length_of_four_gigabytes_ends_the_connection(strict: Gate, api: TlsFiles) -> None:
    with Raw(strict, api) as raw:
        raw.socket.sendall(
            HEADER.pack(REQUEST, Kind.SUBMIT_JOB, 2**32 - 1) + b"f\0u\0" + bytes(4000)
        )
        found = raw.receive()
        assert found is not None
        assert found[1].startswith(b"TOO_LARGE\0")
        assert raw.ended()


def test_an_answer_that_is_too_long_fails_its_job_and_leaves_nobody_waiting(
    strict: Gate, papers: Papers, make_worker: MakeWorker, api: TlsFiles
) -> None:
    # Given a worker that answers more than the gate lets through
    make_worker(
        strict,
        tls=papers.holder("web-1", "node"),
        slots=1,
        handler=lambda job: bytes(9 * 2**20) if job.data == b"long" else b"short",
    )
    client = JobClient(servers=[strict.address], tls=api)
    # Then its client is told, and the slot goes on
    with pytest.raises(JobFailed):
        client.submit("web-1", b"long", timeout=60)
    assert client.submit("web-1", b"", timeout=60) == b"short"


def test_who_does_not_read_answers_is_hung_up_on_and_the_gate_collects_nothing(
    strict: Gate, stream: Stream, papers: Papers
) -> None:
    # Given a client that asks for 4 GB of echoes and reads none
    before = _rss(strict)
    raw = Raw(strict, papers.holder("deaf", "controller"), timeout=2)
    asked = packet(REQUEST, Kind.ECHO_REQ, bytes(2**20))
    with contextlib.suppress(OSError):
        for _ in range(4096):
            raw.socket.sendall(asked)
    # Then it is ended, jobs go on, and nothing was collected
    stream.more()
    assert _rss(strict) - before < 64 * 2**20
    until(lambda: "controller deaf is too slow" in strict.said, "it is ended")
    raw.socket.close()


def test_a_flood_of_packets_slows_its_own_sender_down_and_nobody_else(
    make_gate: MakeGate, gearmand: Gearmand, papers: Papers, make_worker: MakeWorker
) -> None:
    # Given a limit of 100 packets a second for each name, and a client that sends 2,000 at once
    gate = make_gate(gearmand, packets_per_second=100)
    make_worker(gate, tls=papers.holder("web-1", "node"))
    flood = b"".join(packet(REQUEST, Kind.ECHO_REQ, b"%d" % number) for number in range(500))
    with (
        Stream(gate, papers.holder("api", "controller")) as stream,
        Raw(gate, papers.holder("flood", "controller"), timeout=60) as raw,
    ):
        raw.socket.sendall(flood)
        stream.more(3)
        # Then every one of its packets is answered, in order, if later
        for number in range(500):
            assert raw.receive() == (Kind.ECHO_RES, b"%d" % number)
    assert stream.faults == []


def test_one_name_cannot_take_all_connections(
    make_gate: MakeGate, gearmand: Gearmand, papers: Papers, api: TlsFiles
) -> None:
    gate = make_gate(gearmand, connections_per_name=5)
    greedy = papers.holder("greedy", "controller")
    held = [Raw(gate, greedy) for _ in range(5)]
    assert all(one.ask(b"version").startswith(b"OK") for one in held)
    with pytest.raises(NoServer, match="has 5 connections already"):
        JobClient(servers=[gate.address], tls=greedy).submit("web-1", b"x", timeout=10)
    with Raw(gate, api) as other:
        assert other.ask(b"version").startswith(b"OK")
    # When one of its own is closed, there is room for another
    held.pop().socket.close()
    until(lambda: _gets_in(gate, greedy), "there is room again")
    for one in held:
        one.socket.close()


def _gets_in(gate: Gate, tls: TlsFiles) -> bool:
    with Raw(gate, tls) as raw:
        return raw.ask(b"version").startswith(b"OK")


def test_with_all_connections_taken_the_silent_ones_make_room(
    make_gate: MakeGate, gearmand: Gearmand, api: TlsFiles
) -> None:
    # Given a gate with room for 30, and 100 that do not even begin a handshake
    gate = make_gate(gearmand, connections=30, handshake_timeout=300)
    silent = [_connect(gate) for _ in range(100)]
    # Then whoever has papers gets in
    with Raw(gate, api) as raw:
        assert raw.ask(b"version").startswith(b"OK")
    for one in silent:
        one.close()


def test_many_refused_packets_end_the_connection(gate: Gate, papers: Papers) -> None:
    with Raw(gate, papers.holder("web-1", "node")) as raw:
        with contextlib.suppress(OSError):
            for _ in range(1000):
                raw.send(Kind.SUBMIT_JOB, b"web-2", b"u", b"x")
        assert raw.ended()
    # Once logged, not a thousand times
    assert gate.said.count("refused SUBMIT_JOB of node web-1") == 1
