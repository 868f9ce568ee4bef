"""A real libra_pool_mgm process whose cloud is OpenStack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.file_cloud import FileCloud
from tests.support.openstack import Cloud
from tests.support.pool_manager import PoolManager

BASENAME = "libra-stg-haproxy"
"""Of the spec's examples."""


class NovaManager(PoolManager):
    """A pool manager for devices in `place`; `settings` are those of [mgm].

    `nova` those of [mgm:nova]. What it builds stays when the context is left.
    """

    def __init__(
        self,
        *,
        folder: Path,
        servers: Sequence[str],
        place: Cloud,
        nova: Mapping[str, object] | None = None,
        **settings: object,
    ) -> None:
        self._nova = {**place.nova(), **(nova or {})}
        none = folder / "no-other-cloud"
        none.mkdir(parents=True)
        super().__init__(folder=folder, servers=servers, cloud=FileCloud(folder=none))
        self.write_config(
            **{**place.mgm(), "node_basename": BASENAME, "cloud_timeout": 60, **settings}
        )

    def write_config(self, **settings: object) -> None:
        super().write_config(**settings)
        lines = ["[mgm:nova]", *(f"{key} = {value}" for key, value in self._nova.items())]
        self.config.write_text(self.config.read_text() + "\n".join(lines) + "\n")
