"""The packet reader: whatever comes in whatever pieces, what goes on is what came."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_gate.packets import HEAD, HEADER, REQUEST, RESPONSE, Malformed, Packet, Reader, packet

_BODIES = st.one_of(st.binary(max_size=40), st.integers(HEAD - 2, 3 * HEAD).map(bytes))
_PACKETS = st.lists(st.tuples(st.integers(0, 2**32 - 1), _BODIES), max_size=6)


def _pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(places)]


def _all(reader: Reader) -> list[Packet | bytes]:
    found = []
    while (one := reader.next()) is not None:
        found.append(one)
    return found


@given(sent=_PACKETS, cuts=st.lists(st.integers(0, 100_000), max_size=12))
def test_packets_are_the_same_however_the_stream_was_cut(
    sent: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(packet(REQUEST, kind, body) for kind, body in sent)
    reader, found = Reader(magic=REQUEST), []
    for piece in _pieces(stream, cuts):
        reader.feed(piece)
        found += _all(reader)
    # Nothing is added, lost or put in another place, and each packet is seen once
    assert b"".join(one.raw if isinstance(one, Packet) else one for one in found) == stream
    begun = [(one.kind, one.size) for one in found if isinstance(one, Packet)]
    assert begun == [(kind, len(body)) for kind, body in sent]
    assert reader.between


@given(sent=_PACKETS.filter(bool), cut=st.integers(1, 100_000))
def test_what_is_missing_is_known_at_any_cut(sent: list[tuple[int, bytes]], cut: int) -> None:
    stream = b"".join(packet(REQUEST, kind, body) for kind, body in sent)
    cut %= len(stream)
    reader = Reader(magic=REQUEST)
    reader.feed(stream[:cut])
    _all(reader)
    ends = {0}
    for _, body in sent:
        ends.add(max(ends) + HEADER.size + len(body))
    assert reader.between == (cut in ends)


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_waited_for_and_never_passed_on_as_a_packet(data: bytes) -> None:
    reader = Reader(magic=REQUEST)
    reader.feed(data)
    try:
        found = _all(reader)
    except Malformed:
        return
    assert all(isinstance(one, Packet | bytes) for one in found)
    assert not found or data.startswith(REQUEST)
    assert found or REQUEST.startswith(data[:4]) or data.startswith(REQUEST)


def test_the_magic_of_the_other_direction_is_garbage() -> None:
    reader = Reader(magic=REQUEST)
    reader.feed(packet(RESPONSE, 11, b"H:a:1\0f\0data"))
    with pytest.raises(Malformed):
        reader.next()


def test_a_length_of_four_gigabytes_makes_nobody_collect_them() -> None:
    # Given a header that announces 4 GB, and its first megabyte
    reader = Reader(magic=REQUEST)
    reader.feed(HEADER.pack(REQUEST, 7, 2**32 - 1) + b"f\0u\0" + bytes(2**20))
    # Then what came is given out at once, and nothing stays
    found = _all(reader)
    assert isinstance(found[0], Packet)
    assert sum(len(one.head if isinstance(one, Packet) else one) for one in found) == 2**20 + 4
    assert reader.left == 2**32 - 1 - 2**20 - 4
    assert _all(reader) == []


def test_fields_are_split_and_the_last_keeps_its_nuls() -> None:
    reader = Reader(magic=REQUEST)
    reader.feed(packet(REQUEST, 7, b"f", b"u", b"a\0b"))
    found = reader.next()
    assert isinstance(found, Packet)
    assert found.fields(3) == [b"f", b"u", b"a\0b"]
    assert found.fields(5) is None
    assert str(found) == "SUBMIT_JOB"


def test_kinds_without_a_name_are_told_apart_for_people_and_not_for_counting() -> None:
    one = Packet(4711, 0, b"", REQUEST)
    assert (str(one), one.label) == ("packet of kind 4711", "UNKNOWN")
