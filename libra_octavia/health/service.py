"""The way up as one thing: what the daemon starts and stops."""

from __future__ import annotations

import time

from libra_common.settings import Settings
from libra_octavia.agent.latest import Latest
from libra_octavia.agent.octavia import Octavia
from libra_octavia.health.due import Patience
from libra_octavia.health.inbox import Inbox
from libra_octavia.health.intake import Intake
from libra_octavia.health.receiver import Receiver
from libra_octavia.health.reporter import Reporter
from libra_octavia.health.tally import Tally
from libra_octavia.inventory import Database
from libra_octavia.inventory.beats import Beats
from libra_octavia.inventory.reports import Reports


class Health:
    """Receives, stores and reports, until it is stopped."""

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        octavia: Octavia,
        latest: Latest | None = None,
    ) -> None:
        ours = settings.octavia
        tally, inbox, beats = Tally(), Inbox(), Beats(database)
        self._receiver = Receiver(
            where=ours.heartbeat_bind, key=ours.heartbeat_key, taken=inbox.put, tally=tally
        )
        self._intake = Intake(inbox=inbox, beats=beats, tally=tally)
        self._reporter = Reporter(
            octavia=octavia,
            beats=beats,
            reports=Reports(database),
            intake=self._intake,
            patience=Patience(silence=ours.heartbeat_silence, again=ours.report_again),
            latest=latest,
        )

    def start(self) -> None:
        """Begin."""
        self._intake.start()
        self._receiver.start()
        self._reporter.start()

    def stop(self, seconds: float = 10.0) -> None:
        """End with everything stored that was received, within `seconds`.

        What was not told then is told by the next agent.
        """
        until = time.monotonic() + seconds
        for part in (self._receiver, self._intake, self._reporter):
            part.stop(max(0.1, until - time.monotonic()))
