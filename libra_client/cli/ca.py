"""The commands of the certificate authority: libra ca init, issue, renew, revoke, show.

They work on files alone, with nothing sent to anybody; the gate reads the list of the revoked.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from libra_client.cli import certificates, options
from libra_common.roles import Role

FOLDER = Path("/etc/libra/ca")
"""Where an authority is, unless said otherwise."""


def add(commands: options.Commands) -> None:
    """Add this group's commands."""
    ca = options.add_command(
        commands,
        "ca",
        about="make, renew and revoke the certificates of nodes and controllers",
        more="They are what the gate tells its clients apart by. The authority is a folder, whose"
        " key only its owner may read; nothing is sent anywhere.",
        examples="  libra ca init\n"
        "  libra ca issue web-1 --role node --out /tmp/web-1\n"
        "  libra ca show --warn 30",
    )
    inner = ca.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_init(inner)
    _add_issue(inner)
    _add_renew(inner)
    _add_revoke(inner)
    _add_show(inner)


def _add_init(commands: options.Commands) -> None:
    init = options.add_command(
        commands,
        "init",
        about="make an authority, where there is none yet",
        examples="  libra ca init\n  libra ca init --ca ./ca --name 'Libra, east' --days 1825",
    )
    init.add_argument("--name", metavar="NAME", default="Libra", help="its name (default: Libra)")
    init.add_argument("--days", type=_days, metavar="N", help="how long it is good (default: 3650)")
    _finish(init, certificates.init)


def _add_issue(commands: options.Commands) -> None:
    issue = options.add_command(
        commands,
        "issue",
        about="make a certificate and its key",
        more="They are written to NAME.crt and NAME.key, the latter for its owner's eyes only. A"
        " server, the gate for example, needs --usage server and each name and address that its"
        " clients use. Without a role the gate lets nobody in by it.",
        examples="  libra ca issue web-1 --role node\n"
        "  libra ca issue api-1 --role controller --days 90 --out ./api-1\n"
        "  libra ca issue gate --usage server --dns gate.example --address 198.18.0.1",
    )
    issue.add_argument("name", metavar="NAME", help="the holder; a node's is its [worker] name")
    issue.add_argument(
        "--role", choices=[one.value for one in Role], help="what the gate lets it do"
    )
    issue.add_argument(
        "--dns", action="append", default=[], metavar="NAME", help="a name of a server"
    )
    issue.add_argument(
        "--address", action="append", default=[], metavar="IP", help="an address of a server"
    )
    issue.add_argument(
        "--usage",
        choices=["client", "server", "both"],
        default="client",
        help="what it is to its peers (default: client)",
    )
    issue.add_argument("--days", type=_days, metavar="N", help="how long it is good (default: 365)")
    issue.add_argument(
        "--force", action="store_true", help="replace a certificate and a key that are there"
    )
    _add_out(issue)
    _finish(issue, certificates.issue)


def _add_renew(commands: options.Commands) -> None:
    renew = options.add_command(
        commands,
        "renew",
        about="make a certificate again, with a new key and a new end",
        more="All else is as in the newest one of that name. The files are replaced one after the"
        " other; have the daemon read them by SIGHUP afterwards. The old one stays good until its"
        " end, unless --revoke is given.",
        examples="  libra ca renew web-1\n  libra ca renew web-1 --days 90 --revoke --out ./web-1",
    )
    _add_which(renew)
    renew.add_argument(
        "--days", type=_days, metavar="N", help="how long it is good (default: as long as the old)"
    )
    renew.add_argument(
        "--revoke", action="store_true", help="revoke all older ones of that name and role too"
    )
    _add_out(renew)
    _finish(renew, certificates.renew)


def _add_revoke(commands: options.Commands) -> None:
    revoke = options.add_command(
        commands,
        "revoke",
        about="let certificates be trusted no more, for good",
        more="All of a name, or one by its serial number. It takes effect as soon as the gate's"
        " [gate] crl is the authority's crl.pem, or a copy of it: no restart is needed.",
        examples="  libra ca revoke web-1 --yes\n  libra ca revoke 5f3a --yes",
    )
    _add_which(revoke)
    revoke.add_argument(
        "--yes", action="store_true", help="do not ask; needed where no terminal is there"
    )
    _finish(revoke, certificates.revoke)


def _add_show(commands: options.Commands) -> None:
    show = options.add_command(
        commands,
        "show",
        about="show the authority and the certificates that it made",
        more="Only those in use, the newest of each holder, unless --all is given.",
        examples="  libra ca show\n  libra ca show --all --json\n  libra ca show --warn 30",
    )
    show.add_argument("name", metavar="NAME", nargs="?", help="of this name alone")
    show.add_argument(
        "--all", action="store_true", help="also those that ended, were renewed or revoked"
    )
    show.add_argument(
        "--warn",
        type=_days,
        metavar="N",
        help="end with exit code 1 if anything that is shown ends within N days",
    )
    _finish(show, certificates.show)


def _add_which(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("which", metavar="NAME|SERIAL", help="the holder, or a serial number")
    parser.add_argument(
        "--role", choices=[one.value for one in Role], help="where a name has several roles"
    )


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, default=Path(), metavar="FOLDER", help="where to (default: here)"
    )
    parser.add_argument(
        "--print-key",
        action="store_true",
        help="print certificate and key to standard output, and write no file",
    )


def _finish(parser: argparse.ArgumentParser, run: Any) -> None:
    parser.add_argument(
        "--ca",
        type=Path,
        default=FOLDER,
        metavar="FOLDER",
        help=f"the authority's folder (default: {FOLDER})",
    )
    options.add_json(parser, "print the result as JSON")
    parser.set_defaults(run=run)


def _days(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days above 0")
    return value
