"""libra pool build: one device or many at once, with a bar that shows how far they are."""

from __future__ import annotations

import argparse
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from libra_client.cli import options, output, sending
from libra_client.cli.exits import Exit
from libra_client.client import Result
from libra_client.pool import BUILD_TIMEOUT, RESPONSE_FIELD
from libra_common.errors import LibraError

_COLUMNS = ("name", "addr", "az")  # without the long type: a name on two lines cannot be copied
_AT_ONCE = 256
"""More than a pool manager works on; the others follow as these are answered."""

_WISHES = ("flavor", "image", "az", "network")


def build(asked: argparse.Namespace) -> Exit:
    """Have `asked.number` devices built, all at the same time, and show what came of each.

    Standard output has those that were built, standard error why others were not. Raises what
    `sending.send` raises where not one was answered.
    """
    number = asked.number or 1
    results, errors = _built(asked, number)
    if errors and not results:
        raise errors[0]
    if options.wants_json(asked):
        answers = [result.answer for result in results]
        output.show_json(answers if asked.number is not None else answers[0])
    else:
        _show(asked, results)
    for error in errors:
        output.complain(str(error))
    if errors:
        return Exit.NO_ANSWER
    return Exit.OK if all(result.ok for result in results) else Exit.FAIL


def _built(asked: argparse.Namespace, number: int) -> tuple[list[Result], list[LibraError]]:
    """All answers in the order in which they came, and the errors of those that did not."""
    message = {"action": "BUILD_DEVICE"}
    message |= {name: getattr(asked, name) for name in _WISHES if getattr(asked, name) is not None}

    ended: queue.SimpleQueue[Result | Exception] = queue.SimpleQueue()
    left = iter(range(number))

    def ask() -> None:
        for _ in left:
            try:
                ended.put(
                    sending.send(
                        asked, message, timeout=BUILD_TIMEOUT, response_field=RESPONSE_FIELD
                    )
                )
            except Exception as error:  # noqa: BLE001 - raised again where it is taken
                ended.put(error)

    results: list[Result] = []
    errors: list[LibraError] = []
    with _bar(number) as bar:
        for _ in range(min(number, _AT_ONCE)):
            # Daemons: who interrupts the command is not made to wait for the answers.
            threading.Thread(target=ask, daemon=True).start()
        for _ in range(number):
            match ended.get():
                case Result() as result:
                    results.append(result)
                case LibraError() as error:
                    errors.append(error)
                case other:
                    raise other
            bar.advance(bar.task_ids[0])
    return results, errors


def _show(asked: argparse.Namespace, results: list[Result]) -> None:
    good = [result for result in results if result.ok]
    if good:
        rows = ([result.answer.get(name) for name in _COLUMNS] for result in good)
        output.show_table(_COLUMNS, rows)
    for result in results:
        if not result.ok:
            sending.refused(asked, result)


@contextmanager
def _bar(number: int) -> Iterator[Progress]:
    """A bar on standard error; only terminals see one."""
    console = Console(file=sys.stderr)
    with Progress(
        TextColumn("building devices"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        progress.add_task("building", total=number)
        yield progress
