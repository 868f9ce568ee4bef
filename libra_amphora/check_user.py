"""Who keepalived's checks run as."""

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
