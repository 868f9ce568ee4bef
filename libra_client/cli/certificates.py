"""What `libra ca` does: certificates made, renewed, revoked and shown, and files of them written.

`libra_common.authority` is imported when it is needed: it needs `cryptography`, which a plain
installation has not.
"""

from __future__ import annotations

import argparse
import datetime
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from libra_client.cli import options, output
from libra_client.cli.changes import confirm
from libra_client.cli.errors import BadArgument
from libra_client.cli.exits import Exit
from libra_common import durable
from libra_common.errors import LibraError

if TYPE_CHECKING:
    from libra_common.authority import Authority, Entry, Issued

_DAY = 86400.0


class BadOutput(LibraError):
    """A certificate or a key cannot be made or written; nothing half is left."""

    code = "bad_authority"


def init(asked: argparse.Namespace) -> Exit:
    """Make an authority."""
    module = _module()
    days = module.CA_DAYS if asked.days is None else asked.days
    made = module.Authority.create(asked.ca, name=asked.name, days=days)
    if options.wants_json(asked):
        output.show_json(_about(made))
    else:
        output.say(f"{asked.ca}: authority {made.name}, good until {_date(made.not_after)}")
        output.note(f"libra: keep {asked.ca / 'ca.key'} safe, and a copy of it elsewhere")
    return Exit.OK


def issue(asked: argparse.Namespace) -> Exit:
    """Make a certificate."""
    module = _module()
    authority = module.Authority.open(asked.ca)
    if not asked.force and not asked.print_key:
        for path in _paths(asked.out, asked.name):
            if path.exists():
                raise BadArgument(f"{path} is there already; --force replaces it, renew renews")
    made = authority.issue(
        name=asked.name,
        role=asked.role,
        dns=asked.dns,
        addresses=asked.address,
        days=module.DAYS if asked.days is None else asked.days,
        usage=asked.usage,
    )
    return _deliver(asked, asked.name, made)


def renew(asked: argparse.Namespace) -> Exit:
    """Make a certificate again."""
    authority = _module().Authority.open(asked.ca)
    # Those that ended too: whoever comes late is not to type it all again.
    found = [one for one in _chosen(authority, asked) if one.revoked is None]
    if not found:
        raise BadArgument(f"{asked.which!r}: every certificate of that name was revoked")
    holders = {(one.role, one.usage) for one in found}
    if len(holders) > 1:
        raise BadArgument(f"{asked.which!r}: has several roles or usages; give --role or a serial")
    old = found[-1]
    made = authority.issue(
        name=old.name,
        role=old.role,
        dns=old.dns,
        addresses=old.addresses,
        days=old.days if asked.days is None else asked.days,
        usage=old.usage,
    )
    code = _deliver(asked, old.name, made)
    for one in found if asked.revoke else ():
        authority.revoke(one.serial)
    return code


def revoke(asked: argparse.Namespace) -> Exit:
    """Let certificates be trusted no more."""
    authority = _module().Authority.open(asked.ca)
    found = _chosen(authority, asked)
    if any(one.name == asked.which for one in found):
        found = [one for one in found if one.revoked is None and one.not_after > _now()]
    if not found:
        output.note(f"libra: {output.plain(asked.which)}: all of its certificates have ended")
        return Exit.OK
    if not asked.yes:
        names = ", ".join(f"{one.serial} ({one.role or 'no role'} {one.name})" for one in found)
        confirm("revoke cannot be undone", f"Revoke {output.plain(names)}?")
    for one in found:
        authority.revoke(one.serial)
    if options.wants_json(asked):
        output.show_json({"revoked": [one.serial for one in found], "crl": str(_crl(asked))})
    else:
        for one in found:
            output.say(f"revoked {one.serial} of {one.role or 'no role'} {one.name}")
        output.note(f"libra: it takes effect where {_crl(asked)} is read, or a new copy of it")
    return Exit.OK


