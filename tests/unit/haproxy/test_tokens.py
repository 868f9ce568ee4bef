from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_haproxy import tokens
from libra_haproxy.tokens import BadToken, Token

POISON = [
    "\n",
    "\r",
    "\0",
    "\t",
    " ",
    "'",
    '"',
    "#",
    "\\",
    "$",
    "{",
    "%",
    "\u2028",
    "\x85",
    "\u00e9",
]
MAKERS: list[Callable[[str], Token]] = [
    tokens.name,
    tokens.keyword,
    lambda text: tokens.file(Path(f"/{text}")),
    tokens.digest,
    lambda text: tokens.endpoint(text, 80),
]


@pytest.mark.parametrize("poison", POISON, ids=ascii)
@pytest.mark.parametrize("make", MAKERS)
def test_no_token_takes_text_that_haproxy_would_read_as_something_else(
    make: Callable[[str], Token], poison: str
) -> None:
    for text in (poison, f"a{poison}", f"{poison}a", f"a{poison}b"):
        with pytest.raises(BadToken):
            make(text)


@pytest.mark.parametrize("poison", [p for p in POISON if p not in "$%"], ids=ascii)
def test_a_uri_cannot_leave_its_quotes_or_its_line(poison: str) -> None:
    for text in (f"/{poison}", f"/a{poison}b"):
        with pytest.raises(BadToken):
            tokens.uri(text)


@given(st.text())
def test_whatever_a_name_accepts_is_one_plain_word(text: str) -> None:
    try:
        token = tokens.name(text)
    except BadToken:
        return
    assert token == text
    assert token.isascii()
    assert token.split() == [text]
    assert not token.startswith(("-", "."))


@given(st.text())
def test_whatever_a_uri_accepts_stands_in_single_quotes_unchanged(text: str) -> None:
    try:
        token = tokens.uri(f"/{text}")
    except BadToken:
        return
    assert token == f"'/{text}'"
    assert not set(text) & set("'\"#\\ \n\r\0")


@pytest.mark.parametrize("value", [True, -1, 2**31, 1.0, "1", None])
def test_a_number_is_a_whole_number_in_its_range(value: object) -> None:
    with pytest.raises(BadToken):
        tokens.number(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["example.com", "fe80::1%eth0", "1.2.3", "1.2.3.4:5", "", "*"])
def test_an_endpoint_is_an_ip_address_without_a_zone(address: str) -> None:
    with pytest.raises(BadToken):
        tokens.endpoint(address, 80)


def test_an_ipv6_endpoint_is_canonical_and_in_brackets() -> None:
    assert tokens.endpoint("2001:DB8:0::1", 80) == "[2001:db8::1]:80"


def test_a_token_that_was_worked_on_is_no_token_any_more() -> None:
    assert isinstance(tokens.name("a"), Token)
    assert not isinstance(tokens.name("a") + "b", Token)
    assert not isinstance(tokens.name("a").upper(), Token)
