"""The servers of a controller's text: their numbers, and which may stay down over a reload."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_haproxy import text_servers
from libra_haproxy.downs import Stays
from libra_haproxy.text import Text, parse
from libra_haproxy.text_derive import derive
from libra_haproxy.text_words import split
from tests.unit.haproxy.texts import place


def backend(*lines: str, before: str = "") -> Text:
    body = "".join(f" {line}\n" for line in lines)
    return parse(f"{before}frontend f\n default_backend b\nbackend b\n{body}")


def test_servers_get_numbers_that_are_theirs_whatever_is_beside_them() -> None:
    one = backend("server a 192.0.2.1:80", "server b 192.0.2.2:80")
    other = backend("server c 192.0.2.3:80", "server b 192.0.2.9:80 weight 4")
    before, after = (text_servers.numbers(text.backends[0]) for text in (one, other))
    assert before["b"] == after["b"]
    assert len({*before.values(), *after.values()}) == 3


@given(st.lists(st.text("abcdefgh-0123456789", min_size=1, max_size=8), unique=True, max_size=200))
def test_no_two_servers_have_one_number(names: list[str]) -> None:
    text = backend(*(f"server {name} 192.0.2.1:80" for name in names))
    found = text_servers.numbers(text.backends[0])
    assert list(found) == names
    assert len(set(found.values())) == len(names)
    assert all(0 < number < 2**31 for number in found.values())


@pytest.mark.parametrize(
    "lines",
    [
        ("server a 192.0.2.1:80 id 3", "server b 192.0.2.2:80"),
        ("server-template t 3 192.0.2.1:80", "server b 192.0.2.2:80"),
        ("server a 192.0.2.1:80", "server a 192.0.2.2:80"),
    ],
)
def test_numbers_are_left_alone_where_the_sender_has_a_say(lines: tuple[str, ...]) -> None:
    text = backend(*lines)
    assert text_servers.numbers(text.backends[0]) == {}
    assert " id 3" not in derive(text, place()).text.replace(lines[0], "")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("server a 192.0.2.1:80 check", ["check"]),
        ("server a 192.0.2.1:80 check # id 4", ["check"]),
        ("server a 192.0.2.1:80 check \\", ["check", "\\"]),
        ("server a 192.0.2.1:80 sni 'str(a b)'", ["sni", "str(a b)"]),
        ("server a 192.0.2.1:80 ssl crt /certs/a.pem", ["ssl", "crt", "/here/a.pem"]),
    ],
)
def test_number_comes_behind_all_that_the_sender_says(line: str, words: list[str]) -> None:
    text = backend(line)
    (running,) = (one for one in derive(text, place()).text.split("\n") if "server a" in one)
    number = str(text_servers.numbers(text.backends[0])["a"])
    assert split(running) == ["server", "a", "192.0.2.1:80", *words, "id", number]


@pytest.mark.parametrize(
    ("lines", "before", "stays"),
    [
        (("server a 192.0.2.1:80 check weight 7",), "", Stays("192.0.2.1", 80, 7)),
        (("server a [fd00::1]:80 check",), "", Stays("fd00::1", 80, 1)),
        (("default-server check weight 3", "server a 192.0.2.1:80"), "", Stays("192.0.2.1", 80, 3)),
        (
            ("server a 192.0.2.1:80",),
            "defaults\n default-server check\n",
            Stays("192.0.2.1", 80, 1),
        ),
        (("server a name.example:80 agent-check",), "", Stays("name.example", 80, 1)),
        (("server a 192.0.2.1:80",), "", None),
        (("default-server check", "server a 192.0.2.1:80 no-check"), "", None),
        (("server a 192.0.2.1:80 check disabled",), "", None),
        (("server a 192.0.2.1 check",), "", None),
        (("disabled", "server a 192.0.2.1:80 check"), "", None),
    ],
)
def test_only_a_server_that_checks_can_bring_up_may_stay_down(
    lines: tuple[str, ...], before: str, stays: Stays | None
) -> None:
    expected = {} if stays is None else {("b", "a"): stays}
    assert text_servers.checked(backend(*lines, before=before)) == expected
