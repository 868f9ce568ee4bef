"""Those whom all parts of the provider ask for work: gearmand, and the pool manager behind it."""

from __future__ import annotations

from libra_common.jobs import JobClient, servers_of, tls_of
from libra_common.settings import Settings
from libra_octavia.devices.pool import Pool


def job_client(settings: Settings) -> JobClient:
    """The client of [gearman]. Raises SettingsError for TLS files that cannot be used."""
    return JobClient(
        servers=servers_of(settings.gearman),
        tls=tls_of(settings.gearman),
        connect_timeout=2.0,
    )


def open_pool(settings: Settings) -> Pool:
    """The pool manager of the settings. Raises SettingsError."""
    ours = settings.octavia
    return Pool(
        client=job_client(settings),
        function=ours.pool_function,
        build_timeout=ours.pool_build_timeout,
        timeout=ours.pool_timeout,
    )
