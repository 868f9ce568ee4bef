"""Certificates are exchanged under a stream of jobs, and not one of them is lost."""

from __future__ import annotations

import threading

from libra_common.jobs import Job, JobClient, JobWorker, TlsFiles
from tests.support.gate import Gate, Papers
from tests.support.wait import until

ROTATIONS = 20
SENDERS = 3


class Answers:
    """What each sender sent and got."""

    def __init__(self, gate: Gate, tls: TlsFiles) -> None:
        self.client = JobClient(servers=[gate.address], tls=tls)
        self.done = 0
        self.faults: list[str] = []
        self.used: dict[int, JobClient] = {}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(n,)) for n in range(SENDERS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def all_use_it(self) -> bool:
        """Whether each sender has had an answer with the newest certificate."""
        # Not ==, which asks for the names of the files alone.
        return all(self.used.get(one) is self.client for one in range(SENDERS))

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self, sender: int) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            data, client = f"{sender}/{number}".encode(), self.client
            try:
                answer = client.submit("web-1", data, timeout=60)
            except Exception as error:  # noqa: BLE001 - whatever it is, that job is lost
                self.faults.append(f"{data!r}: {error}")
                continue
            if answer != data[::-1]:
                self.faults.append(f"{data!r}: answered {answer!r}")
            self.done += 1
            self.used[sender] = client


def test_twenty_rotations_of_every_certificate_lose_no_job(gate: Gate, papers: Papers) -> None:
    runs: list[bytes] = []

    def handle(job: Job) -> bytes:
        runs.append(job.data)
        return job.data[::-1]

    def worker() -> JobWorker:
        made = JobWorker(
            name="web-1",
            servers=[gate.address],
            slots=2,
            handler=handle,
            on_oversize=lambda _: b"",
            tls=papers.holder("web-1", "node"),
        )
        made.start()
        until(lambda: made.registered, "the worker is registered")
        return made

    # Given a stream of jobs from three senders
    serving = worker()
    answers = Answers(gate, papers.holder("api", "controller"))
    answers.start()
    try:
        for number in range(ROTATIONS):
            # When the gate, the node and the controller get new certificates, as their daemons
            # do it at SIGHUP, and the old ones are revoked
            papers.server()
            gate.reload()
            old_node, old_api = papers.serials["node-web-1"], papers.serials["controller-api"]
            new, old = worker(), serving
            assert old.stop(60)
            serving = new
            tls = papers.holder("api", "controller")
            answers.client = JobClient(servers=[gate.address], tls=tls)
            # What is under way with the old one may end first.
            until(answers.all_use_it, f"jobs go on ({number})", 60)
            papers.authority.revoke(old_node)
            papers.authority.revoke(old_api)
    finally:
        answers.stop()
        serving.stop(10)
    # Then every job was answered rightly, and ran once
    assert answers.faults == []
    assert len(runs) == len(set(runs)) == answers.done
    assert answers.done > SENDERS * ROTATIONS
    assert gate.said.count("reloaded\n") == ROTATIONS
