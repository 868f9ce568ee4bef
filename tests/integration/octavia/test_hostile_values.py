"""Whatever a customer types in is refused by name, or stands in the file as what it is."""

from __future__ import annotations

import random
import string
import subprocess
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from octavia_lib.api.drivers import data_models

from libra_haproxy.text import parse
from libra_haproxy.text_rules import complaints
from libra_octavia.files import files
from libra_octavia.objects import Unsupported
from libra_octavia.render import Place, render
from libra_octavia.translate import translate
from tests.support.haproxies import HAPROXIES
from tests.support.octavia_tls import authority_pem, clients, container
from tests.support.octavia_trees import (
    HOSTILE,
    listener,
    member,
    monitor,
    policy,
    pool,
    rule,
    tree,
)
from tests.support.options.policies import path, serve
from tests.support.options.policies import policy as asked_policy
from tests.support.options.stage import RenderedStage

LB = "2b6f8d3c-15e4-4d9a-9b6e-2f4f4a3c1d77"

Spoil = Callable[[str], dict[str, Any]]


def spoilt(**spoils: Any) -> data_models.LoadBalancer:
    """A tree with every option that takes a text, right but for what is given."""
    rules = [
        rule(l7rule_id="r", **{"type": "HEADER", "key": "X-A", **spoils.get("rule", {})}),
        rule(l7rule_id="s", type="HOST_NAME", compare_type="EQUAL_TO", value="a.org"),
    ]
    first = {"action": "REDIRECT_TO_URL", "redirect_url": "http://a.org/"}
    second = {"action": "REDIRECT_PREFIX", "redirect_prefix": "http://a.org"}
    policies = [
        policy(l7policy_id="x", **{**first, **spoils.get("policy", {})}, rules=rules),
        policy(
            l7policy_id="y", position=2, **{**second, **spoils.get("prefix", {})}, rules=[rule()]
        ),
    ]
    behind = pool(
        pool_id="pool",
        members=[member(member_id="m")],
        healthmonitor=monitor(
            **{"http_version": 1.1, "domain_name": "a.org", **spoils.get("monitor", {})}
        ),
        session_persistence={"type": "APP_COOKIE", "cookie_name": "c", **spoils.get("sticky", {})},
        tls_enabled=True,
        **spoils.get("pool", {}),
    )
    front = listener(
        **{
            "listener_id": LB,
            "protocol": "TERMINATED_HTTPS",
            "protocol_port": 20000,
            "default_pool_id": "pool",
            "default_tls_container_data": container("www.example.org"),
            "default_tls_container_ref": "ref",
            "client_ca_tls_container_data": authority_pem(clients()),
            "client_authentication": "OPTIONAL",
            "insert_headers": {"X-Forwarded-For": "true", "X-Forwarded-Port": "true"},
            "allowed_cidrs": ["192.0.2.0/24"],
            "tls_ciphers": "HIGH",
            "tls_versions": ["TLSv1.2"],
            "alpn_protocols": ["h2"],
            "hsts_max_age": 10,
            "l7policies": policies,
            **spoils.get("listener", {}),
        }
    )
    return tree([front], [behind], loadbalancer_id=LB)


PLACES: dict[str, Spoil] = {
    "redirect_url": lambda text: {"policy": {"redirect_url": text}},
    "redirect_url (its path)": lambda text: {"policy": {"redirect_url": f"http://a.org/{text}"}},
    "redirect_prefix": lambda text: {"prefix": {"redirect_prefix": f"https://a.org/{text}"}},
    "redirect_http_code": lambda text: {"policy": {"redirect_http_code": text}},
    "value": lambda text: {"rule": {"value": text}},
    "value (REGEX)": lambda text: {"rule": {"value": text, "compare_type": "REGEX"}},
    "value (PATH)": lambda text: {"rule": {"value": text, "type": "PATH", "key": None}},
    "value (COOKIE)": lambda text: {"rule": {"value": text, "type": "COOKIE", "key": "c"}},
    "value (DN)": lambda text: {"rule": {"value": text, "type": "SSL_DN_FIELD", "key": "CN"}},
    "value (RESULT)": lambda text: {
        "rule": {
            "value": text,
            "type": "SSL_VERIFY_RESULT",
            "compare_type": "EQUAL_TO",
            "key": None,
        }
    },
    "key": lambda text: {"rule": {"key": text}},
    "key (COOKIE)": lambda text: {"rule": {"key": text, "type": "COOKIE"}},
    "key (DN)": lambda text: {"rule": {"key": text, "type": "SSL_DN_FIELD"}},
    "type": lambda text: {"rule": {"type": text}},
    "compare_type": lambda text: {"rule": {"compare_type": text}},
    "action": lambda text: {"policy": {"action": text}},
    "X-Forwarded-Port": lambda text: {
        "listener": {"insert_headers": {"X-Forwarded-For": "true", "X-Forwarded-Port": text}}
    },
    "insert_headers": lambda text: {"listener": {"insert_headers": {text: "true"}}},
    "allowed_cidrs": lambda text: {"listener": {"allowed_cidrs": [text]}},
    "tls_ciphers": lambda text: {"listener": {"tls_ciphers": text}},
    "tls_versions": lambda text: {"listener": {"tls_versions": [text]}},
    "alpn_protocols": lambda text: {"listener": {"alpn_protocols": [text]}},
    "client_authentication": lambda text: {"listener": {"client_authentication": text}},
    "hsts_max_age": lambda text: {"listener": {"hsts_max_age": text}},
    "default_tls_container_ref": lambda text: {
        "listener": {"default_tls_container_data": container("a.org") | {"certificate": text}}
    },
    "client_ca_tls_container_ref": lambda text: {
        "listener": {"client_ca_tls_container_data": text or "x"}
    },
    "tls_ciphers (pool)": lambda text: {"pool": {"tls_ciphers": text}},
    "alpn_protocols (pool)": lambda text: {"pool": {"alpn_protocols": [text]}},
    "cookie_name": lambda text: {"sticky": {"cookie_name": text}},
    "url_path": lambda text: {"monitor": {"url_path": text}},
    "domain_name": lambda text: {"monitor": {"domain_name": text}},
    "expected_codes": lambda text: {"monitor": {"expected_codes": text}},
}
"""Every field of text that comes from a customer, and how to put a text there."""

