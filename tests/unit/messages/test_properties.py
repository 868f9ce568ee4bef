"""What holds for any message whatever."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from libra_messages import readers
from libra_messages.answers import ANSWER_FIELDS, encode, passed
from libra_messages.decode import decode
from libra_messages.faults import Malformed
from libra_messages.fold import ascii_lower
from libra_messages.worker import ACTIONS, Request, Update, parse

texts = st.text(st.characters(codec=None), max_size=12)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with some of the fields, each its own kind of value or anything at all."""
    return st.fixed_dictionaries(
        {}, optional={name: kind | anything for name, kind in fields.items()}
    )


numbers = st.integers(-1, 70_000) | st.integers(0, 70_000).map(str)
ids = st.from_regex(r"[A-Za-z0-9_.-]{0,66}", fullmatch=True) | texts
addresses = st.ip_addresses().map(str) | st.text("0123456789abcdef:.%/", max_size=20)
paths = st.text("/abc%20?=&#' \n$", max_size=20) | texts
nodes = some(
    id=ids,
    address=addresses,
    port=numbers,
    weight=numbers,
    condition=st.sampled_from(["ENABLED", "disabled", "ERROR"]),
    backup=st.booleans(),
)
balancers = some(
    protocol=st.sampled_from(["HTTP", "tcp", "Galera"]),
    Port=numbers,
    port=numbers,
    nodes=st.lists(nodes | anything, max_size=4),
    monitor=some(type=st.sampled_from(["HTTP", "CONNECT"]), delay=numbers, path=paths),
    options=some(client_timeout=numbers, connect_retries=numbers),
)
messages = some(
    hpcs_action=st.sampled_from(ACTIONS),
    loadbalancers=st.lists(balancers, max_size=3),
    hpcs_object_store_token=texts,
)


@given(messages | anything)
def test_parsing_raises_nothing_but_malformed_for_any_json(message: Any) -> None:
    # Given any JSON at all / When parsed / Then a request or Malformed, which can be told
    outcome: Request | Malformed
    try:
        outcome = parse(message, max_nodes=3)
    except Malformed as malformed:
        outcome = malformed
    if isinstance(outcome, Malformed):
        assert outcome.faults
        assert str(outcome).isprintable()
        assert str(outcome).encode("utf-8")
    else:
        assert outcome.action in ACTIONS


@given(st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()))
def test_decoding_raises_nothing_but_malformed_for_any_bytes(data: bytes) -> None:
    # Given any bytes / When decoded / Then an object or Malformed
    outcome: dict[str, Any] | Malformed
    try:
        outcome = decode(data)
    except Malformed as malformed:
        outcome = malformed
    if isinstance(outcome, Malformed):
        assert outcome.code in ("bad_json", "not_an_object")
    else:
        assert json.loads(encode(outcome)) == outcome


@given(st.dictionaries(texts, anything, max_size=6))
def test_an_answer_keeps_every_unknown_field_and_value(request: dict[str, Any]) -> None:
    # Given any object
    sent = decode(json.dumps(request).encode())
    # When it is answered
    answer = json.loads(encode(passed(sent, version="1.0")))
    # Then every field but the answer's own is as it was, in its order
    ours = {ascii_lower(name) for name in (*ANSWER_FIELDS, "version")}
    kept = [(name, value) for name, value in sent.items() if ascii_lower(name) not in ours]
    assert list(answer.items()) == [*kept, ("version", "1.0"), ("hpcs_response", "PASS")]


@given(addresses | texts)
def test_an_accepted_address_is_canonical_ascii(sent: str) -> None:
    # Given any text / When it is taken for an address / Then it is one, in one spelling
    try:
        found = readers.address(sent)
    except readers.Refused:
        return
    assert set(found) <= set("0123456789abcdef:.")
    assert ipaddress.ip_address(found) == ipaddress.ip_address(sent)
    assert readers.address(found) == found


@given(ids | anything)
def test_an_accepted_node_id_matches_its_grammar(sent: Any) -> None:
    # Given any value / When it is taken for an id / Then it is safe as a bare word
    try:
        found = readers.node_id(sent)
    except readers.Refused:
        return
    assert found is None or readers.NODE_ID.fullmatch(str(found))


@given(paths | anything)
def test_an_accepted_path_matches_its_grammar(sent: Any) -> None:
    # Given any value / When it is taken for a path / Then it is safe within single quotes
    try:
        found = readers.path(sent)
    except readers.Refused:
        return
    assert readers.PATH.fullmatch(found)
    assert len(found) <= 255
    assert found.isascii()
    assert not set("'\"#\\{}[] \n\r\0") & set(found)


@given(st.lists(nodes, min_size=1, max_size=3), st.sampled_from(["HTTP", "TCP", "GALERA"]))
def test_an_accepted_update_holds_only_values_in_range(
    members: list[dict[str, Any]], protocol: str
) -> None:
    # Given nodes of which some are right
    balancer = {"protocol": protocol, "nodes": members}
    try:
        request = parse({"hpcs_action": "UPDATE", "loadbalancers": [balancer]}, max_nodes=3)
    except Malformed:
        return
    # Then what was accepted is in range, and GALERA has its one writer
    assert isinstance(request, Update)
    (found,) = request.loadbalancers
    assert all(1 <= node.port <= 65535 and 0 <= node.weight <= 256 for node in found.nodes)
    assert protocol != "GALERA" or [node.backup for node in found.nodes].count(False) == 1
