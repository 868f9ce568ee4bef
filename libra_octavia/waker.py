"""Tells the agents that there is something to do, without making the API wait.

Only a hint: agents look by themselves too, so one that is lost, with gearmand away, delays.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import threading

from libra_common.jobs import JobClient, JobError

LOG = logging.getLogger(__name__)

FUNCTION = "libra_octavia"
"""The gearman function of the agents."""

_TIMEOUT = 5.0
"""Seconds for gearmand to take a job."""
_MOST = 10_000
"""Hints that wait; more are dropped, as agents look by themselves."""


class Waker:
    """Sends hints from a thread of its own, which starts with the first; safe after a fork."""

    def __init__(self, client: JobClient, *, function: str = FUNCTION) -> None:
        self._client = client
        self._function = function
        self._lock = threading.Lock()
        self._waiting: queue.Queue[str] = queue.Queue(_MOST)
        self._thread: threading.Thread | None = None
        self._pid = 0

    def wake(self, load_balancer_id: str) -> None:
        """Hint that a load balancer wants to be looked at; empty where it is not known which."""
        with self._lock:
            if self._pid != os.getpid() or self._thread is None or not self._thread.is_alive():
                self._pid = os.getpid()
                self._waiting = queue.Queue(_MOST)
                self._thread = threading.Thread(
                    target=self._work, args=(self._waiting,), name="libra hints", daemon=True
                )
                self._thread.start()
            try:
                self._waiting.put_nowait(load_balancer_id)
            except queue.Full:
                LOG.warning("too many hints wait; %s is found by the agents later", FUNCTION)

    def _work(self, waiting: queue.Queue[str]) -> None:
        while True:
            name = waiting.get()
            job = json.dumps({"load_balancer": name or None}).encode()
            try:
                # Several hints of one load balancer that wait at gearmand become one.
                self._client.background(self._function, job, name or None, timeout=_TIMEOUT)
            except JobError as error:
                LOG.warning("no hint to the agents, who look by themselves later: %s", error)
            except Exception:
                LOG.exception("no hint to the agents, who look by themselves later")