HARMLESS = {
    "redirect_url": "http://a.org/x",
    "redirect_url (its path)": "x",
    "redirect_prefix": "x",
    "value": "x",
    "value (REGEX)": "x",
    "value (PATH)": "x",
    "value (COOKIE)": "x",
    "value (DN)": "x",
    "value (RESULT)": "7",
    "key": "X-B",
    "key (COOKIE)": "x",
    "key (DN)": "O",
    "X-Forwarded-Port": "81",
    "allowed_cidrs": "198.51.100.0/24",
    "tls_ciphers": "HIGH",
    "tls_ciphers (pool)": "HIGH",
    "alpn_protocols": "h2",
    "alpn_protocols (pool)": "h2",
    "cookie_name": "x",
    "url_path": "/x",
    "domain_name": "x.org",
    "expected_codes": "200",
}
"""A right text for those fields that take more than words of Octavia's."""

_KNOWN = st.sampled_from(
    [
        "http://a.org/%[env(HOME)]",
        "a\x85b",
        "a b",
        "} { ",
        "--",
        "-i",
        "crt",
        "crt-list /etc/passwd",
        "%",
        "%%",
        "\\",
        "'",
        '"',
        "''\\''",
        "${HOME}",
        "a),lower,map(/etc/passwd)",
    ]
)


def skeleton(text: str) -> list[tuple[str, ...]]:
    """What each line is about, and of how many words, whatever these are."""
    return [
        (section.keyword, section.name, line.words[0], str(len(line.words)))
        for section in parse(text).sections
        for line in section.lines
        if line.words
    ]


def said_by_haproxy(text: str, folder: Path) -> str:
    """What HAProxy has against a file; nothing where it takes it."""
    file = folder / "haproxy.cfg"
    file.write_text(text)
    done = subprocess.run(
        [HAPROXIES[0].path(), "-c", "-L", "device-1", "-f", str(file)],
        env={},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return "" if done.returncode == 0 and "[WARNING]" not in done.stderr else done.stderr


@pytest.mark.parametrize("where", PLACES)
@settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)
@given(text=HOSTILE | _KNOWN | st.text(st.characters(min_codepoint=32, max_codepoint=126)))
@example(text="\n    server evil 192.0.2.9:1")
@example(text="http://a.org/x'\n#")
@example(text=":")
def test_a_text_is_refused_by_name_or_adds_nothing_to_the_file(
    where: str, text: str, tmp_path: Path
) -> None:
    field = where.partition(" ")[0]
    place = Place(certificates=PurePosixPath(tmp_path), peer=("device-1", "127.0.0.1", 1025))
    named: list[str] = []
    try:
        balancer = translate(spoilt(**PLACES[where](text)))
    except Unsupported as error:
        named = [fault.field for fault in error.faults]
    if named:
        assert any(field in name for name in named)
        return
    found = render(balancer, place)
    for name, content in files(balancer, folder=place.certificates).items():
        (tmp_path / LB).mkdir(exist_ok=True)
        (tmp_path / LB / name).write_bytes(content)
    # HAProxy takes it, and so does a node of ours
    assert said_by_haproxy(found, tmp_path) == "", found
    assert complaints(parse(found), known=lambda _word, _path: True) == []
    # And there is no line that is not there with a harmless text, or with none.
    harmless = HARMLESS[where] if text else ""
    base = render(translate(spoilt(**PLACES[where](harmless))), place)
    assert skeleton(found) == skeleton(base)


def test_each_text_that_is_accepted_is_compared_and_sent_byte_for_byte(tmp_path: Path) -> None:
    # Given as many policies as a listener can have, each for a text of its own
    chance = random.Random(7)
    signs = string.printable[:95]
    texts = {"".join(chance.choices(signs, k=chance.randint(1, 30))).strip() for _ in range(60)}
    texts |= {"a#b", "'", '"', "\\", "%[env(X)]", "${X}", "a),lower", "--", "-i", "a,b", "}", "%20"}
    policies = []
    for number, text in enumerate(sorted(texts)):
        asked = {"type": "HEADER", "compare_type": "EQUAL_TO", "key": "X-Text", "value": text}
        url = f"http://a.org/{number}?%20'$;#(x),%41"
        policies.append(asked_policy("REDIRECT_TO_URL", asked, redirect_url=url))
    stage = RenderedStage(HAPROXIES[0], tmp_path)
    try:
        serve(stage, *policies, asked_policy("REJECT", path("/never")))
        # When each is sent, then each is answered by its own policy
        for number, text in enumerate(sorted(texts)):
            found = stage.get(headers={"X-Text": text})
            assert found.headers.get("Location") == f"http://a.org/{number}?%20'$;#(x),%41", text
        assert stage.get(headers={"X-Text": "none of them at all, never"}).body == b"default"
    finally:
        stage.close()
