"""The benchmark's callers: what counts as an answer."""

from __future__ import annotations

import pytest

from tests.bench.asking import NotAnswered, complete

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\n[]"


def test_answer_counts_once_all_of_it_has_come() -> None:
    assert [complete(ANSWER[:size]) for size in range(len(ANSWER))] == [False] * len(ANSWER)
    assert complete(ANSWER)


def test_length_may_be_the_last_header_and_in_small_letters() -> None:
    assert complete(b"HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n")


@pytest.mark.parametrize(
    "other",
    [
        ANSWER.replace(b"200 OK", b"500 Internal Server Error"),
        ANSWER.replace(b"Content-Length", b"Content-Width"),
    ],
)
def test_nothing_but_200_with_a_length_counts(other: bytes) -> None:
    with pytest.raises(NotAnswered):
        complete(other)
