"""The settings that a controller changes in a running agent (PUT /config).

What it sends is checked whole and kept apart from the files of the command line; of it only what
may change is taken, now and at the next start.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable

from libra_amphora import files
from libra_amphora.conf import AmphoraSettings, read
from libra_amphora.vault import Vault
from libra_common.errors import LibraError, SettingsError

LOG = logging.getLogger(__name__)

_NAME = "amphora-agent.conf"
_SECRET = "agent.conf"  # noqa: S105 - the name of one in the vault


class MutableSettings:
    """The settings in force.

    `changed` is told of new ones before, and may refuse them by raising; `settled` after.
    """

    def __init__(
        self,
        *,
        settings: AmphoraSettings,
        vault: Vault,
        changed: Callable[[AmphoraSettings], None],
        settled: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._vault = vault
        self._changed = changed
        self._settled = settled
        self._path = settings.own.run_dir / "agent" / "agent.conf"
        self._lock = threading.Lock()

    @property
    def settings(self) -> AmphoraSettings:
        """What is in force; frozen."""
        return self._settings

    def open(self) -> None:
        """Take over what a controller changed before this agent was started."""
        self._settings = self._overlaid(self._settings)

    def update(self, data: bytes) -> None:
        """Take over what may change of a file of settings.

        Raises SettingsError, DiskError, or what `changed` raises; nothing has changed then.
        """
        with self._lock:
            new = self._settings.with_mutable(self._read(data))
            self._changed(new)
            self._vault.keep(_SECRET, data)
            files.replace(self._path, data)
            self._settings = new
        self._settled()

    def take(self, settings: AmphoraSettings) -> None:
        """Take over what may change of settings that were read from files. Raises LibraError.

        What a controller has changed stays so.
        """
        with self._lock:
            new = self._settings.with_mutable(self._overlaid(settings))
            self._changed(new)
            self._settings = new
        self._settled()

    def _overlaid(self, settings: AmphoraSettings) -> AmphoraSettings:
        """Settings with what a controller changed in them."""
        data: bytes | None = None
        with contextlib.suppress(FileNotFoundError):
            data = self._path.read_bytes()
        data = self._vault.secret(_SECRET) if data is None else data
        if data is None:
            return settings
        try:
            return settings.with_mutable(self._read(data))
        except LibraError as error:
            LOG.error("what the controller changed in the settings cannot be read: %s", error)
            return settings

    def _read(self, data: bytes) -> AmphoraSettings:
        candidate = self._path.with_name("candidate.conf")
        files.replace(candidate, data)
        try:
            return read((*self._settings.files, candidate))
        except SettingsError as error:
            # The sender knows its file by another name.
            sent = (fault.replace(str(candidate), _NAME) for fault in error.faults)
            raise SettingsError(*sent) from None
        finally:
            candidate.unlink(missing_ok=True)