def show(asked: argparse.Namespace) -> Exit:
    """Show the authority and its certificates."""
    authority = _module().Authority.open(asked.ca)
    now = _now()
    entries = [one for one in authority.issued() if asked.name in (None, one.name)]
    shown = entries if asked.all else _in_use(entries, now)
    rows = [_row(one, now) for one in shown]
    if options.wants_json(asked):
        output.show_json({"authority": _about(authority), "certificates": rows})
    else:
        output.say(f"{asked.ca}: authority {authority.name}, ends {_date(authority.not_after)}")
        columns = ("name", "role", "usage", "ends", "days_left", "serial", "state")
        output.show_table(columns, ([row[name] for name in columns] for row in rows))
    ends = [authority.not_after, *(one.not_after for one in shown if one.revoked is None)]
    if asked.warn is not None and any(_days_left(end, now) <= asked.warn for end in ends):
        output.complain(f"something ends within {asked.warn:g} days")
        return Exit.FAIL
    return Exit.OK


def _module() -> Any:
    try:
        from libra_common import authority
    except ImportError as error:
        raise BadOutput(f"certificates need the package cryptography: {error}") from None
    return authority


def _chosen(authority: Authority, asked: argparse.Namespace) -> list[Entry]:
    """What NAME or SERIAL means, the oldest first; raises BadArgument where it means nothing."""
    entries = authority.issued()
    serial = asked.which.lower().replace(":", "").lstrip("0")
    found = [one for one in entries if one.name == asked.which]
    found = found or [one for one in entries if one.serial == serial]
    found = [one for one in found if asked.role in (None, one.role)]
    if not found:
        raise BadArgument(f"{asked.which!r}: the authority made no certificate of that name")
    return found


def _in_use(entries: Iterable[Entry], now: datetime.datetime) -> list[Entry]:
    """The newest of each holder, of those that are good."""
    newest = {
        (one.name, one.role, one.usage): one
        for one in entries
        if one.revoked is None and one.not_after > now
    }
    return list(newest.values())


def _deliver(asked: argparse.Namespace, name: str, made: Issued) -> Exit:
    """Hand a certificate and its key out, to files unless they are to be printed."""
    told = {"name": name, "serial": made.serial, "not_after": made.not_after.isoformat()}
    if asked.print_key:
        if options.wants_json(asked):
            output.show_json({**told, "certificate": made.certificate, "key": made.key})
        else:
            print(made.certificate + made.key, end="")
        return Exit.OK
    cert, key = _paths(asked.out, name)
    try:
        asked.out.mkdir(parents=True, exist_ok=True)
        durable.replace(key, made.key.encode(), mode=0o600)
        durable.replace(cert, made.certificate.encode(), mode=0o644)
    except OSError as error:
        raise BadOutput(f"{asked.out}: cannot be written: {error.strerror or error}") from None
    if options.wants_json(asked):
        output.show_json({**told, "certificate": str(cert), "key": str(key)})
    else:
        output.say(f"{cert}, {key}: good until {_date(made.not_after)}, serial {made.serial}")
    return Exit.OK


def _paths(folder: Path, name: str) -> tuple[Path, Path]:
    # A name may hold a slash, or be "..", and must not lead anywhere else.
    stem = quote(name, safe="@+,=:")
    return folder / f"{stem}.crt", folder / f"{stem}.key"


def _about(authority: Authority) -> dict[str, Any]:
    return {
        "name": authority.name,
        "folder": str(authority.folder),
        "certificate": str(authority.folder / "ca.pem"),
        "crl": str(authority.folder / "crl.pem"),
        "not_after": authority.not_after.isoformat(),
        "days_left": _days_left(authority.not_after, _now()),
    }


def _row(entry: Entry, now: datetime.datetime) -> dict[str, Any]:
    state = "revoked" if entry.revoked else "good" if entry.not_after > now else "ended"
    return {
        "name": entry.name,
        "role": entry.role,
        "usage": entry.usage,
        "dns": list(entry.dns),
        "addresses": list(entry.addresses),
        "serial": entry.serial,
        "not_before": entry.not_before.isoformat(),
        "not_after": entry.not_after.isoformat(),
        "ends": _date(entry.not_after),
        "days_left": _days_left(entry.not_after, now),
        "revoked": entry.revoked.isoformat() if entry.revoked else None,
        "state": state,
    }


def _crl(asked: argparse.Namespace) -> Path:
    return Path(asked.ca) / "crl.pem"


def _days_left(end: datetime.datetime, now: datetime.datetime) -> int:
    return math.floor((end - now).total_seconds() / _DAY)


def _date(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
