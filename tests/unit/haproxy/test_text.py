"""A controller's text: words as HAProxy splits them, what is refused, what is known of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_haproxy import text_rules
from libra_haproxy.text import TextRefused, addresses, kind, parse, without
from libra_haproxy.text_words import BadLine, quoted, split
from tests.support.octavia_text import LISTENER, MEMBERS, OTHER_LISTENER, Proxy, configuration
from tests.unit.haproxy.texts import GOOD, Certificates


def found(source: str) -> list[str]:
    """What is refused of a text, with the lines."""
    files = Certificates()
    return [
        f"{one.line}: {one.what}"
        for one in text_rules.complaints(
            parse(source), known=lambda word, path: files.local(word, path) is not None
        )
    ]


# -- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("   # only a comment", []),
        ("\tbind  127.0.0.1:80 ", ["bind", "127.0.0.1:80"]),
        ("a b#c d", ["a", "b"]),
        (r"a\ b c\#d e\\f", ["a b", "c#d", "e\\f"]),
        (r"'a b'\''c' \x41", ["a b'c", "A"]),
        ('"a \\"b\\" \\$c" d', ['a "b" $c', "d"]),
        ("''", [""]),
        ("${X}", ["${X}"]),
    ],
)
def test_words_are_split_as_haproxy_does(line: str, words: list[str]) -> None:
    assert split(line) == words


@pytest.mark.parametrize("line", ["'a", 'a "b', r"\x4", r"\xzz", '"$HOME"', '"${HOME}"'])
def test_line_that_cannot_be_split_or_asks_the_environment_is_refused(line: str) -> None:
    with pytest.raises(BadLine):
        split(line)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])), max_size=5))
def test_quoted_words_are_the_same_words_when_they_are_split_again(words: list[str]) -> None:
    assert split(" ".join(map(quoted, words))) == words


# -- what is refused ------------------------------------------------------------------------------


def test_octavias_own_configuration_is_not_refused() -> None:
    assert found(GOOD) == []


@pytest.mark.parametrize(
    "line",
    [
        "http-check send meth GET uri /health",
        "option httpchk GET /health HTTP/1.1",
        "acl a path -m beg /api",
        "acl a req.hdr(host) -i -m str www.lua.org",
        "redirect location https://www.example.com/a",
        "http-request set-header X-SSL-Issuer %{+Q}[ssl_c_i_dn]",
        "http-request use-service prometheus-exporter if { path /metrics }",
        "cookie SRV insert indirect nocache",
        "stick store-response res.cook(JSESSIONID)",
        "server a 127.0.0.1:443 ssl crt /certs/a.pem ca-file /certs/b.pem sni ssl_fc_sni",
        "server a 127.0.0.1:443 ssl ca-file @system-ca verify required",
        "log /dev/log local0",
    ],
)
def test_what_controllers_write_is_not_refused(line: str) -> None:
    assert found(f"backend x\n    {line}\n") == []


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("global", "lua-load /tmp/x.lua"),
        ("global", "lua-load-per-thread /tmp/x.lua"),
        ("global", "lua-prepend-path /tmp"),
        ("global", "chroot /"),
        ("global", "setenv A b"),
        ("global", "ssl-engine x"),
        ("global", "unix-bind uid 0"),
        ("global", "crt-base /etc"),
        ("global", "default-path origin /etc"),
        ("global", "log /run/systemd/private local0"),
        ("global", "h1-case-adjust-file /etc/shadow"),
        ("global", "ssl-dh-param-file /etc/shadow"),
        ("frontend x", "bind unix@/tmp/x.sock"),
        ("frontend x", "bind /tmp/x.sock"),
        ("frontend x", "bind :80,/tmp/x.sock"),
        ("frontend x", "bind abns@x"),
        ("frontend x", "bind fd@3"),
        ("frontend x", "bind :80 namespace other"),
        ("frontend x", "bind :443 ssl crt /etc/ssl/private/x.pem"),
        ("frontend x", "bind :443 ssl crt /certs/a.pem ca-file /etc/shadow"),
        ("frontend x", "errorfile 503 /etc/shadow"),
        ("frontend x", "acl a path -f /etc/shadow"),
        ("frontend x", "http-request deny if { path -f /etc/shadow }"),
        ("frontend x", "http-request return status 200 file /etc/shadow"),
        ("frontend x", "http-request return lf-file /etc/shadow"),
        ("frontend x", "http-request set-header X %[path,map(/etc/shadow)]"),
        ("frontend x", "use_backend %[req.hdr(host),map_beg(/etc/shadow,x)]"),
        ("frontend x", "filter spoe engine x config /etc/x"),
        ("frontend x", "filter fcgi-app x"),
        ("backend x", "server a /tmp/x.sock"),
        ("backend x", "server a unix@/tmp/x.sock"),
        ("backend x", "server a 127.0.0.1:80 namespace other"),
        ("backend x", "server a 127.0.0.1:443 ssl ca-file /etc/shadow"),
        ("backend x", "external-check command /bin/sh"),
        ("backend x", "external-check path /tmp"),
        ("backend x", "use-fcgi-app x"),
        ("backend x", "dispatch /tmp/x.sock"),
        ("backend x", "server a 127.0.0.1:80 check addr /tmp/x.sock"),
        ("backend x", "tcp-check connect addr /tmp/x.sock"),
        ("backend x", "http-check connect addr unix@/tmp/x.sock"),
        ("backend x", "http-error status 400 errorfile /etc/shadow"),
        ("frontend x", "bind :443 ssl crt /certs/a.pem tls-ticket-keys /etc/shadow"),
        ("frontend x", "http-request set-var(proc.libra) str(0)"),
        ("global", "set-var proc.libra str(00000000)"),
        ("global", "log ring@x local0"),
        ("program evil", "command /bin/sh"),
        ("ring r", "backing-file /etc/cron.d/x"),
        ("fcgi-app f", "docroot /"),
        ("http-errors e", "errorfile 400 /etc/shadow"),
        ("peers p", "server a unix@/tmp/x"),
        ("resolvers r", "nameserver a unix@/tmp/x"),
    ],
)
def test_what_would_reach_out_of_haproxy_is_refused_with_its_line(section: str, line: str) -> None:
    refusals = found(f"# first\n{section}\n    {line}\n")
    assert refusals
    assert all(refusal.startswith(("2: ", "3: ")) for refusal in refusals)


@pytest.mark.parametrize(
    "line",
    [
        "'lua-load' /tmp/x",
        '"lua-load" /tmp/x',
        r"lua\-load /tmp/x",
        r"\x6cua-load /tmp/x",
        "'chro'ot /",
        "no chroot /",
        ".if defined(X)",
    ],
)
def test_no_spelling_hides_a_refused_keyword(line: str) -> None:
    assert found(f"global\n    {line}\n")


def test_lines_before_the_first_section_are_refused_in_the_documents_words() -> None:
    assert found("# x\nBAD_LINE\nglobal\n") == ["2: unknown keyword 'BAD_LINE' out of section."]


@pytest.mark.parametrize("bad", ["a\rb", "a\0b", "a\x0bb", "a\x7fb"])
def test_control_characters_are_refused(bad: str) -> None:
    with pytest.raises(TextRefused, match=r"haproxy\.cfg:2\]"):
        parse(f"global\n{bad}\n")


@given(st.text(max_size=300))
def test_any_text_at_all_is_understood_or_refused(source: str) -> None:
    try:
        text = parse(source)
    except TextRefused:
        return
    text_rules.complaints(text, known=lambda *_: False)
    assert "\n".join(line.raw for section in text.sections for line in section.lines) == source


# -- what is known of it --------------------------------------------------------------------------


def test_kind_of_a_listener() -> None:
    text = parse(
        "defaults\n mode http\nfrontend a\n bind :80\nfrontend b\n bind :443 ssl crt /certs/x\n"
        "frontend c\n mode tcp\n bind :25\n"
    )
    assert [kind(text, one) for one in text.frontends] == ["HTTP", "TERMINATED_HTTPS", "TCP"]


def test_addresses_are_those_that_clients_come_to() -> None:
    text = parse(
        "frontend a\n bind 203.0.113.5:80,[2001:db8::1]:80 v4v6\n bind :81\n bind *:82\n"
        " bind ipv4@203.0.113.6:90\n bind 203.0.113.5:90\n"
    )
    assert addresses(text) == ("203.0.113.5", "2001:db8::1", "203.0.113.6")


def test_listener_is_cut_out_with_its_own_backends_alone() -> None:
    both = configuration(
        Proxy(port=80, members={MEMBERS[0]: 1}),
        Proxy(id=OTHER_LISTENER, port=81, members={MEMBERS[1]: 2}),
    )
    rest = without(parse(both), LISTENER)
    assert rest is not None
    assert LISTENER not in rest
    assert parse(rest).frontends[0].name == OTHER_LISTENER
    assert MEMBERS[1] in rest
    assert without(parse(rest), OTHER_LISTENER) is None
