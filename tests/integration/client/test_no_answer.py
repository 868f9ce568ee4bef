"""What people are told when no answer comes, or one that is none."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from libra_client.cli.exits import Exit
from libra_common.jobs import AdminClient, Job, JobWorker, parse_server
from tests.integration.client.conftest import COMMAND, Libra
from tests.support.gearmand import Gearmand
from tests.support.ports import free_port
from tests.support.wait import until

MakeNode = Callable[[Callable[[Job], bytes]], str]


@pytest.fixture
def make_node(gearmand: Gearmand) -> Iterator[MakeNode]:
    """Register something that answers as a node would, or not; return its name."""
    made: list[JobWorker] = []

    def make(handler: Callable[[Job], bytes]) -> str:
        name = f"strange-{len(made)}"
        worker = JobWorker(
            name=name,
            slots=1,
            handler=handler,
            on_oversize=lambda size: str(size).encode(),
            servers=[parse_server(gearmand.address)],
        )
        made.append(worker)
        worker.start()
        until(lambda: worker.registered, "the strange node is registered")
        return name

    yield make
    for worker in made:
        worker.stop(5)


@pytest.fixture
def silent(make_node: MakeNode) -> Iterator[str]:
    """A node that takes a job and does not answer."""
    asked: list[bytes] = []
    done: list[bool] = []

    def wait(job: Job) -> bytes:
        asked.append(job.data)
        until(lambda: done, "the test is over", 60)
        return b"{}"

    yield make_node(wait)
    done.append(True)


@pytest.mark.parametrize("words", [("stats",), ("suspend",), ("delete", "--yes"), ("discover",)])
def test_a_name_that_nobody_serves_is_said_to_be_so(
    libra: Libra, gearmand: Gearmand, words: tuple[str, ...]
) -> None:
    # Given a gearmand that knows no such node / When it is asked, with a short time
    ran = libra(words[0], "nobody", *words[1:], "--timeout", "0.5")
    # Then the reason is the name, not only the time
    assert (ran.code, ran.out) == (Exit.NO_ANSWER, "")
    assert ran.err.startswith("libra: no answer from 'nobody' within 0.5 s")
    assert "no node serves that name" in ran.err
    assert gearmand.address in ran.err


def test_a_name_that_is_nearly_right_is_corrected(libra: Libra, make_node: MakeNode) -> None:
    # Given a node / When its name is mistyped
    name = make_node(lambda _: b"{}")
    ran = libra("stats", name.replace("g", "gg"), "--timeout", "0.5")
    # Then the right one is proposed
    assert ran.code == Exit.NO_ANSWER
    assert f"did you mean '{name}'?" in ran.err


def test_a_job_for_nobody_does_not_wait_for_a_node_of_that_name(
    libra: Libra, make_node: MakeNode
) -> None:
    # Given a change that was sent to a name before its node is there
    assert libra("suspend", "strange-0", "--timeout", "0.5").code == Exit.NO_ANSWER
    # When the node comes
    jobs: list[bytes] = []

    def answer(job: Job) -> bytes:
        jobs.append(job.data)
        return json.dumps({"hpcs_response": "PASS"}).encode()

    name = make_node(answer)
    assert name == "strange-0"
    # Then it gets only what is sent from now on
    assert libra("discover", name).code == Exit.OK
    assert [json.loads(job)["hpcs_action"] for job in jobs] == ["DISCOVER"]


def test_a_node_that_is_there_and_does_not_answer_may_still_do_it(
    libra: Libra, silent: str
) -> None:
    # Given a node that is busy / When a change does not end in time
    ran = libra("enable", silent, "--timeout", "0.5")
    # Then it is not said to be away, and what to look at is named
    assert (ran.code, ran.out) == (Exit.NO_ANSWER, "")
    assert "no node serves" not in ran.err
    assert f"may still be done: see libra stats {silent}" in ran.err


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (b"hello", Exit.NO_ANSWER, "the answer is not JSON"),
        (b"[]", Exit.NO_ANSWER, "the answer is not a JSON object"),
        (b"{}", Exit.FAIL, "the answer has no hpcs_response"),
        (b'{"hpcs_response": "FAIL"}', Exit.FAIL, "Load Balancer error"),
        (b'{"hpcs_response": "PASS", "badRequest": 1}', Exit.FAIL, "FAIL: 1"),
        (b'{"hpcs_response": "FAIL", "hpcs_error": "a\\u001b[2Jb"}', Exit.FAIL, r"a\x1b[2Jb"),
    ],
)
def test_an_answer_that_is_not_a_nodes_is_never_a_success(
    libra: Libra, make_node: MakeNode, answer: bytes, code: Exit, said: str
) -> None:
    # Given something that answers otherwise than a node
    name = make_node(lambda _: answer)
    # Then the exit code and the reason say so, with nothing in it that a terminal obeys
    ran = libra("stats", name)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert "\x1b" not in ran.err


@pytest.mark.parametrize(
    "answer",
    [
        {"hpcs_response": "PASS"},
        {"hpcs_response": "PASS", "nodes": 5, "gearman": "x", "haproxy": [1], "limits": None},
        {"hpcs_response": "PASS", "nodes": [1, {"id": {}}], "gearman": [{}], "totals": [None]},
    ],
)
@pytest.mark.parametrize(
    "words", [("stats",), ("discover",), ("diagnostics",), ("delete", "--yes")]
)
def test_a_node_of_another_release_may_leave_out_or_change_what_it_adds(
    libra: Libra, make_node: MakeNode, answer: dict[str, object], words: tuple[str, ...]
) -> None:
    # Given a node that answers PASS with less, or other, than this release
    name = make_node(lambda _: json.dumps(answer).encode())
    # Then it is still PASS, and what is there is shown
    ran = libra(words[0], name, *words[1:])
    assert (ran.code, ran.err) == (Exit.OK, "")


def test_the_next_server_is_used_when_the_first_is_away(
    libra: Libra, make_node: MakeNode, gearmand: Gearmand
) -> None:
    # Given a first server where nobody listens
    name = make_node(lambda _: b'{"hpcs_response": "PASS"}')
    away = f"127.0.0.1:{free_port()}"
    # When both are named / Then the node answers through the second
    ran = libra("discover", name, "--server", away, "--server", gearmand.address)
    assert ran.code == Exit.OK


def test_interrupted_while_waiting_the_command_says_that_it_may_still_be_done(
    silent: str, gearmand: Gearmand, tmp_path: Path
) -> None:
    # Given a command that waits for a busy node
    process = subprocess.Popen(
        [*COMMAND, "--server", gearmand.address, "suspend", silent],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    admin = AdminClient(server=parse_server(gearmand.address))
    until(
        lambda: any(one.name == silent and one.running for one in admin.status()),
        "the node works on it",
    )
    # When it is interrupted
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    # Then it ends at once, without a traceback
    assert (process.returncode, out) == (Exit.INTERRUPTED, "")
    assert err == "libra: interrupted; what was sent may still be carried out\n"
