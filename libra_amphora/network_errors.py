"""What goes wrong with interfaces and addresses, one class a cause."""

from __future__ import annotations

from libra_amphora.errors import AmphoraError


class NetworkError(AmphoraError):
    """The root of networking's errors: nothing is plugged that was not before."""

    code = "network_error"


class NamespaceUnusable(NetworkError):
    """The node's network namespace can be neither entered nor made."""


class NoSuchInterface(NetworkError):
    """No interface has the hardware address; it may still be on its way."""

    code = "no_interface"


class AlreadyPlugged(NetworkError):
    """The interface is in use already."""

    code = "already_plugged"


class NoSuchAddress(NetworkError):
    """No interface of the node has the address now."""

    code = "no_address"


class PlugFailed(NetworkError):
    """The kernel refused a step; the text has its words, and all is as it was before."""

    code = "plug_failed"


class PlugsUnreadable(NetworkError):
    """The stored interfaces are damaged or of a newer schema; they are left as they are."""

    code = "state_unreadable"


class RulesRefused(NetworkError):
    """The rules of an interface could not be put in force; the text says why."""

    code = "rules_refused"
