from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_common.masking import mask_text, masked
from libra_common.settings import HostPort

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----"

# A secret carries this, in pieces, so that any part of it that survives is seen.
MARK = "hunter"
NAMES = (
    *("hpcs_object_store_token", "X-Auth-Token", "Authorization", "password", "db_passwd"),
    *("client_secret", "private_key", "privateKey", "api-key", "key", "tls_key", "passphrase"),
    *("OS_PASSWORD", "credentials", "Cookie", "account_key"),
)


@st.composite
def in_any_case(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(NAMES))
    return "".join(c.upper() if draw(st.booleans()) else c.lower() for c in name)


# Quotes, brackets, backslashes, commas and line ends between pieces of the mark.
_noise = st.text(st.sampled_from("\"'\\{}[](),:;= \n\t<>/é\u2028x"), max_size=6)
secrets = st.lists(_noise, min_size=1, max_size=5).map(lambda parts: MARK + MARK.join(parts) + MARK)
harmless = st.one_of(
    st.integers(),
    st.booleans(),
    st.none(),
    st.text(st.sampled_from("abc {}[]\"'\\:,\n"), max_size=12),
)
values = st.recursive(
    secrets, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(secrets, inner, max_size=2)
)


def around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    pairs = st.tuples(in_any_case(), values)
    return st.one_of(
        st.lists(inner, max_size=3),
        st.lists(pairs, max_size=2),
        st.builds(
            lambda safe, secret: {**safe, **dict(secret)},
            st.dictionaries(st.sampled_from(["id", "name", "nodes"]), inner, max_size=3),
            st.lists(pairs, max_size=2),
        ),
    )


messages = st.recursive(harmless, around, max_leaves=8)


@given(message=messages)
def test_no_secret_survives_in_an_object(message: Any) -> None:
    before = repr(message)
    assert MARK not in repr(masked(message))
    # And the object itself is as it was.
    assert repr(message) == before


@given(message=messages)
def test_no_secret_survives_in_json(message: Any) -> None:
    assert MARK not in mask_text(json.dumps(message))
    assert MARK not in mask_text("job: " + json.dumps(message, indent=1, ensure_ascii=False))


@given(message=messages)
def test_no_secret_survives_in_json_within_json_and_in_a_repr_of_it(message: Any) -> None:
    text = json.dumps(message)
    assert MARK not in mask_text(json.dumps({"body": text}))
    assert MARK not in mask_text(json.dumps({"body": json.dumps([text])}))
    assert MARK not in mask_text(repr(text))
    assert MARK not in mask_text(repr(text.encode()))


@given(message=messages)
def test_no_secret_survives_in_a_repr(message: Any) -> None:
    assert MARK not in mask_text(f"cannot handle {message!r} now")


@given(name=in_any_case(), word=st.text(st.sampled_from("\"'\\{}[](),:;=é"), max_size=6))
@pytest.mark.parametrize("form", ["{}={}", "{}: {}", "--{}={}", "{} = {}", "Foo(n=1, {}={}"])
def test_no_word_survives_after_a_secret_name(form: str, name: str, word: str) -> None:
    # A word that begins with a letter, so without quotes around it
    text = form.format(name, f"{MARK}{word}{MARK}")
    assert MARK not in mask_text(f"{text} tail")


@given(before=st.text(max_size=20), cut=st.integers(0, 40))
def test_no_line_of_a_private_key_survives_even_if_its_end_is_missing(
    before: str, cut: int
) -> None:
    text = before + PEM[: len(PEM) - cut]
    for shape in (text, json.dumps(text), repr(text)):
        found = mask_text(shape)
        assert "MIIEow" not in found
        assert "IBAAKC" not in found


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer hunter hunter",
        "sent bearer hunterhunter",
        "GET https://me:hunter@store/ failed",
        "got gAAAAABhunterhunterhunterhunter back",
        "eyJhunterhunter.hunterhunter.hunter",
        "[type=string_type, input_value='hunter', input_type=str]",
        "<CIMultiDict('X-Auth-Token': 'hunter')>",
        "[(b'x-auth-token', b'hunter')]",
        "{'secret': {'a': ['}', 'hunter']}}",
        "token => 'hunter'",
        'a "token (old)": "hunter"',
    ],
)
def test_secrets_are_known_in_many_shapes(text: str) -> None:
    assert MARK not in mask_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "registered with 1 of 2 job servers",
        "[gearman] ssl_key = '/etc/libra/key.pem': cannot be read",
        "duplicate key 'Name' in loadBalancers[0]",
        "KeyError: 'protocol'",
        "monkey: banana",
        '{"name": "lb #1", "nodes": [{"id": 1, "address": "10.0.0.1"}]}',
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert mask_text(text) == text


def test_what_stands_around_a_secret_stays_readable() -> None:
    text = '{"name": "lb", "hpcs_object_store_TOKEN": "a\\"b", "id": 5}'
    found = mask_text(text)
    assert json.loads(found) == {"name": "lb", "hpcs_object_store_TOKEN": "***", "id": 5}


def test_types_that_print_in_their_own_way_keep_it() -> None:
    assert str(masked((HostPort("token", 1),))[0]) == "token:1"
    assert masked(b"token=hunter") == b"token=***"
    assert masked({"a": {1, 2}, "b": frozenset("x")}) == {"a": {1, 2}, "b": frozenset("x")}


def test_circles_and_depth_end() -> None:
    circle: list[Any] = ["x"]
    circle += [circle, circle]
    assert masked(circle) == ["x", "...", "..."]
    deep: Any = "bottom"
    for _ in range(5000):
        deep = [deep]
    assert "bottom" not in repr(masked(deep))


@pytest.mark.parametrize(
    "piece",
    ["token", '"', "key ", "token: {", PEM[:31], " ", "\\", "token\"'=", "a.key", 'token:["'],
)
def test_hostile_text_takes_no_more_than_proportional_time(piece: str) -> None:
    # Given texts of one and of eight times a length
    def cost(size: int) -> float:
        text = piece * (size // len(piece))
        began = time.process_time()
        mask_text(text)
        return time.process_time() - began

    # Then eight times the length is nowhere near the 64 times of a quadratic search; the least
    # of three, and processor time, since the machine has other work too.
    short, long = (min(cost(size) for _ in range(3)) for size in (20_000, 160_000))
    assert long < 32 * short + 0.05
