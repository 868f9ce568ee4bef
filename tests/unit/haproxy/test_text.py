"""A controller's text: words as HAProxy splits them, what is refused, what runs, what changes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_haproxy import text_plan, text_rules, text_servers
from libra_haproxy.downs import Stays
from libra_haproxy.readings import ServerRow, Snapshot
from libra_haproxy.text import Text, TextRefused, addresses, kind, parse, without
from libra_haproxy.text_confirm import differences
from libra_haproxy.text_derive import TextPlace, derive
from libra_haproxy.text_plan import TextPlan
from libra_haproxy.text_words import BadLine, quoted, split
from tests.support.need import program
from tests.support.octavia_text import LISTENER, MEMBERS, OTHER_LISTENER, Proxy, configuration

GOOD = configuration(Proxy(port=8080, members={MEMBERS[0]: 80, MEMBERS[1]: 81}))


class Certificates:
    """All that lie in one folder."""

    def __init__(self, digest: str = "0") -> None:
        self._digest = digest

    def local(self, word: str, path: str) -> Path | None:
        if not path.startswith("/certs/"):
            return None
        return Path("/here") / (path[len("/certs/") :] + (".list" if word == "crt-list" else ""))

    def digests(self) -> dict[str, str]:
        return {"/here/one.pem": self._digest}


def place(**fields: object) -> TextPlace:
    given: dict[str, object] = {
        "admin_socket": Path("/run/x/admin.sock"),
        "peer": "me",
        "maxconn": 50_000,
        "open_files": 20_000,
        "files": Certificates(),
        **fields,
    }
    return TextPlace(**given)  # type: ignore[arg-type]


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


@given(st.lists(st.sampled_from(GOOD.split("\n")), max_size=60))
def test_running_file_of_any_lines_has_all_of_them_in_their_order(lines: list[str]) -> None:
    text = parse("\n".join(lines))
    derived = derive(text, place())
    numbers = [origin for origin in derived.origins if origin]
    assert numbers == list(range(1, len(lines or [""]) + 1))


# -- what runs ------------------------------------------------------------------------------------


def test_running_file_leaves_out_what_is_the_nodes_to_say() -> None:
    running = derive(parse(GOOD), place()).text
    for gone in ("user nobody", "    daemon", "/var/lib/octavia", "servers-state", "level user"):
        assert gone not in running
    for ours in (
        "stats socket /run/x/admin.sock mode 660 level admin",
        "server-state-file /run/x/down.servers",
        "load-server-state-from-file global",
        "localpeer me",
        "option idle-close-on-response",
        "option contstats",
    ):
        assert ours in running


def test_system_authorities_are_read_only_where_the_sender_asks_for_them() -> None:
    # Given a sender who has HAProxy's own HTTP client verify whom it asks
    asked = "    httpclient.ssl.verify required"
    # When the running file is made
    lines = derive(parse(f"global\n{asked}\n"), place()).text.split("\n")
    # Then ours, which needs no authorities, comes first, and HAProxy goes by the sender's
    assert lines.index("    httpclient.ssl.verify none") < lines.index(asked)


def test_each_defaults_section_gets_our_options() -> None:
    derived = derive(parse("defaults\n    mode http\ndefaults\n    mode tcp\n"), place())
    lines = derived.text.split("\n")
    at = [number for number, line in enumerate(lines) if line == "defaults"]
    assert len(at) == 3
    for number in at:
        assert lines[number + 1 : number + 3] == [
            "    option contstats",
            "    option idle-close-on-response",
        ]


def test_connections_are_as_many_as_asked_for_where_they_fit_into_the_open_files() -> None:
    def maxconn(text: str, **fields: object) -> str:
        return derive(parse(text), place(**fields)).text.split("\n")[2].strip()

    assert maxconn("global\n    maxconn 100\n") == "maxconn 100"
    assert maxconn("global\n    maxconn 100000\n") == "maxconn 7948"
    assert maxconn("global\n", open_files=1_000_000) == "maxconn 50000"


def test_certificates_are_found_where_they_are_here() -> None:
    text = parse("frontend x\n    bind :443 ssl crt-list /certs/l.pem ca-file /certs/ca.pem\n")
    running = derive(text, place()).text
    assert "    bind :443 ssl crt-list /here/l.pem.list ca-file /here/ca.pem" in running


def test_running_file_is_another_one_when_a_certificate_has_changed() -> None:
    text = parse(GOOD)
    one = derive(text, place(files=Certificates("1")))
    other = derive(text, place(files=Certificates("2")))
    assert one.digest != other.digest
    assert derive(text, place(files=Certificates("1"))) == one


def test_complaints_come_back_in_the_senders_lines_and_paths(tmp_path: Path) -> None:
    # Given a text that HAProxy does not like
    lines = GOOD.split("\n")
    at = lines.index("    option redispatch")
    lines[at] = "    option nonsense"
    derived = derive(parse("\n".join(lines)), place(admin_socket=tmp_path / "admin.sock"))
    file = tmp_path / "haproxy.cfg.new"
    file.write_text(derived.text)

    # When HAProxy looks at what was made of it
    done = subprocess.run(
        [program("haproxy"), "-c", "-f", str(file)], capture_output=True, text=True, check=False
    )

    # Then its complaint names the line that was sent
    assert done.returncode
    said = derived.in_senders_words(done.stderr, file=file)
    assert f"[haproxy.cfg:{at + 1}]" in said
    assert str(tmp_path) not in said


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


# -- servers --------------------------------------------------------------------------------------


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


# -- what a change takes --------------------------------------------------------------------------


def proxied(**fields: object) -> Text:
    given: dict[str, object] = {"port": 80, "members": {MEMBERS[0]: 1, MEMBERS[1]: 2}, **fields}
    return parse(configuration(Proxy(**given)))  # type: ignore[arg-type]


def test_servers_come_go_and_change_at_run_time() -> None:
    new = proxied(
        members={MEMBERS[1]: 2, MEMBERS[2]: 3}, weights={MEMBERS[1]: 5}, disabled=[MEMBERS[2]]
    )
    plan = text_plan.plan(proxied(), new)
    assert isinstance(plan, TextPlan)
    backend = new.backends[0].name
    check = "check inter 1s fall 2 rise 2"
    number = text_servers.numbers(new.backends[0])[MEMBERS[2]]
    assert list(plan.commands) == [
        f"set server {backend}/{MEMBERS[1]} weight 5",
        f"add server {backend}/{MEMBERS[2]} 127.0.0.1:3 weight 1 {check} id {number}",
        f"enable health {backend}/{MEMBERS[2]}",
        f"set server {backend}/{MEMBERS[0]} state maint",
        f"del server {backend}/{MEMBERS[0]}",
    ]
    assert plan.removed == ((backend, MEMBERS[0]),)
    assert plan.added == ((backend, MEMBERS[2]),)
    assert {place: (one.weight, one.disabled) for place, one in plan.wanted.items()} == {
        (backend, MEMBERS[1]): (5, False),
        (backend, MEMBERS[2]): (1, True),
    }


def test_a_server_with_a_number_of_its_own_comes_at_run_time() -> None:
    # Given what Libra's own provider writes of a pool, before and after a member came
    old = "backend b:l\n balance leastconn\n server one 192.0.2.1:80 id 7 weight 1\n"
    plan = text_plan.plan(parse(old), parse(old + " server two 192.0.2.2:80 id 9 weight 3\n"))
    # Then it needs no reload, and has the number that the file gives it
    assert isinstance(plan, TextPlan)
    assert list(plan.commands) == [
        "add server b:l/two 192.0.2.2:80 weight 3 id 9",
        "enable server b:l/two",
    ]


def test_comments_and_spaces_take_nothing() -> None:
    other = configuration(Proxy(port=80, members={MEMBERS[0]: 1, MEMBERS[1]: 2}))
    plan = text_plan.plan(proxied(), parse("# new\n" + other.replace("    ", "\t")))
    assert plan == TextPlan()


@pytest.mark.parametrize(
    "fields",
    [
        {"port": 81},
        {"mode": "tcp"},
        {"frontend_lines": ("http-request deny",)},
        {"members": {MEMBERS[0]: 9, MEMBERS[1]: 2}},
        {"members": {MEMBERS[0]: 1}, "balance": "source"},
        {"members": {MEMBERS[0]: 1}, "check": " check cookie x"},
    ],
)
def test_everything_else_is_a_reload(fields: dict[str, object]) -> None:
    assert isinstance(text_plan.plan(proxied(), proxied(**fields)), str)


@pytest.mark.parametrize(
    "fields",
    [
        {"balance": "source"},
        {"balance": "first"},
        {"backend_lines": ("cookie SRV insert indirect nocache",)},
        {"backend_lines": ("stick-table type ip size 1k", "stick on src")},
        {"check": " ssl verify none"},
        {"check": " cookie x"},
    ],
)
def test_backends_that_keep_clients_or_hash_are_reloaded(fields: dict[str, object]) -> None:
    more = proxied(members={name: n for n, name in enumerate(MEMBERS, 1)}, **fields)
    assert isinstance(text_plan.plan(proxied(**fields), more), str)


@pytest.mark.parametrize("line", ["default-server inter 2s", "cookie SRV insert"])
def test_servers_that_inherit_from_defaults_are_reloaded(line: str) -> None:
    old, new = (
        parse(f"defaults\n {line}\n" + configuration(Proxy(port=80, members=members)))
        for members in ({MEMBERS[0]: 1}, {MEMBERS[0]: 1, MEMBERS[1]: 2})
    )
    assert isinstance(text_plan.plan(old, new), str)


def test_many_changes_are_a_reload() -> None:
    many = proxied(members={f"m{number}": 1 for number in range(400)})
    assert text_plan.plan(proxied(), many) == "many servers have changed"


# -- what HAProxy serves --------------------------------------------------------------------------


def serving(
    rows: list[tuple[str, str, int, int, bool]], *, closed: bool = False
) -> tuple[Text, Snapshot, str]:
    text = proxied()
    backend = text.backends[0].name
    servers = [
        ServerRow(backend, name, 0, address, port, weight, maintenance=maintenance)
        for name, address, port, weight, maintenance in rows
    ]
    status = "STOP" if closed else "OPEN"
    seen = Snapshot(
        pid=1, digest="", servers=tuple(servers), frontends={text.frontends[0].name: status}
    )
    return text, seen, backend


BOTH = [(MEMBERS[0], "127.0.0.1", 1, 1, False), (MEMBERS[1], "127.0.0.1", 2, 1, False)]


def test_haproxy_that_has_the_names_of_a_text_serves_it() -> None:
    text, seen, _ = serving(BOTH)
    assert differences(text, seen=seen, changed={}) == []


def test_what_is_closed_missing_or_left_over_is_told() -> None:
    text, seen, backend = serving([BOTH[0], ("other", "127.0.0.1", 3, 1, False)], closed=True)
    assert differences(text, seen=seen, changed={}) == [
        f"{LISTENER} is not open",
        f"{backend}/{MEMBERS[1]} is missing",
        f"{backend}/other is still there",
    ]


@pytest.mark.parametrize("maintenance", [True, False])
def test_a_server_that_leaves_may_be_there_as_long_as_it_takes_nothing(maintenance: bool) -> None:
    text, seen, backend = serving([*BOTH, ("gone", "127.0.0.1", 3, 1, maintenance)])
    told = differences(text, seen=seen, leaving={(backend, "gone")}, changed={})
    assert told == ([] if maintenance else [f"{backend}/gone is still there"])


@pytest.mark.parametrize(
    "there",
    [
        ("127.0.0.2", 3, 1, False),
        ("127.0.0.1", 4, 1, False),
        ("127.0.0.1", 3, 2, False),
        ("127.0.0.1", 3, 1, True),
        ("-", 3, 1, False),
    ],
)
def test_a_server_changed_at_run_time_must_be_as_the_text_has_it(
    there: tuple[str, int, int, bool],
) -> None:
    # Given a server that came at run time, and a HAProxy that has an older one of its name
    new = proxied(members={MEMBERS[0]: 1, MEMBERS[1]: 2, MEMBERS[2]: 3})
    plan = text_plan.plan(proxied(), new)
    assert isinstance(plan, TextPlan)
    _, good, backend = serving([*BOTH, (MEMBERS[2], "127.0.0.1", 3, 1, False)])
    _, bad, _ = serving([*BOTH, (MEMBERS[2], *there)])
    # Then that is seen, and the right one is not complained of
    assert differences(new, seen=good, changed=plan.wanted) == []
    wrong = [f"{backend}/{MEMBERS[2]} is not as the text has it"]
    assert differences(new, seen=bad, changed=plan.wanted) == wrong
