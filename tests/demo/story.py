"""Tells the story, step by step: `python -m tests.demo.story [--octavia]`, as `bin/demo` does.

Exit codes: 0 all as it should be; 1 something was not; 69 a part is not installed; 128 and the
signal's number where a signal ended it. Nothing is left behind in any case.
"""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from libra_common.errors import LibraError
from libra_common.exits import Exit
from tests.demo import alone, cloud
from tests.demo.faults import Missing, Stopped, Wrong
from tests.demo.scene import Scene
from tests.demo.screen import Row, Screen
from tests.demo.stage import Stage, set_up
from tests.demo.steps import Step

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_FAULTS = (
    Wrong,
    LibraError,
    OSError,
    http.client.HTTPException,
    subprocess.SubprocessError,
    AssertionError,
    LookupError,
    ValueError,
)
"""What a part that is not as it should be may lead to."""

_OCTAVIA = "--octavia"
_CLEAN_UP = "Clean-up: no process and no file is left"


class Story:
    """One telling, and what came of it."""

    def __init__(
        self, screen: Screen, kind: type[Stage], steps: Sequence[Step], *, needs: str = ""
    ) -> None:
        self._kind = kind
        self._needs = needs
        self._steps = steps
        self.rows: list[Row] = []
        self._screen = screen
        self._began = time.monotonic()

    def tell(self) -> None:
        """Play all steps up to one that goes wrong, clean up, and note each in `rows`.

        Raises Missing, with nothing done, where something that it needs is not to be had.
        """
        if self._needs:
            raise Missing(self._needs)
        with set_up(self._kind) as stage:
            self._play(stage)
            self._began = time.monotonic()
        self._note(_CLEAN_UP, good=True)

    def cannot_clean_up(self, fault: BaseException) -> None:
        """Note that something is left behind."""
        self._screen.bad(f"Clean-up: {_words(fault)}")
        self._note(_CLEAN_UP, good=False)

    def _play(self, stage: Stage) -> None:
        scene = Scene(stage, self._screen)
        for number, step in enumerate(self._steps, 1):
            title = f"{number}  {step.title}"
            self._began = time.monotonic()
            self._screen.step(number, step.title, step.sentence)
            try:
                step.play(scene)
            except _FAULTS as fault:
                self._screen.bad(f"Step {number}: {_words(fault)}", stage.last_words())
                self._note(title, good=False)
                rest = list(enumerate(self._steps, 1))[number:]
                self.rows += [Row(title=f"{n}  {one.title}", good=None) for n, one in rest]
                return
            self._note(title, good=True)

    def _note(self, title: str, *, good: bool) -> None:
        self.rows.append(Row(title=title, good=good, seconds=time.monotonic() - self._began))


def main() -> int:
    """Tell the story; the exit code says how it went."""
    began = time.monotonic()
    screen = Screen()
    for number in _SIGNALS:
        signal.signal(number, _leave)
    octavia = _OCTAVIA in sys.argv[1:]
    screen.title(
        "Libra: one load balancer's life",
        "Each is a call to Octavia." if octavia else "Each message goes through gearmand.",
    )
    story = _through_octavia(screen) if octavia else _choose(screen)
    try:
        story.tell()
    except Missing as fault:
        screen.bad(f"{fault}. bin/setup installs what is missing.")
        return Exit.UNAVAILABLE
    except Stopped as stop:
        screen.bad(f"Stopped by {stop}; nothing is left behind.")
        return 128 + stop.number
    except _FAULTS as fault:
        story.cannot_clean_up(fault)
    screen.summary(story.rows, seconds=time.monotonic() - began)
    if not all(row.good for row in story.rows):
        return 1
    screen.line("Next: README.md says how to run the daemons and send them messages,")
    screen.line("      bin/libra --help what the command line client can do, docs/ the rest.")
    return 0


def _through_octavia(screen: Screen) -> Story:
    """The story as a user of OpenStack sees it. Raises Missing where namespaces cannot be had."""
    # Only here: it takes what the tests take, and OpenStack's Octavia besides.
    from tests.demo import octavia

    return Story(screen, octavia.OctaviaStage, octavia.STEPS, needs=cloud.why_not())


def _choose(screen: Screen) -> Story:
    """The whole story where namespaces can be had, else that of a single worker; says why."""
    reason = cloud.why_not()
    if not reason:
        return Story(screen, cloud.CloudStage, cloud.STEPS)
    screen.line(f"{reason[0].upper()}{reason[1:]}.")
    screen.line(
        "So there is no device and no floating IP: a single worker on loopback plays alone."
    )
    return Story(screen, alone.AloneStage, alone.STEPS)


def _leave(number: int, frame: FrameType | None) -> None:
    """Leave once; what follows is the clean-up, which takes its few seconds."""
    for one in _SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    raise Stopped(number)


def _words(fault: BaseException) -> str:
    return str(fault) if isinstance(fault, Wrong) else f"{type(fault).__name__}: {fault}"


if __name__ == "__main__":
    sys.exit(main())
