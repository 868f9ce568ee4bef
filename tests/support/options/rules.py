"""Options of L7 rules."""

from __future__ import annotations

from typing import Any

from tests.support.octavia_tls import authority_pem, client, clients, container, issued
from tests.support.options.policies import path, policy, serve
from tests.support.options.registry import Refusal, served
from tests.support.options.stage import Stage

KIND = "L7 rule"


def rejects(stage: Stage, rule: dict[str, Any], matching: Any, other: Any) -> None:
    """A policy of this rule keeps out what matches and nothing else."""
    serve(stage, policy("REJECT", rule))
    for found in matching:
        assert stage.get(**found).status == 403, (rule, found)
    for found in other:
        assert stage.get(**found).body == b"default", (rule, found)


def each_alone(
    stage: Stage, rule: dict[str, Any], texts: dict[str, str], no: tuple[str, ...]
) -> None:
    """Of rules by these values each matches its own text, sent as X-Text, and nothing else."""
    away = [
        policy("REDIRECT_TO_URL", {**rule, "value": value}, redirect_url=f"http://a.org/{number}")
        for number, value in enumerate(texts)
    ]
    serve(stage, *away)
    for number, text in enumerate(texts.values()):
        found = stage.get(headers={"X-Text": text}).headers
        assert found.get("Location") == f"http://a.org/{number}", text
    for text in no:
        assert stage.get(headers={"X-Text": text}).body == b"default", text


def header(name: str, *values: str) -> list[dict[str, Any]]:
    return [{"headers": {name: value}} for value in values]


def paths(*values: str) -> list[dict[str, Any]]:
    return [{"path": value} for value in values]


@served(
    KIND,
    "type PATH",
    "compare_type STARTS_WITH",
    "compare_type ENDS_WITH",
    "compare_type CONTAINS",
    "compare_type EQUAL_TO",
    passes="a request whose path does not match",
    fails="one whose path matches (the query is no part of it): 403",
    refusal=Refusal(path("-f", "EQUAL_TO"), "value: '-f' would be taken"),
)
def type_path(stage: Stage) -> None:
    rejects(stage, path("/a"), paths("/a", "/ab?x"), paths("/", "/b/a"))
    rejects(stage, path("/a", "ENDS_WITH"), paths("/a", "/b/a?x"), paths("/a/", "/A"))
    rejects(stage, path("a%20'", "CONTAINS"), paths("/xa%20'x"), paths("/a%20", "/?a%20'"))
    rejects(stage, path("/a", "EQUAL_TO"), paths("/a", "/a?b"), paths("/a/", "/aa", "/"))


@served(
    KIND,
    "compare_type REGEX",
    passes="a request that the expression does not match",
    fails="one that it matches, with quotes, `#`, spaces and backslashes in it: 403",
    refusal=Refusal(path(r"\u0041", "REGEX"), "value"),
)
def regex(stage: Stage) -> None:
    rule = {"type": "HEADER", "compare_type": "REGEX", "key": "X-Text"}
    each_alone(
        stage,
        rule,
        {
            r"^a \"b' #[0-9]{2}$": "a \"b' #12",
            r"^\$%\[env\(X\)\]$": "$%[env(X)]",
            r"a\),lower|--|\\": "xa),lower",
        },
        no=("a \"b' #1", "%[env(X)]", "a"),
    )
    rejects(stage, path("^/(a|b)/[0-9]+$", "REGEX"), paths("/a/1", "/b/22"), paths("/c/1", "/a/"))


@served(
    KIND,
    "type HOST_NAME",
    passes="a request for another host",
    fails="one for the host, in capitals or with a port too: 403",
    refusal=Refusal(
        {"type": "HOST_NAME", "compare_type": "EQUAL_TO", "value": "a b"}, by="Octavia"
    ),
)
def type_host_name(stage: Stage) -> None:
    rule = {"type": "HOST_NAME", "compare_type": "EQUAL_TO", "value": "www.example.org"}
    named = header("Host", "www.example.org", "WWW.Example.org", "www.example.org:8080")
    rejects(stage, rule, named, header("Host", "example.org", "www.example.org.uk"))
    ends = {**rule, "compare_type": "ENDS_WITH", "value": ".example.org"}
    rejects(stage, ends, header("Host", "a.example.org", "a.example.org:81"), header("Host", "x"))


@served(
    KIND,
    "type HEADER",
    "key",
    "value",
    passes="a request without the header, or with another value",
    fails="one with it, alone or in a list: 403",
    refusal=Refusal(
        {"type": "HEADER", "compare_type": "EQUAL_TO", "key": "X'Y", "value": "a"}, "key"
    ),
)
def type_header(stage: Stage) -> None:
    rule = {"type": "HEADER", "compare_type": "EQUAL_TO", "key": "X-Kind", "value": "a"}
    rejects(stage, rule, header("X-Kind", "a", "b, a"), [*header("X-Kind", "A", "ab"), {}])
    values = ("a,b", '"quoted"', "%[env(X)]", "a#b", "}", "-x", "\\", "${HOME}", "a),lower")
    each_alone(stage, {**rule, "key": "X-Text"}, {one: one for one in values}, no=("z", "a"))


