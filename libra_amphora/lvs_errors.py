"""What goes wrong with UDP and SCTP listeners, one class a cause."""

from __future__ import annotations

from libra_amphora.errors import AmphoraError


class LvsError(AmphoraError):
    """The root of them; what ran before still runs."""

    code = "lvs_error"


class NoIpVs(LvsError):
    """The node's kernel has no IP_VS, or the agent may not use it; the text says why."""

    code = "no_ip_vs"


class LvsConfigRefused(LvsError):
    """The configuration is unusable or not allowed here; the text names the line."""

    code = "lvs_config_refused"


class NoSuchLvsListener(LvsError):
    """There is no such listener."""

    code = "no_such_lvs_listener"


class LvsGone(LvsError):
    """keepalived should have been running for a listener and was not."""

    code = "lvs_gone"
