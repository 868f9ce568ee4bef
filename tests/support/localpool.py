"""A real libra_pool_mgm process whose cloud is a local one."""

from __future__ import annotations

from typing import Any

from tests.support.localcloud import Site
from tests.support.pool_manager import PoolManager


class LocalPool(PoolManager):
    """The pool manager of a `Site`; several at a time may be there. `settings` are of [mgm]."""

    def __init__(self, site: Site, **settings: Any) -> None:
        self._site = site
        # The cloud of files that every other one has stays empty.
        super().__init__(folder=site.folder / "pool", servers=[site.gearmand.address], **settings)

    def write_config(self, **settings: object) -> None:
        super().write_config(cloud="local", **settings)
        site, (devices, addresses) = self._site, self._site.ranges
        lines = [
            "[mgm:local]",
            f"folder = {site.folder}",
            f"devices = {devices}",
            f"addresses = {addresses}",
            f"haproxy = {site.haproxy}",
            f"outer = {'own' if site.own else 'new'}",
            f"user = {site.user}",
            f"group = {site.user}",
        ]
        with self.config.open("a") as file:
            file.write("\n".join(lines) + "\n")
