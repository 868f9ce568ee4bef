from __future__ import annotations

import ipaddress
import struct

from hypothesis import given
from hypothesis import strategies as st

from libra_amphora.advertise import checksum, gratuitous_arp, neighbour_advertisement

MAC = bytes.fromhex("020000001201")


@given(st.ip_addresses(v=4))
def test_gratuitous_arp_says_the_address_of_itself_in_both_kinds(
    address: ipaddress.IPv4Address,
) -> None:
    for operation, frame in enumerate(gratuitous_arp(MAC, address), 1):
        assert frame[:6] == b"\xff" * 6
        assert frame[6:12] == MAC
        kind, protocol, sizes, found = struct.unpack("!HHHH", frame[14:22])
        assert (kind, protocol, sizes, found) == (1, 0x0800, 0x0604, operation)
        assert frame[22:32] == MAC + address.packed
        assert frame[38:42] == address.packed


@given(st.ip_addresses(v=6))
def test_neighbour_advertisement_has_a_right_checksum_and_hop_limit(
    address: ipaddress.IPv6Address,
) -> None:
    frame = neighbour_advertisement(MAC, address)
    header, message = frame[14:54], frame[54:]
    assert header[7] == 255
    assert struct.unpack("!H", header[4:6])[0] == len(message) == 32
    # A receiver sums the whole of it and must find nothing left.
    pseudo = header[8:40] + struct.pack("!II", len(message), 58)
    assert checksum(pseudo + message) == 0
    assert message[0] == 136
    assert message[8:24] == address.packed
    assert message[24:] == b"\x02\x01" + MAC
