"""Looks for load balancers that want something, and has many of them served at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from libra_common.errors import LibraError
from libra_octavia.agent.reconcile import Reconciler
from libra_octavia.errors import LeaseLost
from libra_octavia.inventory import Intents, Lease, Leases

LOG = logging.getLogger(__name__)

_HOMELESS = "intents of load balancers that are not known"


def _nothing() -> None:
    pass


class Agent:
    """Serves at most `slots` load balancers at a time; `cycle` is called by whoever runs it.

    `lease_seconds` is how long a lease lasts, which is renewed three times in that while its load
    balancer is served.
    """

    def __init__(
        self,
        *,
        intents: Intents,
        leases: Leases,
        reconciler: Reconciler,
        slots: int,
        lease_seconds: float,
    ) -> None:
        self._intents = intents
        self._leases = leases
        self._reconciler = reconciler
        self._slots = slots
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="load balancer")
        self._lock = threading.Lock()
        self._busy: dict[str, Lease | None] = {}
        self._ended = threading.Event()
        self._renewing = threading.Thread(
            target=self._renew, args=(lease_seconds / 3,), name="leases", daemon=True
        )
        self._renewing.start()

    @property
    def busy(self) -> int:
        """How many load balancers are being served."""
        with self._lock:
            return len(self._busy)

    def cycle(self, done: Callable[[], None] = _nothing) -> None:
        """Begin to serve those that want it and find a slot; `done` is called as each ends.

        Raises InventoryAway.
        """
        with self._lock:
            free = self._slots - len(self._busy)
        if free <= 0:
            return
        # Those of ours that are under way are held, and so not among the due.
        for name in self._intents.due(free):
            self._begin(name, partial(self._serve, name), done)
        if self._intents.homeless():
            self._begin(_HOMELESS, partial(self._settle, done), _nothing)

    def stop(self, seconds: float) -> bool:
        """Begin nothing more and wait for what runs; False where it did not end in time.

        What is left running is another's once its lease has run out.
        """
        self._threads.shutdown(wait=False, cancel_futures=True)
        ended = threading.Thread(
            target=self._threads.shutdown, kwargs={"wait": True}, name="stop", daemon=True
        )
        ended.start()
        ended.join(seconds)
        self._ended.set()
        return not ended.is_alive()

    def _begin(self, name: str, work: Callable[[], None], done: Callable[[], None]) -> None:
        with self._lock:
            if name in self._busy:
                return
            self._busy[name] = None
        try:
            self._threads.submit(self._run, name, work, done)
        except RuntimeError:  # stopped meanwhile
            with self._lock:
                del self._busy[name]

    def _run(self, name: str, work: Callable[[], None], done: Callable[[], None]) -> None:
        try:
            work()
        except LibraError as error:
            LOG.warning("%s: %s", name, error)
        except Exception:
            LOG.exception("%s: unexpected error", name)
        finally:
            with self._lock:
                self._busy.pop(name, None)
            done()

    def _serve(self, name: str) -> None:
        def held(lease: Lease) -> None:
            with self._lock:
                self._busy[name] = lease

        self._reconciler.serve(name, held=held)

    def _settle(self, done: Callable[[], None]) -> None:
        """Find out whose the homeless are, which takes a call to Octavia for each."""
        for intent in self._intents.homeless():
            if self._reconciler.settle(intent):
                done()

    def _renew(self, interval: float) -> None:
        while not self._ended.wait(interval):
            with self._lock:
                leases = [lease for lease in self._busy.values() if lease is not None]
            for lease in leases:
                try:
                    self._leases.renew(lease)
                except LeaseLost:
                    # It ended meanwhile, or will see for itself before it reports.
                    continue
                except LibraError as error:
                    LOG.warning("load balancer %s: %s", lease.load_balancer_id, error)
