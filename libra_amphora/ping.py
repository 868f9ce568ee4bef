"""The program behind health checks by ping: Octavia's configurations name one, this is ours."""

from __future__ import annotations

import os
from pathlib import Path

from libra_haproxy.errors import DiskError

_SCRIPT = b"""\
#!/bin/sh
# HAProxy's external check: is the member there? Written by Libra at each start.
# HAProxy gives its checks an empty PATH.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec ping -q -n -c 1 -W 1 "$HAPROXY_SERVER_ADDR"
"""


def install(directory: Path) -> Path:
    """Write the program where everybody may run it; gives its place. Raises DiskError."""
    path = directory / "ping-wrapper.sh"
    new = path.with_name(path.name + ".new")
    try:
        new.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(new, flags, 0o755), "wb") as file:
            file.write(_SCRIPT)
        new.chmod(0o755)
        new.rename(path)
    except OSError as error:
        raise DiskError(f"cannot write {path}: {error.strerror}") from error
    return path
