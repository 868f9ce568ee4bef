"""The options that commands share, and what they come to: settings and a client."""

from __future__ import annotations

import argparse
import math
import textwrap
from collections.abc import Callable
from typing import Any, TypeAlias

from libra_client.client import Client
from libra_common.jobs import GearmanServer, TlsFiles, servers_of, tls_of
from libra_common.settings import Settings, load

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""Where a command group adds its commands."""

_OVERRIDES = {
    "servers": "--gearman-servers",
    "ssl_key": "--gearman-ssl-key",
    "ssl_cert": "--gearman-ssl-cert",
    "ssl_ca": "--gearman-ssl-ca",
    "haproxy": "--haproxy",
}
"""Our options and those of the settings that they stand for."""


def add_command(
    commands: Commands, name: str, *, about: str, examples: str, more: str = ""
) -> argparse.ArgumentParser:
    """Add a command: a line about it, a longer text and examples of its use."""
    return commands.add_parser(
        name,
        help=about,
        description=textwrap.fill(f"{about[0].upper()}{about[1:]}. {more}".rstrip(), 88),
        epilog=f"examples:\n{examples}\n\nThe exit codes are those of libra --help.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that speaks to a node; nothing is set that is not given."""
    add_config_file(parser)
    add = _adder(parser.add_argument_group("gearman servers and answers"))
    add(
        "--server",
        dest="servers",
        action="append",
        metavar="HOST:PORT",
        help="a gearman server; may be given several times, they are tried in that order "
        "(default: the settings', else localhost:4730; IPv6: [ADDRESS]:PORT)",
    )
    add("--ssl-key", metavar="FILE", help="private key for TLS (default: the settings')")
    add("--ssl-cert", metavar="FILE", help="certificate for TLS (default: the settings')")
    add("--ssl-ca", metavar="FILE", help="authority of the servers (default: the settings')")
    add(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        help="how long to wait for the answer (default: 120 for changes, 10 for questions)",
    )
    add_json(parser, "print the node's answer as JSON")


def add_config_file(parser: argparse.ArgumentParser) -> None:
    """Add --config-file."""
    _adder(parser)(
        "--config-file",
        dest="config_files",
        action="append",
        metavar="FILE",
        help="settings file of Libra; may be given several times, later ones win "
        "(default: /etc/libra.cfg, if it exists)",
    )


def add_json(parser: argparse.ArgumentParser, words: str) -> None:
    """Add --json."""
    _adder(parser)("--json", dest="json", action="store_true", help=words)


def settings(asked: argparse.Namespace) -> Settings:
    """The settings that files and options come to; raises SettingsError with all faults."""
    given = [f"--config-file={file}" for file in getattr(asked, "config_files", [])]
    for name, option in _OVERRIDES.items():
        value = getattr(asked, name, None)
        if value is not None:
            given.append(f"{option}={','.join(value) if isinstance(value, list) else value}")
    return load(given, prog="libra")


def servers(found: Settings) -> tuple[tuple[GearmanServer, ...], TlsFiles | None]:
    """The gearman servers and the TLS files to speak to them with, None for plain text."""
    return servers_of(found.gearman), tls_of(found.gearman)


def client(found: Settings) -> Client:
    """A client of the settings' gearman servers; raises SettingsError for unusable TLS files."""
    addresses, tls = servers(found)
    return Client([str(address) for address in addresses], tls=tls)


def timeout(asked: argparse.Namespace, default: float) -> float:
    """The seconds to wait for an answer."""
    return float(getattr(asked, "timeout", default))


def wants_json(asked: argparse.Namespace) -> bool:
    """Whether the output is for programs."""
    return bool(getattr(asked, "json", False))


def _adder(place: Any) -> Callable[..., Any]:
    """Add options that leave no trace when they are not given.

    Each stands before and after the command's name; a default of the second place would undo
    what was given in the first.
    """

    def add(*names: str, **how: Any) -> Any:
        return place.add_argument(*names, default=argparse.SUPPRESS, **how)

    return add


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value
