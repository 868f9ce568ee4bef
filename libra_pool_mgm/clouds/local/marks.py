"""By what the processes of the local cloud know each other. Standard library only.

Bytes of lock files that a process holds for life, and file descriptors by which others reach the
namespaces that it keeps, as /proc/PID/fd/NUMBER.
"""

from __future__ import annotations

GUARD_BYTE = 0
"""The byte of a device's lock file that its guard holds."""

INIT_BYTE = 1
"""The byte of a device's lock file that its init holds."""

HOLDER_BYTE = 0
"""The byte of the outer namespace's lock file that its holder holds."""

NETWORK_FD = 20
"""A guard's descriptor of its device's network namespace."""

OUTER_FD = 21
"""A guard's and the holder's descriptor of the outer network namespace, which therefore lives as
long as any of them does."""

LOCK = "{lock}"
"""In the command that a guard is told: the number of its descriptor of the lock file."""

USER_NAMESPACE = "{user}"
"""The same for the user namespace that owns the device's network; there where it has an agent."""

NEXT = ";"
"""Stands between the commands that an init keeps running."""