@served(
    KIND,
    "type COOKIE",
    passes="a request without the cookie, or with another value",
    fails="one with it: 403",
    refusal=Refusal(
        {"type": "COOKIE", "compare_type": "EQUAL_TO", "key": "a)b", "value": "a"}, by="Octavia"
    ),
)
def type_cookie(stage: Stage) -> None:
    rule = {"type": "COOKIE", "compare_type": "EQUAL_TO", "key": "sid", "value": "a'b"}
    rejects(stage, rule, header("Cookie", "x=1; sid=a'b"), header("Cookie", "sid=ab", "tid=a'b"))


@served(
    KIND,
    "type FILE_TYPE",
    passes="a request for another type of file",
    fails="one for the type: 403",
    refusal=Refusal(
        {"type": "FILE_TYPE", "compare_type": "STARTS_WITH", "value": "jpg"}, by="Octavia"
    ),
)
def type_file_type(stage: Stage) -> None:
    rule = {"type": "FILE_TYPE", "compare_type": "EQUAL_TO", "value": "jpg"}
    rejects(stage, rule, paths("/a.jpg", "/a/b.jpg?x=1"), paths("/a.png", "/jpg/"))
    several = {**rule, "compare_type": "REGEX", "value": "(jpe?g|gif)$"}
    rejects(stage, several, paths("/a.jpeg", "/a.gif"), paths("/a.png"))


@served(
    KIND,
    "invert",
    passes="a request that matches",
    fails="one that does not match: 403",
    refusal=Refusal(path("/x", invert="perhaps"), by="Octavia"),
)
def invert(stage: Stage) -> None:
    rejects(stage, path("/public", invert=True), paths("/private", "/"), paths("/public/x"))
    # Neither the host alone nor the host with its port.
    rule = {"type": "HOST_NAME", "compare_type": "EQUAL_TO", "value": "a.org", "invert": True}
    rejects(stage, rule, header("Host", "b.org"), header("Host", "a.org", "a.org:80"))


@served(
    KIND,
    "admin_state_up",
    passes="a request that only a rule that is down would keep out",
    fails="one that all rules that are up match: 403",
)
def admin_state_up(stage: Stage) -> None:
    serve(stage, policy("REJECT", path("/x"), path("/never", admin_state_up=False)))
    assert stage.get("/x").status == 403
    serve(stage, policy("REJECT", path("/x", admin_state_up=False)))
    assert stage.get("/x").body == b"default"


def of_tls(stage: Stage, rule: dict[str, Any]) -> None:
    """A listener that ends TLS, takes clients with and without certificates, and rejects some."""
    stage.simple(
        stage.web("default"),
        front={
            "protocol": "TERMINATED_HTTPS",
            "default_tls_container_ref": "www",
            "client_authentication": "OPTIONAL",
            "client_ca_tls_container_ref": "clients",
            "l7policies": [policy("REJECT", rule)],
        },
        secrets={
            "www": container("www.example.org"),
            "clients": authority_pem(clients()),
        },
    )


def known(common_name: str | None = None) -> Any:
    """A client with a certificate."""
    return client(shows=issued("one@example.org", signer="clients", common_name=common_name))


@served(
    KIND,
    "type SSL_CONN_HAS_CERT",
    passes="a client that shows no certificate",
    fails="one that does: 403 (with `invert` the other way round)",
    refusal=Refusal(
        {"type": "SSL_CONN_HAS_CERT", "compare_type": "EQUAL_TO", "value": "false"}, by="Octavia"
    ),
)
def has_cert(stage: Stage) -> None:
    rule = {"type": "SSL_CONN_HAS_CERT", "compare_type": "EQUAL_TO", "value": "true"}
    of_tls(stage, rule)
    assert stage.get(context=client()).status == 200
    assert stage.get(context=known()).status == 403
    of_tls(stage, {**rule, "invert": True})
    assert stage.get(context=client()).status == 403
    assert stage.get(context=known()).status == 200


@served(
    KIND,
    "type SSL_VERIFY_RESULT",
    passes="a client whose result is another one",
    fails="one whose certificate was checked with this result: 403",
    refusal=Refusal(
        {"type": "SSL_VERIFY_RESULT", "compare_type": "EQUAL_TO", "value": "good"}, by="Octavia"
    ),
    note=(
        "certificates that are no good are refused before any rule is looked at, so 0 is the only"
        " result there is"
    ),
)
def verify_result(stage: Stage) -> None:
    rule = {"type": "SSL_VERIFY_RESULT", "compare_type": "EQUAL_TO", "value": "0"}
    of_tls(stage, rule)
    assert stage.get(context=known()).status == 403
    of_tls(stage, {**rule, "value": "10"})
    assert stage.get(context=known()).status == 200


@served(
    KIND,
    "type SSL_DN_FIELD",
    passes="a client whose certificate has another value there",
    fails="one whose certificate has it: 403",
    refusal=Refusal(
        {"type": "SSL_DN_FIELD", "compare_type": "EQUAL_TO", "key": "C,N", "value": "x"},
        by="Octavia",
    ),
)
def dn_field(stage: Stage) -> None:
    rule = {"type": "SSL_DN_FIELD", "compare_type": "ENDS_WITH", "key": "CN", "value": "'s #1"}
    of_tls(stage, rule)
    assert stage.get(context=known("Somebody's #1")).status == 403
    assert stage.get(context=known("Somebody's #2")).status == 200
    assert stage.get(context=client()).status == 200
