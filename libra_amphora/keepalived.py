"""keepalived's life on a node: configuration, start, reload, stop, and start again when it dies.

    run_dir/vrrp/   uploaded.conf     as the controller sent it       0600, the secret is in it
                    keepalived.conf   what runs, derived from it
    run_dir/haproxies                 the admin sockets its check asks, which runs as another user
    state_dir/vrrp.json               whether it should run: survives a reboot

A keepalived that was killed leaves its addresses on the interface while its peer takes them too.
So at its death they are dropped at once, and it is started again only when a peer had the time to
take over: it would win them back otherwise, and every connection would be cut twice.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from libra_amphora import vrrp_check
from libra_amphora.check_user import check_user
from libra_amphora.files import private, replace
from libra_amphora.keepalived_process import KeepalivedProcess
from libra_amphora.namespace import Namespace
from libra_amphora.vault import Vault
from libra_amphora.vrrp_config import VrrpConfig, read
from libra_amphora.vrrp_errors import (
    KeepalivedError,
    KeepalivedFailed,
    KeepalivedGone,
    NotConfigured,
    VrrpConfigRefused,
)
from libra_haproxy.errors import DiskError

LOG = logging.getLogger(__name__)

_SECRET = "vrrp"  # noqa: S105 - the name of one in the vault
_RESTART_SECONDS = (1.5, 3.0, 6.0, 12.0, 30.0)
_STEADY_SECONDS = 60.0
_LOOK_SECONDS = 60.0


class Keepalived:
    """The keepalived of a node.

    `script_user` are the user and group that its check of HAProxy runs as; an agent that is no
    root runs it as itself. `drop_addresses` takes away what a killed one left behind.
    """

    def __init__(
        self,
        *,
        program: Path,
        namespace: Namespace,
        run_dir: Path,
        state_dir: Path,
        script_user: tuple[str, str],
        vault: Vault,
        drop_addresses: Callable[[], object],
    ) -> None:
        self._dir = run_dir / "vrrp"
        self._script_user = check_user(script_user)
        self._vault = vault
        self._drop = drop_addresses
        self._uploaded = self._dir / "uploaded.conf"
        self._candidate = self._dir / "candidate.conf"
        self._haproxies = run_dir / "haproxies"
        self._wish = state_dir / "vrrp.json"
        self._process = KeepalivedProcess(program=program, run_dir=self._dir, inside=namespace.run)
        self._turn = threading.RLock()
        self._wanted = False
        self._failures = 0
        self._watcher: threading.Thread | None = None
        self._woken, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._closing = False

    # -- life --------------------------------------------------------------------------------

    def open(self) -> None:
        """Take over the keepalived that runs, or start it when it should run, and watch it.

        Raises DiskError. What keeps it from starting is logged, and tried again.
        """
        with self._turn:
            self._wanted = self._read_wish()
            self._renew()
            private(self._dir)
            if self._wanted and self._process.pid() is None:
                self._drop_leftovers()
                self._try_start()
        self._watcher = threading.Thread(target=self._watch, name="keepalived", daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """Watch no longer; keepalived goes on."""
        self._closing = True
        self._wake()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None

    # -- what a controller asks --------------------------------------------------------------

    def upload(self, data: bytes) -> None:
        """Check a configuration and put it in place of the present one, for the next start.

        Raises VrrpConfigRefused, KeepalivedFailed or DiskError; the present one stays then.
        """
        config = read(data)
        with self._turn:
            replace(self._candidate, config.to_check().encode())
            try:
                self._process.check(self._candidate)
            except KeepalivedFailed as error:
                if "cannot run" in str(error) or "did not end" in str(error):
                    raise
                raise VrrpConfigRefused(str(error)) from error
            finally:
                self._candidate.unlink(missing_ok=True)
            self._install(config)
            self._vault.keep(_SECRET, data)

    def start(self) -> None:
        """Start it, or have a running one read its configuration again.

        Raises NotConfigured or KeepalivedFailed.
        """
        with self._turn:
            self._must_be_configured()
            if self._process.pid() is not None:
                self._process.reload()
            else:
                self._drop_leftovers()
                self._process.start()
            self._wish_for(running=True)

    def reload(self) -> None:
        """Have it read its configuration again; one that is not running is started."""
        self.start()

    def stop(self) -> None:
        """Stop it; its addresses go to its peer at once. One that was not to run is fine.

        Raises KeepalivedGone when it should have been running; it is stopped for good then too.
        """
        with self._turn:
            wanted, pid = self._wanted, self._process.last_pid()
            self._wish_for(running=False)
            ran = self._process.stop()
            if not ran:
                self._drop_leftovers()
            if wanted and not ran:
                # The API's documents spell it so.
                raise KeepalivedGone(f"keeepalived process with PID {pid} not found")
            self._drop()

    def forget(self) -> None:
        """Stop it and erase its configuration: the node stands alone."""
        with self._turn:
            with contextlib.suppress(KeepalivedGone):
                self.stop()
            for path in (self._uploaded, self._process.config, self._wish):
                path.unlink(missing_ok=True)
            self._vault.forget(_SECRET)

    def take_up(self) -> None:
        """Have the present configuration run, before or after `open`.

        Raises KeepalivedFailed where a running one does not read it, or DiskError.
        """
        with self._turn:
            if self._process.pid() is not None:
                self._process.reload()
            self._wish_for(running=True)

    def watch(self, admin_sockets: Iterable[Path]) -> None:
        """Name the HAProxys without which this node gives its addresses up. Raises DiskError."""
        text = "".join(f"{path}\n" for path in sorted(map(str, admin_sockets)))
        with contextlib.suppress(FileNotFoundError):
            if self._haproxies.read_text() == text:
                return
        replace(self._haproxies, text.encode())
        self._haproxies.chmod(0o644)

    # -- reads -------------------------------------------------------------------------------

    @property
    def configured(self) -> bool:
        """Whether there is a configuration, or was one that a reboot has taken."""
        return self._wanted or self._uploaded.exists()

    def uploaded(self) -> bytes | None:
        """The configuration as it came, which a reboot may have left in the vault alone."""
        with contextlib.suppress(FileNotFoundError):
            return self._uploaded.read_bytes()
        return self._vault.secret(_SECRET)

    @property
    def running(self) -> bool:
        """Whether a keepalived runs now."""
        return self._process.pid() is not None

    # -- in parts ----------------------------------------------------------------------------

    def _install(self, config: VrrpConfig) -> None:
        check = f"{sys.executable} -I -S {vrrp_check.__file__} {self._haproxies}"
        text = config.to_run(check=check, script_user=self._script_user)
        replace(self._process.config, text.encode())
        replace(self._uploaded, config.text.encode())

    def _renew(self) -> None:
        """Have the present configuration as this agent makes it; its check may be elsewhere now."""
        text = self.uploaded()
        if text is None:
            return
        before = self._process.config.read_bytes() if self._process.config.exists() else None
        try:
            self._install(read(text))
            if self._process.pid() is not None and self._process.config.read_bytes() != before:
                self._process.reload()
        except KeepalivedError as error:
            LOG.error("keepalived goes on as it was configured before: %s", error)

    def _must_be_configured(self) -> None:
        if not self._uploaded.exists():
            raise NotConfigured("there is no keepalived configuration")

    def _drop_leftovers(self) -> None:
        """Let no address stay that no keepalived keeps."""
        self._process.end_leftovers()
        self._drop()

    def _try_start(self) -> None:
        try:
            self._must_be_configured()
            self._process.start()
        except KeepalivedError as error:
            self._failures += 1
            LOG.error("keepalived is configured and does not run: %s", error)
        else:
            LOG.info("started keepalived, process %s", self._process.pid())

    def _watch(self) -> None:
        """Until closed: see the end of each keepalived at once, and have the next one started."""
        while not self._closing:
            pid = self._process.pid()
            began = time.monotonic()
            if pid is not None:
                if not self._process.wait(pid, self._woken, seconds=_LOOK_SECONDS):
                    self._process.bound_log()
                    self._rest(0.0)
                    continue
            elif not self._wanted:
                self._rest(_LOOK_SECONDS)
                continue
            lived = time.monotonic() - began
            self._on_death(pid, lived)

    def _on_death(self, pid: int | None, lived: float) -> None:
        with self._turn:
            if not self._wanted or self._process.pid() is not None:
                return
            if pid is not None:
                LOG.error("keepalived %d is gone; its addresses are dropped", pid)
                self._failures = 0 if lived > _STEADY_SECONDS else self._failures
            try:
                self._drop_leftovers()
            except Exception:  # an address that stays must not end the watch
                LOG.exception("addresses of a dead keepalived could not be dropped")
        self._rest(_RESTART_SECONDS[min(self._failures, len(_RESTART_SECONDS) - 1)])
        with self._turn:
            if self._wanted and not self._closing and self._process.pid() is None:
                self._failures += 1
                self._try_start()

    def _rest(self, seconds: float) -> None:
        """Wait, or be woken; a change of what is wanted ends it."""
        select.select([self._woken], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._waker, b"!")

    def _wish_for(self, *, running: bool) -> None:
        self._failures = 0
        if self._wanted != running or not self._wish.exists():
            replace(self._wish, json.dumps({"schema": 1, "running": running}).encode())
            self._wanted = running
        self._wake()

    def _read_wish(self) -> bool:
        try:
            return bool(json.loads(self._wish.read_bytes())["running"])
        except FileNotFoundError:
            return False
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DiskError(f"cannot read {self._wish}: {error}") from error
