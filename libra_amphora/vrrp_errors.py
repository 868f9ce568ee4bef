"""What goes wrong with keepalived, one class a cause."""

from __future__ import annotations

from libra_amphora.errors import AmphoraError


class KeepalivedError(AmphoraError):
    """The root of keepalived's errors; what ran before still runs."""

    code = "keepalived_error"


class VrrpConfigRefused(KeepalivedError):
    """The configuration is unusable or not allowed here; the text names the line."""

    code = "vrrp_config_refused"


class NotConfigured(KeepalivedError):
    """There is no configuration to start from."""

    code = "vrrp_not_configured"


class KeepalivedFailed(KeepalivedError):
    """keepalived could not be run, started, reloaded or stopped; the text has its words."""

    code = "keepalived_failed"


class KeepalivedGone(KeepalivedFailed):
    """keepalived should have been running and was not."""

    code = "keepalived_gone"
