from __future__ import annotations

import hashlib
import hmac
import json
import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_amphora.heartbeat import packet
from libra_octavia.health.envelope import MOST_UNPACKED, BadDatagram, unwrap

KEY = "the key of heartbeats"


def signed(packed: bytes, key: str = KEY) -> bytes:
    return packed + hmac.new(key.encode(), packed, hashlib.sha256).hexdigest().encode()


def test_what_an_agent_of_ours_sends_is_opened() -> None:
    assert json.loads(unwrap(packet({"id": "ü"}, KEY), KEY)) == {"id": "ü"}


def test_the_signature_of_very_old_senders_is_known_too() -> None:
    packed = zlib.compress(b"{}")
    assert unwrap(packed + hmac.new(KEY.encode(), packed, hashlib.sha256).digest(), KEY) == b"{}"


def test_another_key_is_refused() -> None:
    with pytest.raises(BadDatagram, match="not signed"):
        unwrap(packet({"id": "x"}, KEY), KEY + " ")


@given(st.data())
def test_one_changed_bit_is_refused(data: st.DataObject) -> None:
    whole = bytearray(packet({"id": "amp", "seq": 1}, KEY))
    at = data.draw(st.integers(0, 8 * len(whole) - 1))
    whole[at // 8] ^= 1 << at % 8
    with pytest.raises(BadDatagram):
        unwrap(bytes(whole), KEY)


@given(st.binary(max_size=300))
def test_garbage_is_refused_and_never_more_than_that(data: bytes) -> None:
    with pytest.raises(BadDatagram):
        unwrap(data, KEY)


@given(st.binary(max_size=300))
def test_signed_garbage_is_refused_or_opened_and_never_more_than_that(data: bytes) -> None:
    try:
        assert unwrap(signed(zlib.compress(data)), KEY) == data
        unwrap(signed(data), KEY)
    except BadDatagram:
        pass


def test_a_small_datagram_cannot_fill_the_memory() -> None:
    bomb = signed(zlib.compress(b" " * (MOST_UNPACKED + 1), 9))
    assert len(bomb) < 65507
    with pytest.raises(BadDatagram, match="too large"):
        unwrap(bomb, KEY)


@pytest.mark.parametrize(
    "packed",
    [zlib.compress(b"{}")[:-2], zlib.compress(b"{}") + b"more", b"", os.urandom(65600)],
    ids=["cut", "more behind", "empty", "too large"],
)
def test_what_is_not_exactly_one_heartbeat_is_refused(packed: bytes) -> None:
    with pytest.raises(BadDatagram):
        unwrap(signed(packed), KEY)
