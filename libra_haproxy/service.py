"""A state and the HAProxy that is to serve it: what one has to do with the other.

Knows nothing of what is stored; `Instance` decides what shall be served, this says whether it is
and makes it so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from libra_common.crash import crash_point
from libra_haproxy import limits, runtime
from libra_haproxy.check import check, must_be_there
from libra_haproxy.confirm import differences
from libra_haproxy.errors import EngineError, HaproxyDown, NoLoadBalancer, NotInForce
from libra_haproxy.model import Model, Protocol, State, Traffic
from libra_haproxy.ports import Listen, refuse_unusable
from libra_haproxy.process import Process
from libra_haproxy.render import Place, Rendered, render

LOG = logging.getLogger(__name__)


class Service:
    """Serves states by one HAProxy, on the addresses `bind`.

    `maxconn` is the most connections wanted, `open_files` gives the limit on open files of a
    HAProxy that is not running yet.
    """

    def __init__(
        self,
        *,
        process: Process,
        haproxy: Path,
        bind: tuple[str, ...],
        admin_socket: Path,
        maxconn: int,
        open_files: Callable[[], int],
    ) -> None:
        self._process = process
        self._haproxy = haproxy
        self._bind = bind
        self._admin_socket = admin_socket
        self._maxconn = maxconn
        self._open_files = open_files

    def must_be_possible(self) -> None:
        """Raise HaproxyMissing where nothing could ever be served."""
        must_be_there(self._haproxy)

    def render(self, state: State) -> Rendered:
        """HAProxy's file for `state`. Raises TooFewFiles where it could not be started."""
        model = model_of(state)
        open_files = self._process.open_files() or self._open_files()
        place = Place(
            bind=self._bind,
            admin_socket=self._admin_socket,
            maxconn=limits.connections(model, open_files=open_files, wanted=self._maxconn),
        )
        return render(model, suspended=state.suspended, place=place)

    def check(self, config: Path) -> None:
        """Have HAProxy check a file. Raises ConfigRefused, HaproxyMissing or HaproxyTimeout."""
        check(haproxy=self._haproxy, config=config)

    def refuse_unusable_ports(self, wanted: State, *, now: State) -> None:
        """Look at the ports that HAProxy does not hold yet; a suspended one will hold none.

        Raises PortTaken, PortForbidden or StartFailed.
        """
        if wanted.suspended:
            return
        held: set[int] = set()
        if now.model is not None and not now.suspended and self._process.running():
            held = {lb.port for lb in now.model.load_balancers}
        refuse_unusable(
            [
                Listen(address, lb.port)
                for lb in model_of(wanted).load_balancers
                if lb.port not in held
                for address in self._bind
            ],
            low_ports=self._process.low_ports(),
        )

    def serves(self, state: State, rendered: Rendered) -> bool:
        """Whether HAProxy serves `state` from its text, by its own word.

        Raises HaproxyTimeout when it hangs.
        """
        try:
            return self._process.digest() == rendered.digest and not self._differences(state)
        except HaproxyDown:
            return False

    def bring_into_force(self, state: State, rendered: Rendered) -> None:
        """Start or reload HAProxy with the stored text, and read back what it serves then.

        Raises NotInForce, or what `Process.serve` raises.
        """
        self._process.serve(rendered.digest)
        crash_point("after_reload")
        found = self._differences(state)
        if found:
            raise NotInForce("HAProxy does not serve what was asked: " + "; ".join(found[:5]))

    def cut_sessions(self, state: State) -> None:
        """End what is still going on in any process, new or leaving."""
        self._process.end_sessions([lb.frontend for lb in model_of(state).load_balancers])

    def final_traffic(self, state: State) -> dict[Protocol, Traffic]:
        """End all traffic and add up what went through.

        A HAProxy that does not answer is not read any further: deleting must not depend on it.
        """
        try:
            self._process.end_traffic([lb.frontend for lb in model_of(state).load_balancers])
        except EngineError as error:
            LOG.warning("deleted without HAProxy's last counters: %s", error)
        try:
            totals = self._process.totals()
        except EngineError as error:
            LOG.warning("the totals of the deleted load balancer are unknown: %s", error)
            return {}
        return {
            protocol: Traffic(bytes_in=counts[0], bytes_out=counts[1], sessions=counts[2])
            for protocol in Protocol
            if (counts := totals.get(f"{protocol}-in")) is not None
        }

    def server_status(self) -> dict[tuple[str, str], str]:
        """HAProxy's word for each (backend, server). Raises HaproxyDown or HaproxyTimeout."""
        return self._worker.server_status()

    def answers(self) -> bool:
        """Whether HAProxy answers on its socket. Raises HaproxyTimeout when it hangs."""
        try:
            self._process.digest()
        except HaproxyDown:
            return False
        return True

    def look(self) -> int:
        """See that a keeper is there; returns the deaths seen since the last look."""
        return self._process.look()

    def stop(self) -> None:
        """Stop HAProxy and its keeper."""
        self._process.stop()

    @property
    def _worker(self) -> runtime.Worker:
        return self._process.worker

    def _differences(self, state: State) -> list[str]:
        return differences(
            model_of(state),
            suspended=state.suspended,
            frontends=self._worker.frontends(),
            servers=self._worker.servers(),
        )


def model_of(state: State) -> Model:
    """The model of a state that has one. Raises NoLoadBalancer."""
    if state.model is None:
        raise NoLoadBalancer("there is no load balancer yet")
    return state.model
