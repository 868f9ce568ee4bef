"""The order in which xdist's workers get modules."""

from __future__ import annotations

import re
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from xdist.remote import Producer

from tests.support.pages import ROOT
from tests.support.scheduling import MINUTES, ROWS, Scheduling

LONG = "tests/integration/octavia/test_devices_random.py"
ROW = "tests/integration/pool/nova"
TESTS = [
    *(f"tests/unit/test_many.py::test_{number}" for number in range(9)),
    *(f"{LONG}::test_{number}" for number in range(2)),
    *("tests/unit/test_few.py::test_0", "tests/unit/test_few.py::test_1"),
    *(f"{ROW}/test_nova_many.py::test_0", f"{ROW}26/test_nova26.py::test_0"),
]


class Worker:
    """One that runs whatever it is given, when it is told to."""

    shutting_down = False

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.given: list[int] = []

    def send_runtest_some(self, numbers: list[int]) -> None:
        self.given += numbers

    def shutdown(self) -> None:
        self.shutting_down = True

    def modules(self) -> list[str]:
        return list(dict.fromkeys(TESTS[number].split("::")[0] for number in self.given))


@pytest.fixture
def workers() -> list[Worker]:
    return [Worker("gw0"), Worker("gw1")]


@pytest.fixture
def scheduler(workers: list[Worker]) -> Any:
    option = SimpleNamespace(tx=["2*popen"], loadscopereorder=True)
    config: Any = SimpleNamespace(option=option, getvalue=lambda name: getattr(option, name))
    made: Any = Scheduling().pytest_xdist_make_scheduler(config, Producer("", enabled=False))
    for worker in workers:
        made.add_node(worker)
        made.add_node_collection(worker, TESTS)
    made.schedule()
    return made


def test_the_longest_begin_first_and_what_shares_something_is_one_workers(
    scheduler: Any, workers: list[Worker]
) -> None:
    # When both have begun
    first, second = workers
    # Then one has the whole row, and the other what takes longest of the rest
    assert first.modules() == [f"{ROW}/test_nova_many.py", f"{ROW}26/test_nova26.py"]
    assert second.modules() == [LONG]
    assert len(scheduler.workqueue) == 2


def test_a_worker_is_given_more_once_it_has_one_test_left(
    scheduler: Any, workers: list[Worker]
) -> None:
    first, second = workers
    # When the one has run one test of two / Then it has the next module, the larger one
    scheduler.mark_test_complete(second, second.given[0])
    assert second.modules() == [LONG, "tests/unit/test_many.py"]
    # And the rest is the other's
    scheduler.mark_test_complete(first, first.given[0])
    assert first.modules()[2:] == ["tests/unit/test_few.py"]


def test_each_module_is_run_once(scheduler: Any, workers: list[Worker]) -> None:
    done: list[int] = []
    while any(len(one.given) for one in workers):
        for one in workers:
            if one.given:
                done.append(one.given.pop(0))
                scheduler.mark_test_complete(one, done[-1])
    assert sorted(done) == list(range(len(TESTS)))
    assert all(one.shutting_down for one in workers)


def test_a_run_side_by_side_splits_no_module() -> None:
    # Given a real run of two workers
    modules = ("tests/unit/jobs/test_wire.py", "tests/unit/jobs/test_watch.py")
    command = [sys.executable, "-m", "pytest", "-v", "-n", "2", "-p", "no:cacheprovider", *modules]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    # Then all tests of a module were one worker's
    ran = set(re.findall(r"^\[(gw\d)\] .*?(tests/\S+\.py)::", done.stdout, re.MULTILINE))
    assert sorted(module for _, module in ran) == sorted(modules)


@pytest.mark.parametrize("place", [*MINUTES, *ROWS])
def test_what_is_known_to_be_long_is_there(place: str) -> None:
    assert list((ROOT / place).parent.glob(f"{(ROOT / place).name}*")), place
    assert [row for row in ROWS if place.startswith(row)] in ([], [place]), (
        "the row's is what counts"
    )
