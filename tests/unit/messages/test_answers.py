"""Answers: the request as it came, plus the added fields, and no word that is not the worker's."""

from __future__ import annotations

import json

import pytest

from libra_messages.answers import encode, failed, from_malformed, passed
from libra_messages.codes import Code
from libra_messages.decode import decode
from libra_messages.faults import Fault, Malformed


def test_an_answer_keeps_names_values_and_order_of_the_request() -> None:
    # Given a request in its own spelling
    request = {"Z": [1], "hpcs_ACTION": "dIscover", "a": {"B": None}}
    # When it passes with an added field
    answer = passed(request, version="1.0")
    # Then the request comes first, as it was, and then what was added
    assert list(answer.items()) == [
        *request.items(),
        ("version", "1.0"),
        ("hpcs_response", "PASS"),
    ]


def test_an_answer_replaces_any_casing_of_its_fields() -> None:
    # Given a request that already speaks of the answer's fields, in other casings
    request = {"hpcs_action": "STATS", "HPCS_RESPONSE": "FAIL", "Nodes": 1, "NODES": 2}
    # Then the answer has each of them once
    assert passed(request, nodes=[]) == {
        "hpcs_action": "STATS",
        "nodes": [],
        "hpcs_response": "PASS",
    }


def test_a_stale_verdict_in_a_request_is_never_echoed() -> None:
    # Given an answer that was sent as a request
    stale = failed({"hpcs_action": "STATS"}, error="x", code="deleted", bad_request=True)
    stale |= {"LB_Status": "ACTIVE", "STATUS": "DELETED", "badrequest": 1, "superseded": True}
    # Then nothing of that verdict is in the new one
    assert passed(stale) == {"hpcs_action": "STATS", "hpcs_response": "PASS"}


def test_a_failure_names_its_error_its_code_and_its_fields() -> None:
    # Given a failure that the sender is not to blame for
    answer = failed({}, error="gone", code=Code.DELETED, status="DELETED")
    # Then it has no badRequest
    assert json.loads(encode(answer)) == {
        "status": "DELETED",
        "hpcs_response": "FAIL",
        "hpcs_error": "gone",
        "hpcs_error_code": "deleted",
    }


def test_a_malformed_message_is_a_bad_request() -> None:
    # Given input that was no object
    malformed = Malformed(Code.BAD_JSON, [Fault("", "the message is empty")])
    # Then the answer has the added fields alone
    assert from_malformed(None, malformed) == {
        "hpcs_response": "FAIL",
        "hpcs_error": "the message is empty",
        "hpcs_error_code": "bad_json",
        "badRequest": {"validationErrors": {"message": "the message is empty"}},
    }


def test_lone_surrogates_and_the_token_survive_an_echo() -> None:
    # Given text that UTF-8 does not have, and a token
    text = b'{"hpcs_action": "\\ud800", "hpcs_object_store_token": "T"}'
    # Then they come back as they were sent
    answer = encode(passed(decode(text)))
    assert b'"\\ud800"' in answer
    assert b'"hpcs_object_store_token": "T"' in answer


def test_what_json_does_not_have_is_never_sent() -> None:
    # Given an answer with a number that JSON lacks / Then encoding it is an error here
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode(passed({}, rate=float("nan")))


def test_a_thousand_faults_are_spelled_out_and_the_others_counted() -> None:
    # Given more faults than anyone reads
    malformed = Malformed(Code.MALFORMED_MESSAGE, [Fault(f"a[{n}]", "bad") for n in range(1005)])
    # Then the text is bounded and the faults are all there
    assert str(malformed).endswith("a[999]: bad; and 5 more faults")
    assert len(malformed.faults) == 1005
