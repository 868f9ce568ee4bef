"""The two protocols on a connection, without a network: order, whole packets, what is under way."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_common.roles import Identity, Role
from libra_gate.binary import BinaryTalk
from libra_gate.packets import (
    HEADER,
    REQUEST,
    RESPONSE,
    Kind,
    Malformed,
    Packet,
    Reader,
    error,
    packet,
)
from libra_gate.text import TextTalk

NODE = Identity(Role.NODE, "web-1")
CONTROLLER = Identity(Role.CONTROLLER, "api")
LIMIT = 10_000


class FakeLink:
    """A connection that remembers what it was told."""

    def __init__(self, who: Identity) -> None:
        self.who = who
        self.packet_limit = LIMIT
        self.server = b""
        self.client = b""
        self.told: list[str] = []
        self.ended = False

    def to_server(self, data: bytes) -> None:
        self.server += data

    def to_client(self, data: bytes) -> None:
        self.client += data

    def may_take(self, function: bytes) -> bool:
        return function != b"web-1/one-too-many"

    def passed(self, what: str, *, job: bool = False) -> None:
        self.told.append(f"passed {what}{job:d}")

    def refused(self, what: str, reason: str) -> None:
        self.told.append(f"refused {what}: {reason}")

    def oversized(self, what: str, size: int) -> None:
        self.told.append(f"oversized {what}: {size}")

    def go_on(self) -> None:
        self.told.append("go on")

    def end(self, reason: str) -> None:
        self.ended = bool(reason)

    def packets(self, data: bytes, magic: bytes) -> list[tuple[int, bytes]]:
        reader, found = Reader(magic=magic), []
        reader.feed(data)
        while (one := reader.next()) is not None:
            if isinstance(one, Packet):
                found.append((one.kind, one.head))
            else:
                found[-1] = (found[-1][0], found[-1][1] + one)
        assert reader.between
        return found

    def said(self) -> list[tuple[int, bytes]]:
        """The packets that the client got."""
        return self.packets(self.client, RESPONSE)

    def sent(self) -> list[tuple[int, bytes]]:
        """The packets that gearmand got."""
        return self.packets(self.server, REQUEST)


def talk(who: Identity) -> tuple[FakeLink, BinaryTalk]:
    link = FakeLink(who)
    return link, BinaryTalk(link)


def hear(one: BinaryTalk | TextTalk, data: bytes) -> None:
    one.feed(data)
    while one.step():
        pass


def request(kind: int, *fields: bytes) -> bytes:
    return packet(REQUEST, kind, *fields)


def response(kind: int, *fields: bytes) -> bytes:
    return packet(RESPONSE, kind, *fields)


@given(
    asked=st.lists(
        st.sampled_from(
            [
                request(Kind.ECHO_REQ, b"x" * 5000),
                request(Kind.SUBMIT_JOB, b"web-1", b"u", b"data"),
                request(Kind.GRAB_JOB),
                request(Kind.WORK_COMPLETE, b"H:1", b"y" * 3000),
                request(Kind.SUBMIT_JOB, b"web-1", b"u", bytes(LIMIT)),
            ]
        ),
        max_size=8,
    ),
    answers=st.lists(
        st.sampled_from([response(Kind.ECHO_RES, b"z" * 5000), response(Kind.JOB_CREATED, b"H:1")]),
        max_size=8,
    ),
    cuts=st.lists(st.integers(0, 100_000), max_size=10),
    turns=st.lists(st.booleans(), max_size=30),
)
def test_both_ways_are_whole_packets_whatever_is_refused_and_whenever(
    asked: list[bytes], answers: list[bytes], cuts: list[int], turns: list[bool]
) -> None:
    # Given a controller, who may submit and echo and nothing else, and answers in any pieces
    link, one = talk(CONTROLLER)
    streams = []
    for data in (b"".join(asked), b"".join(answers)):
        places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
        streams.append([data[a:b] for a, b in pairwise(places)])
    # When the two directions come in any order
    for first in [*turns, *[True] * 40, *[False] * 40]:
        pieces = streams[0] if first else streams[1]
        if pieces and first:
            hear(one, pieces.pop(0))
        elif pieces:
            one.from_server(pieces.pop(0))
    # Then gearmand gets what was allowed, in order, and the client all answers and each refusal
    allowed = [item for item in asked if _passes(item)]
    assert link.server == b"".join(allowed)
    said = [item for item in link.said() if item[0] != Kind.ERROR]
    assert b"".join(response(*item) for item in said) == b"".join(answers)
    assert len(link.said()) - len(said) == len(asked) - len(allowed)


def _passes(data: bytes) -> bool:
    kind = HEADER.unpack_from(data)[1]
    return kind in {Kind.ECHO_REQ, Kind.SUBMIT_JOB} and len(data) < LIMIT


def test_a_refusal_waits_for_the_packet_that_is_under_way() -> None:
    link, one = talk(CONTROLLER)
    answer = response(Kind.ECHO_RES, bytes(9000))
    one.from_server(answer[:8000])
    hear(one, request(Kind.GRAB_JOB))
    assert link.client == answer[:8000]
    one.from_server(answer[8000:])
    assert [kind for kind, _ in link.said()] == [Kind.ECHO_RES, Kind.ERROR]


def test_an_answer_over_the_limit_fails_its_job() -> None:
    link, one = talk(NODE)
    hear(one, request(Kind.WORK_COMPLETE, b"H:1", bytes(LIMIT)))
    assert link.sent() == [(Kind.WORK_FAIL, b"H:1")]
    assert link.said()[0][1].startswith(b"TOO_LARGE\0")
    assert not link.ended
    # And what comes behind it is heard
    hear(one, request(Kind.PRE_SLEEP))
    assert link.sent()[-1] == (Kind.PRE_SLEEP, b"")


def test_a_refused_registration_ends_and_a_refused_job_does_not() -> None:
    for data, ends in (
        (request(Kind.CAN_DO, b"web-2"), True),
        (request(Kind.SET_CLIENT_ID, b"web-2/1"), True),
        (request(Kind.CAN_DO, b"web-1/one-too-many"), True),
        (request(Kind.CAN_DO_TIMEOUT, b"web-1/one-too-many", b"5"), True),
        (request(Kind.SUBMIT_JOB, b"web-1", b"u", b""), False),
    ):
        link, one = talk(NODE)
        hear(one, data)
        assert (link.ended, link.server) == (ends, b"")
        assert link.said()[0][0] == Kind.ERROR


@pytest.mark.parametrize(
    "ending",
    [
        [response(Kind.JOB_CREATED, b"H:1"), response(Kind.WORK_COMPLETE, b"H:1", b"x")],
        [response(Kind.JOB_CREATED, b"H:1"), response(Kind.WORK_FAIL, b"H:1")],
        [error("JOB_QUEUE_FULL", "no room")],
    ],
)
def test_a_client_is_busy_until_its_job_is_answered(ending: list[bytes]) -> None:
    _, one = talk(CONTROLLER)
    assert not one.busy
    hear(one, request(Kind.SUBMIT_JOB, b"web-1", b"u", b""))
    for answer in ending:
        assert one.busy
        one.from_server(answer)
    assert not one.busy


def test_a_job_in_the_background_is_under_way_until_it_is_created() -> None:
    _, one = talk(CONTROLLER)
    hear(one, request(Kind.SUBMIT_JOB_BG, b"web-1", b"u", b""))
    assert one.busy
    one.from_server(response(Kind.JOB_CREATED, b"H:1"))
    assert not one.busy


def test_a_worker_is_busy_from_its_request_to_its_answer() -> None:
    _, one = talk(NODE)
    hear(one, request(Kind.CAN_DO, b"web-1") + request(Kind.PRE_SLEEP))
    assert not one.busy
    hear(one, request(Kind.GRAB_JOB))
    assert one.busy
    one.from_server(response(Kind.NO_JOB))
    assert not one.busy
    hear(one, request(Kind.GRAB_JOB_UNIQ))
    one.from_server(response(Kind.JOB_ASSIGN_UNIQ, b"H:1", b"web-1", b"u", b"data"))
    assert one.busy
    hear(one, request(Kind.WORK_COMPLETE, b"H:1", b""))
    assert not one.busy


def test_what_is_missing_is_told_while_a_packet_is_under_way() -> None:
    _, one = talk(CONTROLLER)
    assert one.missing is None
    data = request(Kind.ECHO_REQ, bytes(5000))
    hear(one, data[:2])
    assert one.missing == 1
    hear(one, data[2:4000])
    assert one.missing == len(data) - 4000
    hear(one, data[4000:])
    assert one.missing is None


def test_nonsense_from_gearmand_is_seen() -> None:
    _, one = talk(CONTROLLER)
    with pytest.raises(Malformed):
        one.from_server(b"OK 1.1.20\n")


def test_commands_are_answered_one_after_the_other() -> None:
    # Given three commands in one breath, of which one is refused
    link = FakeLink(CONTROLLER)
    one = TextTalk(link)
    hear(one, b"status\nshutdown\nversion\n")
    # Then gearmand gets the first, and the next only when that is answered
    assert link.server == b"status\n"
    assert one.busy
    one.from_server(b"web-1\t0\t0\t1\n")
    one.from_server(b".\n")
    assert link.told[-1] == "go on"
    hear(one, b"")
    assert link.server == b"status\nversion\n"
    one.from_server(b"OK 1\n")
    lines = link.client.splitlines()
    assert lines[:2] == [b"web-1\t0\t0\t1", b"."]
    assert lines[2].startswith(b"ERR NOT_ALLOWED")
    assert lines[3] == b"OK 1"
    assert not one.busy


def test_a_line_without_end_is_not_collected() -> None:
    one = TextTalk(FakeLink(CONTROLLER))
    hear(one, b"x" * 1000)
    assert one.missing == 1
    with pytest.raises(Malformed):
        hear(one, b"x" * 1000)
