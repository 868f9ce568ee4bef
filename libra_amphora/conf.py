"""The agent's settings: Octavia's amphora-agent.conf and Libra's own section, read and typed.

    [DEFAULT] [amphora_agent] [haproxy_amphora] [health_manager] [controller_worker]
    [libra_amphora]

`settings = load(argv)` reads the files of the command line; `settings.with_mutable(new)` takes
over what may change in a running agent.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from oslo_config import cfg, iniparser

from libra_amphora.conf_table import TABLE
from libra_common import version
from libra_common.errors import SettingsError
from libra_common.exits import Exit
from libra_common.settings.model import DefaultSettings
from libra_common.settings.render import MASK
from libra_common.settings.sections import Setting
from libra_common.settings.values import HostPort

PROG = "libra_amphora"


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentSettings:
    """[amphora_agent]: who the node is, and the TLS of its API. The timeout is in seconds."""

    agent_server_ca: Path
    agent_server_cert: Path
    agent_request_read_timeout: int
    agent_tls_protocol: str
    amphora_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HaproxyAmphoraSettings:
    """[haproxy_amphora]: where the API is served, and the paths that a controller writes."""

    base_path: Path
    base_cert_dir: Path
    bind_host: str
    bind_port: int
    haproxy_cmd: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class HealthSettings:
    """[health_manager]: heartbeats. The interval is in seconds; no address means none is sent."""

    controller_ip_port_list: tuple[HostPort, ...]
    heartbeat_interval: int
    heartbeat_key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ControllerSettings:
    """[controller_worker]: SINGLE or ACTIVE-STANDBY."""

    loadbalancer_topology: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnSettings:
    """[libra_amphora]: Libra's own. `netns` is empty for none, `memory_limit` in kilobytes."""

    netns: str
    state_dir: Path
    run_dir: Path
    pid: Path
    node_key: Path | None
    allowed_names: tuple[str, ...]
    handshake_timeout: int
    memory_limit: int
    user: str
    group: str
    stop_timeout: int
    health: Path | HostPort | None


@dataclass(frozen=True, kw_only=True, slots=True)
class AmphoraSettings:
    """All settings of an agent, each section by its own name; `files` is what they came from."""

    default: DefaultSettings
    agent: AgentSettings
    haproxy: HaproxyAmphoraSettings
    health: HealthSettings
    controller: ControllerSettings
    own: OwnSettings
    files: tuple[Path, ...]

    def with_mutable(self, new: AmphoraSettings) -> AmphoraSettings:
        """These settings with what may change while the agent runs taken from `new`."""
        return replace(self, health=new.health, controller=new.controller)


_SECTIONS: Mapping[str, tuple[str, type[Any]]] = {
    "DEFAULT": ("default", DefaultSettings),
    "amphora_agent": ("agent", AgentSettings),
    "haproxy_amphora": ("haproxy", HaproxyAmphoraSettings),
    "health_manager": ("health", HealthSettings),
    "controller_worker": ("controller", ControllerSettings),
    "libra_amphora": ("own", OwnSettings),
}
_OWN_SECTION = "libra_amphora"


def load(argv: Sequence[str]) -> AmphoraSettings:
    """Give the settings that the command line `argv` (without the program's name) asks for.

    Raises SettingsError with all faults at once; SystemExit for --help, --version and
    --check-config.
    """
    asked = _command_line().parse_args(list(argv))
    files = tuple(path.absolute() for path in asked.config_file)
    if not asked.check_config:
        settings = read(files)
        if asked.daemon:
            return replace(settings, default=replace(settings.default, daemon=True))
        return settings
    try:
        read(files)
    except SettingsError as error:
        for fault in error.faults:
            sys.stderr.write(f"{PROG}: {fault}\n")
        raise SystemExit(Exit.CONFIG) from None
    sys.stdout.write(f"{PROG}: the settings are right ({', '.join(map(str, files))})\n")
    raise SystemExit(Exit.OK)


def read(files: Sequence[Path]) -> AmphoraSettings:
    """Read files in their order, later ones winning. Raises SettingsError with all faults."""
    faults: list[str] = []
    for path in files:
        faults += _look_at(path)
    if faults:
        raise SettingsError(*faults)
    conf = cfg.ConfigOpts()
    for setting in TABLE:
        # All are texts to oslo.config: their kinds understand them, and tell all faults at once.
        conf.register_opt(
            cfg.StrOpt(setting.name, default=setting.default_text.replace("$", "$$")),
            group=None if setting.section == "DEFAULT" else setting.section,
        )
    try:
        conf(
            args=[],
            project="octavia",
            prog="amphora-agent",
            default_config_files=[str(path) for path in files],
            default_config_dirs=[],
            use_env=False,
        )
    except cfg.Error as error:
        raise SettingsError(str(error)) from None
    parts: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    for setting in TABLE:
        try:
            group = conf if setting.section == "DEFAULT" else conf[setting.section]
            text = group[setting.name]
            parts[setting.section][setting.name] = setting.kind.parse(text)
        except (cfg.Error, RecursionError):
            faults.append(f"[{setting.section}] {setting.name}: a $ must name another setting")
        except ValueError as reason:
            faults.append(_fault(setting, text, reason))
    if faults:
        raise SettingsError(*faults)
    if parts["DEFAULT"].pop("debug"):
        parts["DEFAULT"]["log_level"] = "debug"
    built = {field: made(**parts[name]) for name, (field, made) in _SECTIONS.items()}
    return AmphoraSettings(**built, files=tuple(files))


def _fault(setting: Setting, text: str, reason: ValueError) -> str:
    shown = MASK if setting.secret else repr(text)
    why = "is not acceptable" if setting.secret else str(reason)
    return f"[{setting.section}] {setting.name} = {shown}: {why}"


def _look_at(path: Path) -> list[str]:
    """The faults of one file as such; in our own section a name that nothing reads is one."""
    sections: dict[str, dict[str, list[str]]] = {}
    try:
        cfg.ConfigParser(str(path), sections).parse()
    except iniparser.ParseError as error:
        # Neither the parser's text nor the line itself: a secret may be written there.
        return [f"{path}, line {error.lineno}: {error.msg}"]
    except OSError as error:
        return [f"{path}: cannot be read: {error.strerror}"]
    except ValueError as error:
        return [f"{path}: is not a text file: {error}"]
    known = {setting.name for setting in TABLE if setting.section == _OWN_SECTION}
    return [
        f"{path}: [{_OWN_SECTION}] {name} is no setting"
        for name in sections.get(_OWN_SECTION, {})
        if name not in known
    ]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage()
        self.exit(Exit.USAGE, f"{self.prog}: {message}\n")


def _command_line() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROG,
        description=f"{PROG} of Libra: Octavia's amphora API on HAProxy.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROG} {version.RELEASE}")
    parser.add_argument(
        "--config-file",
        action="append",
        type=Path,
        required=True,
        metavar="PATH",
        help="Octavia's amphora-agent.conf, or a file beside it; may be given several times",
    )
    parser.add_argument(
        "--check-config",
        action="store_true",
        help="check the settings, then exit with 0 or 78",
    )
    parser.add_argument(
        "--daemon",
        action="store_true",
        help="detach from the terminal, as [DEFAULT] daemon; returns once the API is served",
    )
    return parser
