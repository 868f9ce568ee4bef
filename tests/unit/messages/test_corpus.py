"""Every message of the corpus: a case is a file, a new case needs no code.

`accepted/NAME.json` must parse. `refused/NAME.json` must not; `NAME.expect` beside it holds the
code on its first line, then one text a line, each of which the error must contain.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from libra_messages.answers import ANSWER_FIELDS, encode, from_malformed, passed
from libra_messages.decode import decode
from libra_messages.faults import Malformed
from libra_messages.fold import ascii_lower
from libra_messages.worker import action_of, parse

CORPUS = Path(__file__).parents[2] / "corpus" / "messages"
MAX_NODES = 20


def cases(folder: str) -> list[Any]:
    files = sorted((CORPUS / folder).glob("*.json"))
    assert files, f"no message in {CORPUS / folder}"
    return [pytest.param(file, id=file.stem) for file in files]


def refusal(data: bytes) -> tuple[dict[str, Any] | None, Malformed]:
    """Return the message, where it is an object, and why it is refused."""
    message = None
    try:
        message = decode(data)
        parse(message, max_nodes=MAX_NODES)
    except Malformed as malformed:
        return message, malformed
    pytest.fail("the message was accepted")


@pytest.mark.parametrize("file", cases("accepted"))
def test_an_accepted_message_is_echoed_as_it_came(file: Path) -> None:
    # Given a message that a worker must take
    message = decode(file.read_bytes())
    # When it is parsed and answered
    request = parse(message, max_nodes=MAX_NODES)
    answer = json.loads(encode(passed(message)))
    # Then its action is known, and the answer is the message plus hpcs_response
    assert action_of(message) == request.action
    assert answer.pop("hpcs_response") == "PASS"
    ours = {ascii_lower(name) for name in ANSWER_FIELDS}
    assert list(answer.items()) == [
        (name, value) for name, value in message.items() if ascii_lower(name) not in ours
    ]


@pytest.mark.parametrize("file", cases("refused"))
def test_a_refused_message_is_told_its_code_and_every_fault(file: Path) -> None:
    # Given a message that a worker must refuse, and what it must be told
    code, *texts = file.with_suffix(".expect").read_text("utf-8").splitlines()
    # When it is decoded and parsed
    message, malformed = refusal(file.read_bytes())
    # Then the code and all of the texts are there
    assert malformed.code == code
    for text in texts:
        assert text in str(malformed)
    # And the error is one short printable line, and its answer can be sent
    assert str(malformed).isprintable()
    assert all(len(str(fault)) < 300 for fault in malformed.faults)
    answer = json.loads(encode(from_malformed(message, malformed)))
    assert answer["hpcs_response"] == "FAIL"
    assert answer["badRequest"]["validationErrors"]["message"] == answer["hpcs_error"]


def test_every_expectation_of_the_corpus_belongs_to_a_message() -> None:
    # Given the expectations
    expected = {file.stem for file in (CORPUS / "refused").glob("*.expect")}
    # Then there is one for each refused message and none too many
    assert expected == {file.stem for file in (CORPUS / "refused").glob("*.json")}
