"""The job servers that [gearman] of the settings names, and how to speak to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libra_common.jobs.servers import GearmanServer, TlsFiles, tls_from

if TYPE_CHECKING:  # whoever only speaks to servers need not read in what settings are made of
    from libra_common.settings.model import GearmanSettings


def servers_of(settings: GearmanSettings) -> tuple[GearmanServer, ...]:
    """The servers, in the order of the settings."""
    return tuple(GearmanServer(host, port) for host, port in settings.servers)


def tls_of(settings: GearmanSettings) -> TlsFiles | None:
    """The TLS files, None for plain text. Raises SettingsError where they cannot be used."""
    files = (settings.ssl_key, settings.ssl_cert, settings.ssl_ca)
    return tls_from(*(None if path is None else str(path) for path in files))
