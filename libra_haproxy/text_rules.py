"""What a controller's text may not do: reach out of HAProxy into its machine. Pure.

The words are HAProxy's (configuration manual, 3 to 7). What only HAProxy needs is let through,
known or not; what would run a program, read or write a file, speak to a local socket or take
another user or namespace is refused by name. Files are allowed where the caller knows them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator

from libra_haproxy.text import OTHER_SECTIONS, Complaint, Line, Section, Text
from libra_haproxy.text_words import word_set

FILE_WORDS = word_set("crt crt-list ca-file crl-file ca-verify-file ca-sign-file ssl-dh-param-file")
"""Words that take a file of certificates in the word behind them."""

PING = "/var/lib/octavia/ping-wrapper.sh"
"""The one check program that Octavia's configurations name; ours takes its place."""

LOG_SOCKETS = frozenset({"/dev/log", "/run/rsyslog/octavia/log"})

Known = Callable[[str, str], bool]
"""Whether the file behind a word may be read, by both."""

_REFUSED = word_set(
    "ca-base chroot crt-base default-path errorfile errorfiles h1-case-adjust-file "
    "insecure-setuid-wanted issuers-chain-path namespace presetenv program resetenv "
    "setenv ssl-engine ssl-propquery ssl-provider ssl-provider-path unix-bind "
    "unsetenv use-fcgi-app key-base"
)
_REFUSED_STARTS = ("lua-", "51degrees-", "deviceatlas-", "wurfl-", ".")
_READS_FILES = word_set("file lf-file errorfile errorfiles")
_ACTIONS = word_set(
    "http-request http-response http-after-response http-error tcp-request tcp-response stats"
)
_WITH_OPTIONS = word_set("bind server server-template default-server peer")
_ADDRESSED = _WITH_OPTIONS | word_set("dispatch source nameserver mailer")
_VALUES_ONLY = word_set("description log-format log-format-sd log-tag unique-id-format")
_FILTERS = word_set("compression cache bwlim-in bwlim-out")
_OURS = "proc.libra"  # how it is known which text a process serves
_LOCAL = re.compile(
    r"(?:^|,)(?:unix|uxst|uxdg|abnsz?|fd|sockpair|ring|rhttp|vsock)@", re.IGNORECASE
)
_MAP = re.compile(r"(?:^|[^a-z0-9_])map(?:_[a-z0-9_]+)?\(")
_KEYWORD = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)


def complaints(text: Text, *, known: Known) -> list[Complaint]:
    """All that is refused in a text; `known` says whether a word's file may be read."""
    return [
        Complaint(line.number, what)
        for section in text.sections
        for line in section.lines
        if line.words
        for what in _of_line(section, line, known)
    ]


def _of_line(section: Section, line: Line, known: Known) -> Iterator[str]:
    words = line.words
    if words[0] in ("no", "default") and len(words) > 1:
        words = words[1:]
    keyword = words[0]
    if keyword in OTHER_SECTIONS:
        yield f"a section '{keyword}' is not allowed."
        return
    if section.keyword in OTHER_SECTIONS:
        return
    if not section.keyword:
        yield f"unknown keyword '{keyword}' out of section."
        return
    if keyword.startswith(_REFUSED_STARTS) or keyword in _REFUSED:
        yield f"'{keyword}' is not allowed."
        return
    plain = line.raw.split(None, 1)[0]
    if not _KEYWORD.fullmatch(plain):
        yield f"'{keyword}' must be written plainly."
    yield from _of_meaning(words)
    if keyword not in _VALUES_ONLY:
        yield from _of_words(keyword, words, known)


def _of_meaning(words: tuple[str, ...]) -> Iterator[str]:
    """What particular keywords may not be given."""
    match words:
        case ("external-check", "command", program, *_) if program != PING:
            yield f"the check program '{program}' is not allowed."
        case ("external-check", "path", *_):
            yield "'external-check path' is not allowed."
        case ("filter", name, *_) if name not in _FILTERS:
            yield f"the filter '{name}' is not allowed."
        case ("log", target, *_) if target.startswith("/") and target not in LOG_SOCKETS:
            yield f"logging to '{target}' is not allowed."
        case ("tcp-check" | "http-check", "connect", *options):
            for word, address in itertools.pairwise(options):
                if word == "addr" and _is_path(address):
                    yield f"the address '{address}' is not allowed."


def _of_words(keyword: str, words: tuple[str, ...], known: Known) -> Iterator[str]:
    options = keyword in _WITH_OPTIONS
    before = ""
    for word, behind in zip(words, (*words[1:], ""), strict=True):
        path = keyword in _ADDRESSED and before not in FILE_WORDS and _is_path(word)
        before = word
        if path:
            yield f"the address '{word}' is not allowed."
        elif word in FILE_WORDS and (options or word == keyword):
            if not known(word, behind) and not (word == "ca-file" and behind.startswith("@")):
                yield f"the file '{behind}' of '{word}' is not one of this load balancer's."
        elif (
            (options and word == "namespace")
            or (keyword in _ACTIONS and word in _READS_FILES)
            or (not options and word in ("-f", "-M"))
        ):
            yield f"'{word}' is not allowed here."
        elif _LOCAL.search(word) or _MAP.search(word) or _OURS in word:
            yield f"'{word}' is not allowed."


def _is_path(address: str) -> bool:
    return any(one.startswith("/") for one in address.split(","))
