"""Finds the cloud that the settings name."""

from __future__ import annotations

import importlib

from libra_common.errors import SettingsError
from libra_common.settings import Settings
from libra_pool_mgm.clouds.base import Cloud

_OURS = ("local", "nova")


def open_cloud(settings: Settings) -> Cloud:
    """Make the cloud of `[mgm] cloud`; nothing is connected yet.

    That is one of ours, or a Python module of somebody else's which has the function
    `make_cloud(settings)`. It is imported here and nowhere else, so that a pool manager needs
    nothing of the clouds that it does not use. Raises SettingsError.
    """
    name = settings.mgm.cloud
    module = f"libra_pool_mgm.clouds.{name}" if name in _OURS else name
    try:
        make_cloud = importlib.import_module(module).make_cloud
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"[mgm] cloud = {name!r}: cannot be used: {error}") from error
    cloud: Cloud = make_cloud(settings)
    return cloud
