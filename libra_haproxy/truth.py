"""The state in force: on disk and in HAProxy. `change` reads as the story of a change.

From one state to the next, or everything stays as it was; knows nothing of who asked and of turns.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from libra_common.crash import crash_point
from libra_haproxy.afterwards import Afterwards
from libra_haproxy.errors import DiskError, EngineError
from libra_haproxy.model import State, Status
from libra_haproxy.plan import AtRunTime, ByReload, Plan
from libra_haproxy.service import Service
from libra_haproxy.store import Store

LOG = logging.getLogger(__name__)


class Truth:
    """Holds the state of one Instance; its methods are called in one's turn, all but `check`.

    What a change leaves to be done goes to `afterwards`, which is empty when one begins.
    """

    def __init__(self, *, store: Store, service: Service, afterwards: Afterwards) -> None:
        self._store = store
        self._service = service
        self._afterwards = afterwards
        self.state = State()
        """The state in force; a frozen value."""
        self.sound: State | None = None
        """The last state whose file HAProxy has checked."""

    def open(self) -> None:
        """Bring HAProxy to the stored state: the last that was acknowledged, or the one after.

        Raises EngineError where that state cannot be served; it stays as it is then.
        """
        self._store.discard()
        self.state = self._store.load()
        try:
            self._recover()
        except EngineError as error:
            if not self._store.pending():
                raise
            LOG.error("the last change cannot be brought into force: %s", error)
            self._undo()

    def change(self, wanted: State) -> State:
        """Bring `wanted` into force or leave everything as it was."""
        now = self.state
        # A HAProxy that hangs is found out by this, before anything is touched.
        asked = None if now.model is None else self._service.running_soon()
        rendered = self._service.render(wanted)
        running = asked and asked()
        served = self._service.serves(wanted, rendered, running=running)
        if served and wanted == now:
            return now
        way: Plan = AtRunTime(())
        if not served:
            way = self._service.way(now, wanted, rendered, running=running)
        if isinstance(way, ByReload) or now.suspended:
            self._service.refuse_unusable_ports(wanted, now=now)
        wanted = replace(wanted, generation=now.generation + 1)
        try:
            candidate = self._store.stage(wanted, rendered.text)
            if isinstance(way, ByReload):
                self._service.check(candidate)
            crash_point("after_check")
        except BaseException:
            self._store.discard()
            raise
        try:
            self._store.offer()
            if served:
                self._store.commit()
            else:
                self._service.bring_into_force(wanted, rendered, way, store=self._store.commit)
        except EngineError as error:
            LOG.error("change %d failed: %s; restoring", wanted.generation, error)
            self._undo()
            raise
        if isinstance(way, ByReload):
            self._keep_as_good()
        else:
            # HAProxy went on with the text of before, so whatever could refuse this state at a
            # restart would refuse the last good one too: its name need not be waited for.
            self._afterwards.add(self._keep_as_good)
        crash_point("after_confirm")
        self.state = wanted
        if isinstance(way, ByReload):
            self.sound = wanted
        return wanted

    def delete(self) -> None:
        """Stop serving and erase all but the totals; none there is no fault."""
        state = self.state
        if state.model is not None:
            tomb = State(
                status=Status.DELETED,
                generation=state.generation + 1,
                traffic=self._service.final_traffic(state),
            )
            self._store.entomb(tomb)
            self.state = tomb
        self._bury()

    def renew(self) -> None:
        """Have the program that is on disk now serve what is in force, by a reload.

        Raises ConfigRefused where it would not, with nothing touched, or another EngineError.
        """
        if self.state.model is not None:
            self._service.check(self._store.config)
            self._recover(reload=True)

    def check(self) -> None:
        """Have HAProxy check the file of what is in force; raises what `Service.check` raises."""
        state = self.state
        if state.model is not None:
            self._service.check(self._store.config)
            self.sound = state

    def _undo(self) -> None:
        """Put the last good pair back on disk and, where HAProxy left it, into force."""
        restored = self._store.restore()
        self.state = self._store.load()
        try:
            if restored and self.state.model is not None:
                # A HAProxy that has refused a reload is sound again after a good one.
                self._recover(reload=True)
            else:
                self._bury()
        except EngineError as error:
            # The caller's own error says more; this one goes to whoever reads the log.
            LOG.critical("the last good state could not be restored: %s", error)

    def _recover(self, *, reload: bool = False) -> None:
        """Make HAProxy serve the stored state, whatever it is doing now."""
        state = self.state
        if state.model is None:
            self._bury()
            return
        rendered = self._service.render(state)
        if self._store.text() != rendered.text:
            self._service.check(self._store.stage(state, rendered.text))
            self._store.offer()
            self._store.commit()
        running = self._service.running()
        if reload or not self._service.serves(state, rendered, running=running):
            way = ByReload("recovery")
            self._service.bring_into_force(state, rendered, way, store=lambda: None)
        self._keep_as_good()
        self._service.look()

    def _keep_as_good(self) -> None:
        """Keep what was just proved in force; without it, a restart proves it once more."""
        try:
            self._store.confirm()
        except DiskError as error:
            LOG.warning("the last good state is not kept: %s", error)
        self._afterwards.add(self._keep_text)

    def _keep_text(self) -> None:
        try:
            self._store.keep_text()
        except DiskError as error:
            LOG.warning("the last good file is not kept: %s", error)

    def _bury(self) -> None:
        """Leave nothing of a load balancer: no process, no file."""
        self._service.stop()
        self._store.erase()
