"""The step in which the configuration changes under the hands of its clients."""

from __future__ import annotations

import time
from collections import Counter

from tests.demo.scene import Scene
from tests.demo.traffic import Answer, Load

KEEPERS, OPENERS = 3, 3
BESIDE = 400
"""Requests to be done before the UPDATE, and again after it."""


def change_under_load(scene: Scene) -> None:
    """Swap a node while clients request."""
    with Load(scene.stage.target, keepers=KEEPERS, openers=OPENERS) as load:
        load.wait_for(BESIDE)
        began = time.monotonic()
        scene.submit(scene.update(1, 3))
        passed = time.monotonic()
        load.wait_for(BESIDE)
    answers, failures = load.answers, load.failures
    scene.count(answers)
    _show(scene, answers, began, passed)

    kept = sum(answer.kept for answer in answers)
    scene.check(
        not failures,
        f"{len(answers)} requests done, {kept} of them on kept connections; 0 failed",
        f"{len(failures)} of {len(answers) + len(failures)} failed, e.g. {failures[:1]}",
    )
    after = [answer for answer in answers if answer.opened > passed]
    new, old = (sum(answer.web == web for answer in after) for web in ("web-3", "web-2"))
    scene.check(new, f"connections opened after PASS: {new} answers from web-3, the new node")
    scene.check(not old, "connections opened after PASS: none from web-2, the removed one", old)
    _check_last_answers(scene, answers, passed)


def _check_last_answers(scene: Scene, answers: list[Answer], passed: float) -> None:
    """A connection from before PASS ends with an answer, perhaps the removed node's last."""
    last = [
        answer
        for answer in answers
        if answer.web == "web-2" and answer.started > passed >= answer.opened
    ]
    connections = {answer.opened for answer in last}
    if last:
        scene.check(
            len(last) == len(connections) <= KEEPERS,
            f"connections kept from before: {len(last)} had one last answer from web-2, no more",
            f"{len(last)} answers on {len(connections)} connections",
        )


def _show(scene: Scene, answers: list[Answer], began: float, passed: float) -> None:
    """Where the requests went before, while and after the change, by when they were sent."""
    times: dict[str, Counter[str]] = {}
    for answer in answers:
        when = 0 if answer.started < began else 1 if answer.started <= passed else 2
        times.setdefault(answer.web, Counter())[str(when)] += 1
    scene.screen.table(
        ("requests answered by", "before", "while it was applied", "after PASS"),
        [(web, *(counts[str(when)] for when in range(3))) for web, counts in sorted(times.items())],
    )
