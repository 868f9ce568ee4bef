"""Devices from OpenStack: servers through python-novaclient, floating IPs through openstacksdk."""

from libra_pool_mgm.clouds.nova.cloud import NovaCloud, make_cloud

__all__ = ["NovaCloud", "make_cloud"]
