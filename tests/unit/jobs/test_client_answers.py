"""How a node's answer is read."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_client.client import BadAnswer, Client, Result, read_answer
from libra_common.errors import SettingsError
from tests.unit.jobs.fakeserver import JOB_CREATED, SUBMIT_JOB, WORK_COMPLETE, FakeServer, packet


def read(answer: Any) -> Result:
    return read_answer(json.dumps(answer).encode(), elapsed=0.5)


def test_pass_is_ok() -> None:
    result = read({"hpcs_action": "STATS", "hpcs_response": "PASS"})
    assert result.ok
    assert (result.response, result.error, result.bad_request) == ("PASS", None, None)
    assert result.answer["hpcs_action"] == "STATS"
    assert result.elapsed == 0.5


def test_fail_gives_its_reason_and_its_code() -> None:
    result = read({"hpcs_response": "FAIL", "hpcs_error": "no", "hpcs_error_code": "no_lb"})
    assert (result.ok, result.error, result.error_code) == (False, "no", "no_lb")


def test_fail_without_a_reason_has_the_usual_one() -> None:
    assert read({"hpcs_response": "FAIL"}).error == "Load Balancer error"


def test_a_malformed_message_is_looked_at_before_the_response() -> None:
    faults = {"validationErrors": {"message": "port: too big"}}
    result = read({"hpcs_response": "PASS", "badRequest": faults})
    assert not result.ok
    assert result.bad_request == result.error == "port: too big"


@pytest.mark.parametrize("faults", [None, "text", {}, {"validationErrors": 3}, [1]])
def test_a_bad_request_of_another_shape_is_shown_as_it_is(faults: Any) -> None:
    result = read({"badRequest": faults, "hpcs_response": "FAIL"})
    assert result.bad_request == json.dumps(faults)


def test_an_answer_without_response_is_no_success() -> None:
    result = read({"hpcs_action": "UPDATE"})
    assert not result.ok
    assert result.error == "the answer has no hpcs_response"


@pytest.mark.parametrize("raw", [b"", b"PASS", b"[]", b"3", b"{", b"\xff", b"null"])
def test_what_is_no_json_object_is_a_bad_answer(raw: bytes) -> None:
    with pytest.raises(BadAnswer):
        read_answer(raw, elapsed=0)


@given(st.binary(max_size=60) | st.just(b"[" * 100_000))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with contextlib.suppress(BadAnswer):
        assert isinstance(read_answer(raw, elapsed=0).answer, dict)


@pytest.mark.parametrize(
    "action", ["suspend", "enable", "delete", "discover", "stats", "diagnostics", "update"]
)
def test_each_method_sends_its_action_to_the_node(action: str) -> None:
    sent: list[bytes] = []

    def echo(peer: Any) -> None:
        function, _, data = peer.expect(SUBMIT_JOB).split(b"\0", 2)
        sent.extend([function, data])
        answer = json.dumps({**json.loads(data), "hpcs_response": "PASS"}).encode()
        peer.send(packet(JOB_CREATED, b"H:1"), packet(WORK_COMPLETE, b"H:1", answer))
        peer.hold()

    with FakeServer(echo) as server:
        client = Client([f"127.0.0.1:{server.port}"])
        extra: list[Any] = [{"loadBalancers": []}] if action == "update" else []
        result = getattr(client, action)("lb-1", *extra, timeout=20)
    assert result.ok
    assert sent[0] == b"lb-1"
    assert json.loads(sent[1])["hpcs_action"] == action.upper()


def test_a_malformed_server_is_refused_at_once() -> None:
    with pytest.raises(SettingsError):
        Client(["host:port"])
