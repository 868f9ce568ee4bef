"""From a command line to the settings: read, understand, cross-check, or do what it asks for."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

from libra_common.errors import SettingsError
from libra_common.exits import Exit
from libra_common.settings import command, files, render
from libra_common.settings.files import Texts
from libra_common.settings.model import Settings
from libra_common.settings.sections import SECTIONS, Setting
from libra_common.settings.table import TABLE

LOG = logging.getLogger(__name__)

NO_FLAGS: Mapping[str, str] = MappingProxyType({})


def load(
    argv: Sequence[str],
    *,
    prog: str,
    flags: Mapping[str, str] = NO_FLAGS,
    check: Callable[[Settings], Iterable[str]] = lambda _: (),
) -> Settings:
    """Give the settings that the command line `argv` of the command `prog` asks for.

    `argv` is without the program's name. Raises SettingsError with all faults at once. Names
    that nothing reads are logged as warnings. The options that only print (--check-config,
    --print-config, --generate-sample-config, --help, --version) print to standard output, faults
    to standard error, and raise SystemExit. Calling it again reads the files again (SIGHUP).

    `flags` are further options without a value, with the words that --help says of them; the
    caller looks for them in `argv` itself. `check` gives the faults that only a look outside can
    find, for --check-config.
    """
    asked = command.parse(list(argv), prog=prog, flags=flags)
    if asked.action == "generate-sample-config":
        _print_and_leave(render.sample())
    texts = files.read(asked.files, asked.given)
    faults = [*texts.faults]
    settings = _understand(texts, faults)
    if asked.action == "check-config":
        if settings is not None:
            faults += [*_unreadable(settings), *check(settings)]
        _report_and_leave(asked.files, faults + texts.doubts, prog=prog)
    if settings is None or faults:
        raise SettingsError(*faults)
    if asked.action == "print-config":
        _print_and_leave(render.in_force(settings, prog=prog))
    for doubt in texts.doubts:
        LOG.warning("%s", doubt)
    return settings


def _understand(texts: Texts, faults: list[str]) -> Settings | None:
    """Turn all texts into values; adds to `faults` and gives None if any is wrong."""
    parts: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    complete = True
    for setting in TABLE:
        key = (setting.section, setting.name)
        if key not in texts.texts:
            complete = False
            continue
        text = texts.texts[key]
        try:
            parts[setting.section][setting.name] = setting.kind.parse(text)
        except ValueError as reason:
            complete = False
            faults.append(_fault(setting, text, texts.origins.get(key, "the default"), reason))
    contradictions = _contradictions(parts, texts.origins)
    faults += contradictions
    if not complete or contradictions:
        return None
    built = {s.field: s.result(**parts[name]) for name, s in SECTIONS.items()}
    return Settings(**built)


def _fault(setting: Setting, text: str, origin: str, reason: ValueError) -> str:
    shown = repr(render.MASK if setting.secret else text)
    # A list's fault quotes the entry, which a secret must not be.
    why = "is not acceptable" if setting.secret else str(reason)
    return f"[{setting.section}] {setting.name} = {shown} (from {origin}): {why}"


def _contradictions(
    parts: Mapping[str, Mapping[str, Any]], origins: Mapping[tuple[str, str], str]
) -> list[str]:
    """Find settings that are right one by one and wrong together."""
    faults: list[str] = []
    gearman, default = parts["gearman"], parts["DEFAULT"]
    names = ("ssl_key", "ssl_cert", "ssl_ca")
    if all(name in gearman for name in names):
        missing = [name for name in names if gearman[name] is None]
        if 0 < len(missing) < len(names):
            present = next(name for name in names if name not in missing)
            faults.append(
                f"[gearman] {', '.join(missing)}: must be set too, because {present} ="
                f" {str(gearman[present])!r} (from {origins.get(('gearman', present), '')}) asks"
                " for TLS; key, certificate and CA belong together"
            )
    if default.get("syslog") and default.get("log_file"):
        faults.append(
            f"[DEFAULT] syslog = true: contradicts log_file = {str(default['log_file'])!r};"
            " log lines go to one place"
        )
    local = parts["mgm:local"]
    if {"devices", "addresses"} <= local.keys() and local["devices"].overlaps(local["addresses"]):
        faults.append(
            f"[mgm:local] addresses = {local['addresses']}: overlaps devices = {local['devices']}"
        )
    faults += _ports_amiss(local)
    mgm = parts["mgm"]
    if {"build_timeout", "build_diag_timeout", "sweep_grace"} <= mgm.keys():
        needed = mgm["build_timeout"] + mgm["build_diag_timeout"]
        if mgm["sweep_grace"] <= needed:
            faults.append(
                f"[mgm] sweep_grace = {mgm['sweep_grace']}: a sweep would remove devices that are"
                " being built; must be more than build_timeout and build_diag_timeout together,"
                f" which is {needed}"
            )
    return faults


def _ports_amiss(local: Mapping[str, Any]) -> list[str]:
    """Find a range of ports that meets another: of that of devices the end may be theirs."""
    if not {"devices", "addresses", "ports"} <= local.keys():
        return []
    devices, ports = local["devices"], local["ports"]
    if ports.overlaps(local["addresses"]):
        return [f"[mgm:local] ports = {ports}: overlaps addresses = {local['addresses']}"]
    if ports.overlaps(devices) and ports[0] < devices[0] + _DEVICES_OWN:
        first = f"the first {_DEVICES_OWN} addresses of devices = {devices}"
        return [f"[mgm:local] ports = {ports}: overlaps {first}"]
    return []


_DEVICES_OWN = 1024


def _unreadable(settings: Settings) -> list[str]:
    """Find the files that are named and cannot be opened now, by this user."""
    faults: list[str] = []
    for name in ("ssl_key", "ssl_cert", "ssl_ca"):
        path = getattr(settings.gearman, name)
        if path is None:
            continue
        try:
            path.open("rb").close()
        except OSError as error:
            faults.append(f"[gearman] {name} = {str(path)!r}: cannot be read: {error.strerror}")
    return faults


def _print_and_leave(text: str) -> NoReturn:
    sys.stdout.write(text)
    sys.stdout.flush()
    raise SystemExit(Exit.OK)


def _report_and_leave(paths: Sequence[object], faults: Sequence[str], *, prog: str) -> NoReturn:
    for fault in faults:
        sys.stderr.write(f"{prog}: {fault}\n")
    if faults:
        raise SystemExit(Exit.CONFIG)
    read = ", ".join(str(path) for path in paths) or "no file, only defaults and options"
    _print_and_leave(f"{prog}: the settings are right ({read})\n")
