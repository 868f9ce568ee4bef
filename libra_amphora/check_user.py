"""Who keepalived's checks run as, and how its file says so."""

from __future__ import annotations

import grp
import os
import pwd


def check_user(wanted: tuple[str, str]) -> tuple[str, str]:
    """The user and group: those wanted, or, of an agent that is no root, its own."""
    if os.geteuid() == 0:
        return wanted
    try:
        return pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    except KeyError:
        return "nobody", "nogroup"


def head(script_user: tuple[str, str]) -> list[str]:
    """What a file begins with from which keepalived runs checks as that user and group."""
    user, group = script_user
    return [
        "# Derived by Libra from what the controller sent; each upload replaces it.",
        "global_defs {",
        f"    script_user {user} {group}",
        "    enable_script_security",
        "}",
    ]
