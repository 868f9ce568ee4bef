"""What the HAProxy that runs was seen to serve, and changes to it without another process."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

from libra_common.crash import crash_point
from libra_haproxy import commands
from libra_haproxy.certificates import Certificates
from libra_haproxy.confirm import certificate_differences, differences
from libra_haproxy.errors import EngineError
from libra_haproxy.leaving import Leaving
from libra_haproxy.loaded import Loaded
from libra_haproxy.model import Model
from libra_haproxy.plan import AddServer, AtRunTime, RemoveServer, SetCertificate
from libra_haproxy.readings import Snapshot
from libra_haproxy.render import Rendered
from libra_haproxy.runtime import Worker

LOG = logging.getLogger(__name__)


class Live:
    """One HAProxy by its run-time API; `certificates` has those that it may be given."""

    def __init__(self, *, worker: Worker, certificates: Certificates) -> None:
        self._worker = worker
        self._certificates = certificates
        self._loaded = Loaded(worker)
        self._leaving = Leaving()
        self.text: Rendered | None = None
        """The text that it was last seen to serve."""

    @property
    def too_many_leave(self) -> bool:
        """Whether removed servers have so many connections that only a reload helps."""
        return self._leaving.too_many

    def differences(self, model: Model, rendered: Rendered, *, suspended: bool) -> list[str]:
        """What it does not serve of `model` as its text says, one line each; asked now.

        Raises HaproxyDown or HaproxyTimeout.
        """
        return self._differences(model, rendered, self._worker.look(), suspended=suspended)

    def renewed(self, rendered: Rendered) -> None:
        """Another process has come, from this text."""
        self.text = rendered
        self._leaving.clear()

    def change(
        self, model: Model, rendered: Rendered, way: AtRunTime, *, suspended: bool
    ) -> Callable[[], list[str]]:
        """Have a plan carried out at run time; what this gives waits, and tells what is wrong."""
        added = [
            (operation.lb.backend, operation.server.name)
            for operation in way.operations
            if isinstance(operation, AddServer)
        ]
        removed = [
            (operation.backend, operation.name)
            for operation in way.operations
            if isinstance(operation, RemoveServer)
        ]
        before = list(self._leaving.make_way(added))
        self._leaving.add(removed)
        try:
            for operation in way.operations:
                if isinstance(operation, SetCertificate):
                    self._loaded.replace(operation.old, self._certificates.read(operation.new))
            asked = self._worker.change_soon(
                commands.lines(
                    [*before, *commands.commands(way.operations), commands.marking(rendered.digest)]
                )
            )
        except EngineError as error:
            wrong = [str(error)]
            return lambda: wrong

        def changed() -> list[str]:
            try:
                said, seen = asked()
                crash_point("after_runtime")
                if said:
                    LOG.debug("HAProxy said: %s", said)
                self.text = rendered
                return self._differences(model, rendered, seen, suspended=suspended)
            except EngineError as error:
                return [str(error)]

        return changed

    def look(self) -> None:
        """Let removed servers go whose last connection has ended."""
        with contextlib.suppress(EngineError):
            self._leaving.look(self._worker)

    def _differences(
        self, model: Model, rendered: Rendered, seen: Snapshot, *, suspended: bool
    ) -> list[str]:
        if seen.digest != rendered.digest:
            return ["HAProxy answers from another text than the one it was given"]
        found = differences(
            model,
            suspended=suspended,
            frontends=seen.frontends,
            servers=seen.servers,
            leaving=self._leaving,
        )
        if any(lb.tls for lb in model.load_balancers):
            found += certificate_differences(model, self._loaded.leaves().values())
        return found
