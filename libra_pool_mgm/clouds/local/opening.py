"""Puts the local cloud together from the settings: the one place that knows all its parts."""

from __future__ import annotations

from libra_common.settings import Settings
from libra_pool_mgm.clouds.errors import BadRequest
from libra_pool_mgm.clouds.local.account import account
from libra_pool_mgm.clouds.local.cloud import LocalCloud
from libra_pool_mgm.clouds.local.node import NodeSettings


def local_cloud(settings: Settings) -> LocalCloud:
    """Make the cloud of [mgm:local]; nothing is touched yet.

    Raises BadRequest for an unknown user or group, and for settings of others that do not go with
    devices of this machine.
    """
    local, mgm, gearman = settings.local, settings.mgm, settings.gearman
    if gearman.ssl_key is not None:
        raise BadRequest(
            "[gearman] ssl_key: local devices have no certificates of their own, and may not have"
            " the pool manager's; use them with job servers that speak plain text"
        )
    if mgm.tcp_check_port is not None:
        raise BadRequest(
            "[mgm] tcp_check_port: this machine has no way into the local cloud; leave it empty"
        )
    return LocalCloud(
        folder=local.folder,
        addresses=local.addresses,
        settings=NodeSettings(
            gearman=gearman.servers,
            haproxy=local.haproxy,
            account=account(user=local.user, group=local.group),
            devices=local.devices,
            message_limit=gearman.message_limit,
            ports=local.ports,
            ports_ipv6=local.ports_ipv6,
        ),
        az=mgm.az,
        deadline=mgm.cloud_timeout,
        own_outer=local.outer == "own",
    )
