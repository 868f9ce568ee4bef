"""The words of keepalived's LVS configuration that a controller may use, and their values. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from libra_haproxy.text_words import word_set

SCHEDULERS = word_set("rr wrr lc wlc lblc lblcr sh mh dh sed nq fo ovf")
"""How the kernel may choose among members."""

NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)
_SECONDS = re.compile(r"\d{1,6}(?:\.\d{1,6})?", re.ASCII)
_UDP_CHECK = ("lvs", "check", "udp_check.sh")
_SCTP_CHECK = "amphora-health-checker"
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}(?::[0-9]{1,5})?", re.ASCII)
_STATUS = re.compile(r"[1-9][0-9]{2}(?:-[1-9][0-9]{2})?", re.ASCII)
_PATH = re.compile(r"/[A-Za-z0-9._%:,=+*?&/-]{0,1024}", re.ASCII)


def number_up_to(most: int) -> Callable[[str], bool]:
    """Whether a word is a whole number from 0 to `most`."""
    return lambda word: word.isascii() and word.isdecimal() and len(word) < 12 and int(word) <= most


def _one_of(*words: str) -> Callable[[str], bool]:
    return lambda word: word in words


def _seconds(word: str) -> bool:
    return _SECONDS.fullmatch(word) is not None


def is_address(word: str) -> bool:
    """Whether a word is an IP address, of no particular interface."""
    try:
        return not getattr(ipaddress.ip_address(word), "scope_id", None)
    except ValueError:
        return False


def _mask(word: str) -> bool:
    return number_up_to(128)(word) or is_address(word)


def _checks(**more: Callable[[str], bool]) -> Mapping[str, Callable[[str], bool]]:
    common = {
        "connect_ip": is_address,
        "connect_port": number_up_to(65535),
        "connect_timeout": _seconds,
    }
    return {**common, **more}


VALUES: Mapping[tuple[str, ...], Mapping[str, Callable[[str], bool]]] = {
    ("virtual_server",): {
        "lb_algo": _one_of(*SCHEDULERS),
        "lvs_sched": _one_of(*SCHEDULERS),
        "lb_kind": _one_of("NAT"),
        "lvs_method": _one_of("NAT"),
        "protocol": _one_of("UDP", "SCTP"),
        "persistence_timeout": number_up_to(10**8),
        "persistence_granularity": _mask,
        "delay_loop": _seconds,
        "delay_before_retry": _seconds,
        "retry": number_up_to(10**6),
    },
    ("virtual_server", "real_server"): {
        "weight": number_up_to(65535),
        "uthreshold": number_up_to(10**9),
        "lthreshold": number_up_to(10**9),
    },
    ("virtual_server", "real_server", "MISC_CHECK"): {"misc_timeout": number_up_to(10**6)},
    ("virtual_server", "real_server", "TCP_CHECK"): _checks(),
    ("virtual_server", "real_server", "HTTP_GET"): _checks(http_protocol=_one_of("1.0", "1.1")),
    ("virtual_server", "real_server", "HTTP_GET", "url"): {
        "path": lambda word: _PATH.fullmatch(word) is not None,
        "status_code": lambda word: _STATUS.fullmatch(word) is not None,
        "virtualhost": lambda word: _HOST.fullmatch(word) is not None,
    },
}
"""For each block the words that one value may follow, and what that may be."""

SEVERAL = ("status_code",)
"""Those that more than one value may follow."""

FLAGS: Mapping[tuple[str, ...], tuple[str, ...]] = {("virtual_server",): ("sh-port",)}
"""For each block the words that stand alone."""

CHECKERS = ("MISC_CHECK", "TCP_CHECK", "HTTP_GET")


def check_words(command: str) -> tuple[str, ...]:
    """What to check in the words of Libra's own check. Raises ValueError for another program."""
    program, *words = command.split()
    seconds = "1"
    if PurePosixPath(program).parts[-3:] == _UDP_CHECK and len(words) == 2:
        kind = "udp"
    elif PurePosixPath(program).name == _SCTP_CHECK and words[:2] == ["sctp", "-t"]:
        kind, seconds, words = "sctp", words[2] if len(words) == 5 else "", words[3:]
    else:
        raise ValueError(f"the check program {program!r} is not run here")
    if len(words) != 2 or not is_address(words[0]) or not number_up_to(65535)(words[1]):
        raise ValueError(f"{program} is not given an address with a port")
    if not number_up_to(3600)(seconds):
        raise ValueError(f"{program} is not given a time")
    return kind, words[0], words[1], seconds
