"""All settings of Libra: one table, read from INI files and the command line."""

from libra_common.settings.loading import load
from libra_common.settings.model import (
    DefaultSettings,
    GearmanSettings,
    HaproxySettings,
    MgmSettings,
    NovaSettings,
    Settings,
    WorkerSettings,
)
from libra_common.settings.values import HostPort

__all__ = [
    "DefaultSettings",
    "GearmanSettings",
    "HaproxySettings",
    "HostPort",
    "MgmSettings",
    "NovaSettings",
    "Settings",
    "WorkerSettings",
    "load",
]
