"""What a setting and a section are, and the sections there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from libra_common.settings import model
from libra_common.settings.values import Kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A section of the file: its result's class and field, and the prefix of its options."""

    name: str
    field: str
    prefix: str
    result: type[Any]
    help: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One row.

    `default` is the text that could stand in a file, or a function that finds it on this
    machine, described by `default_note`. `daemons` are the commands that use it, empty for all.
    `secret` values are never printed. `flag` replaces the option's derived name.
    """

    section: str
    name: str
    kind: Kind
    default: str | Callable[[], str]
    help: str
    unit: str = ""
    secret: bool = False
    daemons: frozenset[str] = frozenset()
    default_note: str = ""
    flag: str = ""

    @property
    def default_text(self) -> str:
        """The default as it would be written in a file."""
        return self.default if isinstance(self.default, str) else self.default()

    @property
    def option(self) -> str:
        """The command line option, with its two dashes."""
        if self.flag:
            return self.flag
        prefix = SECTIONS[self.section].prefix
        words = f"{prefix}_{self.name}" if prefix else self.name
        return "--" + words.replace("_", "-")


SECTIONS = {
    section.name: section
    for section in (
        Section(
            name="DEFAULT",
            field="default",
            prefix="",
            result=model.DefaultSettings,
            help="Logs and the manner of running, the same for each daemon.",
        ),
        Section(
            name="gearman",
            field="gearman",
            prefix="gearman",
            result=model.GearmanSettings,
            help="The gearman job servers through which messages come.",
        ),
        Section(
            name="worker",
            field="worker",
            prefix="worker",
            result=model.WorkerSettings,
            help="The worker: this node as the control plane knows it.",
        ),
        Section(
            name="worker:haproxy",
            field="haproxy",
            prefix="haproxy",
            result=model.HaproxySettings,
            help="The HAProxy driver of the worker.",
        ),
        Section(
            name="archive",
            field="archive",
            prefix="archive",
            result=model.ArchiveSettings,
            help="The object stores that access logs are sent to.",
        ),
        Section(
            name="mgm",
            field="mgm",
            prefix="mgm",
            result=model.MgmSettings,
            help="The pool manager: devices and floating IPs, and the cloud they come from.",
        ),
        Section(
            name="mgm:local",
            field="local",
            prefix="local",
            result=model.LocalSettings,
            help="Devices and floating IPs in network namespaces of this machine.",
        ),
        Section(
            name="mgm:nova",
            field="nova",
            prefix="nova",
            result=model.NovaSettings,
            help="Devices from OpenStack: what the original had no settings for.",
        ),
        Section(
            name="octavia",
            field="octavia",
            prefix="octavia",
            result=model.OctaviaSettings,
            help="Libra as a provider of OpenStack's Octavia.",
        ),
        Section(
            name="gate",
            field="gate",
            prefix="gate",
            result=model.GateSettings,
            help="The gate: mutual TLS in front of gearmand, and who may do what there.",
        ),
    )
}
