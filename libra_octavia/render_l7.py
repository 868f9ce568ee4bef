"""What a frontend does with requests by their policies, and what members are told of them.

HAProxy goes through the rules that answer a request itself before those that choose a backend, so
actions go in the order that Octavia's documents name: REJECT, the redirections, REDIRECT_TO_POOL;
those of one kind by their positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from libra_haproxy import tokens
from libra_haproxy.tokens import Token
from libra_octavia import words
from libra_octavia.l7 import Action, Compare, Policy, Rule, RuleType
from libra_octavia.model import Header, Listener, Protocol

_MATCH = {
    Compare.CONTAINS: tokens.keyword("sub"),
    Compare.ENDS_WITH: tokens.keyword("end"),
    Compare.EQUAL_TO: tokens.keyword("str"),
    Compare.REGEX: tokens.keyword("reg"),
    Compare.STARTS_WITH: tokens.keyword("beg"),
}
_SAMPLES = {
    Header.FORWARDED_IP: words.expanded(words.sample("src")),
    Header.CLIENT_IP: words.expanded(words.sample("src")),
    Header.REAL_IP: words.expanded(words.sample("src")),
    Header.SSL_VERIFY: words.expanded(words.sample("ssl_c_verify")),
    Header.SSL_HAS_CERT: words.HAS_CERTIFICATE,
    Header.SSL_DN: words.expanded(words.sample("ssl_c_s_dn")),
    Header.SSL_CN: words.expanded(words.sample("ssl_c_s_dn", "cn")),
    Header.SSL_ISSUER: words.expanded(words.sample("ssl_c_i_dn")),
    Header.SSL_SHA1: words.expanded(words.sample("ssl_c_sha1", None, "hex")),
    Header.SSL_NOT_BEFORE: words.expanded(words.sample("ssl_c_notbefore")),
    Header.SSL_NOT_AFTER: words.expanded(words.sample("ssl_c_notafter")),
}
"""What members are told of a client, in the words of the provider driver guide."""


@dataclass(frozen=True)
class Requests:
    """The lines of a frontend: the ACLs, what answers by itself, and what chooses a backend."""

    acls: tuple[Token, ...]
    answers: tuple[Token, ...]
    choices: tuple[Token, ...]


def requests(listener: Listener, backends: dict[str, Token]) -> Requests:
    """The lines for all policies; `backends` are the names of those there are, by pool."""
    acls: list[Token] = []
    rejections: list[Token] = []
    redirections: list[Token] = []
    choices: list[Token] = []
    places = {Action.REJECT: rejections, Action.REDIRECT_TO_POOL: choices}
    for number, policy in enumerate(listener.policies, 1):
        action = _action(policy, backends)
        if action is None or not policy.in_force:
            continue
        conditions = []
        for place, rule in enumerate(policy.in_force, 1):
            name = words.label(f"policy{number}_rule{place}")
            acls += [tokens.words(tokens.keyword("acl"), name, *found) for found in _acls(rule)]
            conditions.append(words.opposite(name) if rule.invert else name)
        line = tokens.words(*action, tokens.keyword("if"), *conditions)
        places.get(policy.action, redirections).append(line)
    return Requests(acls=tuple(acls), answers=(*rejections, *redirections), choices=tuple(choices))


def _action(policy: Policy, backends: dict[str, Token]) -> Sequence[Token] | None:
    """What a policy does; None where its pool is down, and requests go on to the next one."""
    match policy.action:
        case Action.REJECT:
            return _words("http-request", "deny")
        case Action.REDIRECT_TO_POOL:
            backend = backends.get(policy.pool_id or "")
            return None if backend is None else (tokens.keyword("use_backend"), backend)
        case Action.REDIRECT_TO_URL | Action.REDIRECT_PREFIX:
            way = "location" if policy.action is Action.REDIRECT_TO_URL else "prefix"
            code = tokens.number(policy.code, low=301, high=308)
            return (
                *_words("http-request", "redirect", way),
                words.said(policy.url or ""),
                *(tokens.keyword("code"), code),
            )


def _acls(rule: Rule) -> Iterator[Sequence[Token]]:
    """What is behind the name of an ACL, for each of its lines; one that matches is enough."""
    match rule.type:
        case RuleType.HOST_NAME:
            # The header may have a port behind the name, and the value of the rule too.
            for found in (("req.hdr", "host"), ("req.hdr", "host", "host_only")):
                yield (words.sample(*found), words.option("i"), *_compared(rule))
        case RuleType.PATH:
            yield (words.sample("path"), *_compared(rule))
        case RuleType.FILE_TYPE:
            way = Compare.ENDS_WITH if rule.compare is Compare.EQUAL_TO else rule.compare
            yield (words.sample("path"), *_compared(rule, way))
        case RuleType.HEADER:
            # A header that is a list is compared by its elements, and as a whole.
            for fetch in ("req.hdr", "req.fhdr"):
                yield (words.sample(fetch, rule.key), *_compared(rule))
        case RuleType.COOKIE:
            yield (words.sample("req.cook", rule.key), *_compared(rule))
        case RuleType.SSL_CONN_HAS_CERT:
            yield (words.sample("ssl_c_used"),)
        case RuleType.SSL_VERIFY_RESULT:
            result = tokens.number(int(rule.value))
            yield (words.sample("ssl_c_verify"), tokens.keyword("eq"), result)
        case RuleType.SSL_DN_FIELD:
            yield (words.sample("ssl_c_s_dn", rule.key), *_compared(rule))


def _compared(rule: Rule, way: Compare | None = None) -> Sequence[Token]:
    return (words.option("m"), _MATCH[way or rule.compare], *words.pattern(rule.value))


def headers(listener: Listener) -> tuple[Token, ...]:
    """The lines of a backend that tell members about the client."""
    return tuple(tokens.words(*line) for line in _headers(listener))


def _headers(listener: Listener) -> Iterator[Sequence[Token]]:
    if Header.FORWARDED_FOR in listener.headers:
        yield _words("option", "forwardfor")
    told: list[tuple[str, Token]] = []
    if listener.forwarded_port is not None:
        port = tokens.number(listener.forwarded_port, low=1, high=65535)
        told.append(("X-Forwarded-Port", port))
    if Header.FORWARDED_PROTO in listener.headers:
        scheme = "https" if listener.protocol is Protocol.TERMINATED_HTTPS else "http"
        told.append((Header.FORWARDED_PROTO, tokens.keyword(scheme)))
    told += [(name, _SAMPLES[name]) for name in listener.headers if name in _SAMPLES]
    for name, value in told:
        yield (*_words("http-request", "set-header", name), value)


def _words(*names: str) -> Sequence[Token]:
    return tuple(map(tokens.keyword, names))
