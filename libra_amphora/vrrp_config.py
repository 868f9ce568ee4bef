"""What of a controller's keepalived.conf may run here, and the file made from it. Pure.

keepalived runs with the rights to change the node's network, and its language can run programs,
read and truncate files and pull in others. So a configuration is read here first, and only what
is on the lists below goes on. The one program that a controller names is its own node's check
script, `<base_path>/vrrp/check_script.sh`; it stands for "does HAProxy serve?", and Libra's own
check runs in its place. The language is read more strictly than keepalived does: a line is a
word with its values, with `{` at its end or not, or a `}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from libra_amphora.check_user import head
from libra_amphora.vrrp_errors import VrrpConfigRefused

LIMIT = 256 * 1024
"""The most bytes that a configuration may have."""

_CHECK_SCRIPT = ("vrrp", "check_script.sh")
_WORD = re.compile(r"[^\s{}\"'`$#!\\;&|<>()@~]+")
_FREE = "*"  # in place of words: any
_NUMBER = re.compile(r"\d{1,6}(?:\.\d{1,6})?", re.ASCII)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_GLOBAL = _words(
    "router_id vrrp_version vrrp_strict vrrp_skip_check_adv_addr"
    " vrrp_garp_master_delay vrrp_garp_master_repeat vrrp_garp_lower_prio_delay"
    " vrrp_garp_lower_prio_repeat vrrp_garp_master_refresh vrrp_garp_master_refresh_repeat"
    " vrrp_garp_interval vrrp_gna_interval vrrp_lower_prio_no_advert"
    " vrrp_higher_prio_send_advert vrrp_startup_delay max_auto_priority"
)
_SCRIPT = frozenset({"script", "interval", "timeout", "fall", "rise", "weight", "init_fail"})
_INSTANCE = _words(
    "state interface virtual_router_id priority preempt nopreempt preempt_delay accept no_accept"
    " advert_int version native_ipv6 garp_master_delay garp_master_repeat garp_lower_prio_delay"
    " garp_lower_prio_repeat garp_master_refresh garp_master_refresh_repeat garp_interval"
    " gna_interval unicast_src_ip mcast_src_ip dont_track_primary track_src_ip strict_mode"
    " lower_prio_no_advert higher_prio_send_advert skip_check_adv_addr check_unicast_src"
)
_BLOCKS: Mapping[str, Mapping[str, frozenset[str]]] = {
    "global_defs": {"": _GLOBAL},
    "vrrp_script": {"": _SCRIPT},
    "vrrp_sync_group": {
        "": frozenset({"global_tracking", "sync_group_tracking_weight"}),
        "group": frozenset({_FREE}),
        "track_script": frozenset({_FREE}),
        "track_interface": frozenset({_FREE}),
    },
    "vrrp_instance": {
        "": _INSTANCE,
        "authentication": frozenset({"auth_type", "auth_pass"}),
        "unicast_peer": frozenset({_FREE}),
        "virtual_ipaddress": frozenset({_FREE}),
        "virtual_ipaddress_excluded": frozenset({_FREE}),
        "virtual_routes": frozenset({_FREE}),
        "virtual_rules": frozenset({_FREE}),
        "track_script": frozenset({_FREE}),
        "track_interface": frozenset({_FREE}),
    },
}
"""For each section the words of its own level (under "") and of each block in it."""


@dataclass(frozen=True)
class _Line:
    """One line without its comment: its words, and the blocks that it stands in.

    A `}` stands in the block that it closes, and has no words.
    """

    number: int
    text: str
    words: tuple[str, ...]
    path: tuple[str, ...]
    opens: bool = False


@dataclass(frozen=True, kw_only=True)
class VrrpConfig:
    """A configuration that may run here, and the parts of it that others ask for.

    `text` is as it came.
    """

    text: str
    interfaces: tuple[str, ...]
    lines: tuple[_Line, ...]

    def to_run(self, *, check: str, script_user: tuple[str, str]) -> str:
        """The file that keepalived runs from: `check` is the command in place of any script.

        `script_user` are the user and group that it runs as.
        """
        body = [f'    script "{check}"' if _is_script(line) else line.text for line in self.lines]
        return "\n".join([*head(script_user), *body, ""])

    def to_check(self) -> str:
        """The file that `keepalived -t` reads: line for line the sender's, without scripts.

        keepalived 2.2 ends itself by SIGTERM, without a verdict, when it tests a file that has
        a script; what is said about scripts has been read here.
        """
        return "\n".join("" if _of_script(line) else line.text for line in self.lines) + "\n"


def read(data: bytes) -> VrrpConfig:
    """Read what a controller sent. Raises VrrpConfigRefused naming line and reason."""
    if len(data) > LIMIT:
        raise VrrpConfigRefused(f"the configuration has more than {LIMIT} bytes")
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise VrrpConfigRefused("the configuration is not ASCII text") from error
    lines = tuple(_lines(text))
    sections = [line.words[0] for line in lines if line.opens and not line.path]
    if "vrrp_instance" not in sections:
        raise VrrpConfigRefused("the configuration has no vrrp_instance")
    scripts = {line.words[1] for line in lines if line.opens and line.words[0] == "vrrp_script"}
    for line in lines:
        if line.path[1:] == ("track_script",) and line.words and line.words[0] not in scripts:
            raise _refused(line, f"there is no vrrp_script {line.words[0]!r}")
    interfaces = [
        line.words[1]
        for line in lines
        if line.path == ("vrrp_instance",) and line.words[:1] == ("interface",)
    ]
    return VrrpConfig(text=text, interfaces=tuple(dict.fromkeys(interfaces)), lines=lines)


def _lines(text: str) -> Iterator[_Line]:
    path: tuple[str, ...] = ()
    number = 0
    for number, raw in enumerate(text.split("\n"), 1):
        bare = re.split(r"(?:^|(?<=\s))[#!]", raw, maxsplit=1)[0].strip()
        if any(ord(character) < 0x20 and character not in "\t\r" for character in raw):
            raise VrrpConfigRefused(f"line {number}: holds a control character")
        shown = f"{'    ' * len(path)}{bare}"
        if not bare:
            yield _Line(number, "", (), path)
            continue
        if bare == "}":
            if not path:
                raise VrrpConfigRefused(f"line {number}: closes a block that was never opened")
            yield _Line(number, shown, (), path)
            path = path[:-1]
            continue
        opens = bare.endswith("{")
        words = tuple(bare.removesuffix("{").split())
        line = _Line(number, shown, words, path, opens)
        _must_be_allowed(line)
        yield line
        if opens:
            path = (*path, words[0])
    if path:
        raise VrrpConfigRefused(f"line {number}: {path[-1]} is never closed")


def _must_be_allowed(line: _Line) -> None:
    for word in line.words:
        if not _WORD.fullmatch(word):
            raise _refused(line, "holds characters that are not allowed here")
    if not line.words:
        raise _refused(line, "opens a block without a name")
    name = line.words[0]
    if not line.path:
        if not line.opens or name not in _BLOCKS:
            raise _refused(line, f"{name!r} is not allowed here")
        if (name != "global_defs") != (len(line.words) == 2):
            raise _refused(line, f"{name} needs one name" if name != "global_defs" else "no name")
        return
    blocks = _BLOCKS[line.path[0]]
    if len(line.path) == 1 and line.opens:
        if name not in blocks or len(line.words) != 1:
            raise _refused(line, f"a block {name!r} is not allowed here")
        return
    words = blocks["" if len(line.path) == 1 else line.path[1]]
    if line.opens or (name not in words and _FREE not in words):
        raise _refused(line, f"{name!r} is not allowed here")
    if line.path == ("vrrp_script",):
        _must_be_check(line)
    if line.path == ("vrrp_instance",) and name == "interface" and len(line.words) != 2:
        raise _refused(line, "interface needs one name")


def _must_be_check(line: _Line) -> None:
    name, *values = line.words
    if name == "init_fail":
        sound = not values
    elif name == "script":
        sound = len(values) == 1 and PurePosixPath(values[0]).parts[-2:] == _CHECK_SCRIPT
        if not sound:
            raise _refused(line, "no script but <base_path>/vrrp/check_script.sh is run here")
    elif name == "weight":
        sound = bool(values) and bool(_NUMBER.fullmatch(values[0].removeprefix("-")))
    else:
        sound = len(values) == 1 and bool(_NUMBER.fullmatch(values[0]))
    if not sound:
        raise _refused(line, f"{name} has no usable value")


def _is_script(line: _Line) -> bool:
    return line.path == ("vrrp_script",) and line.words[:1] == ("script",)


def _of_script(line: _Line) -> bool:
    """Whether a line belongs to the definition or the use of a script, its brackets included."""
    return (
        (line.opens and line.words[0] in ("vrrp_script", "track_script"))
        or "vrrp_script" in line.path
        or "track_script" in line.path
    )


def _refused(line: _Line, why: str) -> VrrpConfigRefused:
    return VrrpConfigRefused(f"line {line.number}: {why}")
