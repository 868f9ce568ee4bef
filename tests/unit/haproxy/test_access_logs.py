"""Access logs on disk: whose a line is, what is kept, and who may have it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_haproxy import lognote
from libra_haproxy.accessline import split
from libra_haproxy.errors import Busy, DiskError
from libra_haproxy.logbounds import Bounds, Kept, tidy, too_much
from libra_haproxy.logfiles import LogFiles
from libra_haproxy.lognote import Note, Owner, chosen
from libra_haproxy.logshelf import LogShelf, opened
from libra_haproxy.sealed import Sealed, sealed_in

HEAD = b"<134>Nov  1 04:28:25 host haproxy[123]: 192.0.2.1:5 [21/Nov/2026:14:28:25.100] "
REST = b'http-servers/id-1 0/0/0/1/1 200 125 - - ---- 1/1/0/0/0 0/0 "GET /%s HTTP/1.1"\n'


@pytest.mark.parametrize(
    ("line", "frontend"),
    [
        (HEAD + b"http-in " + REST, "http-in"),
        (HEAD + b"http-in~ " + REST, "http-in"),
        (HEAD + b"http-in/1: SSL handshake failure\n", "http-in"),
        (
            HEAD.replace(b"Nov  1 04:28:25", b"2026-11-01T04:28:25.5+00:00") + b"tcp-in x\n",
            "tcp-in",
        ),
        (b"<133>Nov 21 14:28:25 host haproxy[1]: Proxy http-in stopped (cumulated conns)\n", None),
        (b"<129>Nov 21 14:28:25 host haproxy[1]: Server http-servers/a is DOWN, reason\n", None),
        (HEAD + b"../../etc " + REST, None),
        (b"", None),
        (b"<134>", None),
    ],
)
def test_a_line_is_of_the_frontend_that_stands_in_its_place(
    line: bytes, frontend: str | None
) -> None:
    # Given a line / When it is split / Then nothing but the third word's place decides
    found = split(line)
    assert (found and found[0]) == frontend
    if found:
        assert line.endswith(found[1])
        assert not found[1].startswith(b"<")


@given(st.binary(max_size=200))
def test_what_a_client_sends_never_decides_whose_a_line_is(text: bytes) -> None:
    # Given a request that names another frontend, or anything
    # When its line is split / Then it goes where its connection came in
    asked = text.replace(b"\n", b"") + b"]: x [y] tcp-in http-in~ "
    found = split(HEAD + b"http-in " + REST % asked)
    assert found is not None
    assert found[0] == "http-in"


def log_at(directory: Path, number: int, *, frontend: str = "http-in", age: float = 0) -> Sealed:
    moment = datetime.fromtimestamp(time.time() - age, UTC)
    return Sealed(directory=directory, frontend=frontend, time=moment, number=number)


def put(directory: Path, number: int, text: bytes = b"line\n", age: float = 0) -> Sealed:
    log = log_at(directory, number, age=age)
    log.path.write_bytes(text)
    return log


def test_rotations_lose_no_line_and_put_none_into_two_files(tmp_path: Path) -> None:
    # Given a writer with a small size of file
    files = LogFiles(tmp_path, Bounds(file_bytes=1000))
    lines = [b"line %d\n" % number for number in range(5000)]
    # When lines come in batches, with rotations in between and another writer after it
    for start in range(0, 5000, 7):
        if start > 2500 and files.written:
            files.close()
            files = LogFiles(tmp_path, Bounds(file_bytes=1000))
        files.append({"http-in": lines[start : start + 7]})
        files.seal_full()
        if start % 350 == 0:
            files.seal("http-in")
    files.seal("http-in")
    # Then all sealed ones, in their order, hold each line once
    sealed = sealed_in(tmp_path)
    assert b"".join(one.path.read_bytes() for one in sealed) == b"".join(lines)
    assert [one.number for one in sealed] == list(range(1, len(sealed) + 1))
    assert not files.seal("http-in")


def test_rotations_are_counted_on_when_every_log_is_gone(tmp_path: Path) -> None:
    # Given three rotations, all sent and removed
    files = LogFiles(tmp_path, Bounds())
    for _ in range(3):
        files.append({"http-in": [b"x\n"]})
        files.seal("http-in")
    for one in sealed_in(tmp_path):
        one.remove()
    files.close()
    # When another writer rotates
    files = LogFiles(tmp_path, Bounds())
    files.append({"http-in": [b"x\n"]})
    files.seal("http-in")
    # Then it goes on with the fourth
    assert [one.number for one in sealed_in(tmp_path)] == [4]


def test_a_line_that_a_kill_has_cut_is_not_joined_with_the_next(tmp_path: Path) -> None:
    # Given a file that ends in the middle of a line
    (tmp_path / "http-in.log").write_bytes(b"whole\ncut off he")
    # When a new writer goes on
    LogFiles(tmp_path, Bounds()).append({"http-in": [b"next\n"]})
    # Then the next line stands alone
    assert (tmp_path / "http-in.log").read_bytes() == b"whole\ncut off he\nnext\n"


def test_a_log_that_somebody_removed_is_begun_anew(tmp_path: Path) -> None:
    # Given a file that was removed while it was written
    files = LogFiles(tmp_path, Bounds())
    files.append({"http-in": [b"gone\n"]})
    (tmp_path / "http-in.log").unlink()
    # When it is to be rotated / Then there is nothing, and the next lines are written
    assert not files.seal("http-in")
    files.append({"http-in": [b"next\n"]})
    assert files.seal("http-in")
    assert [one.path.read_bytes() for one in sealed_in(tmp_path)] == [b"next\n"]


def kept(*sizes_and_ages: tuple[int, float]) -> list[Kept]:
    return [
        Kept(log_at(Path("/none"), number), size, age)
        for number, (size, age) in enumerate(sizes_and_ages, 1)
    ]


def test_the_oldest_go_first_and_no_more_than_has_to() -> None:
    # Given five logs of 100 bytes and bounds of 350, 50 of them being written
    logs = kept(*[(100, 10.0)] * 5)
    gone = too_much(logs, open_bytes=50, room=10**9, bounds=Bounds(most_bytes=350))
    # Then the two oldest go
    assert gone == logs[:2]


def test_what_is_too_old_goes_whatever_its_size() -> None:
    logs = kept((1, 100.0), (1, 99.0), (1, 1.0))
    assert too_much(logs, open_bytes=0, room=9, bounds=Bounds(most_seconds=50)) == logs[:2]


def test_logs_make_room_before_the_disk_is_full() -> None:
    # Given a disk that has 150 bytes fewer than what must stay free
    logs = kept(*[(100, 1.0)] * 4)
    # Then as many logs go as give them back
    assert too_much(logs, open_bytes=0, room=-150, bounds=Bounds()) == logs[:2]


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 100)), max_size=20),
    st.integers(0, 500),
    st.integers(-2000, 2000),
)
def test_what_is_kept_is_within_the_bounds_or_nothing_is_left_to_remove(
    logs: list[tuple[int, float]], open_bytes: int, room: int
) -> None:
    bounds = Bounds(most_bytes=2000, most_seconds=50)
    all_logs = kept(*logs)
    gone = too_much(all_logs, open_bytes=open_bytes, room=room, bounds=bounds)
    left = [one for one in all_logs if one not in gone]
    total = open_bytes + sum(one.size for one in left)
    before = open_bytes + sum(one.size for one in all_logs)
    assert not left or total <= min(2000, before + room)
    assert all(one.age <= 50 for one in left)


def test_removed_lines_are_counted(tmp_path: Path) -> None:
    # Given two old logs and a new one
    put(tmp_path, 1, b"a\nb\n", age=100)
    put(tmp_path, 2, b"c\n", age=100)
    new = put(tmp_path, 3)
    # When the directory is tidied
    removed = tidy(tmp_path, bounds=Bounds(most_seconds=50, free_percent=0), now=time.time())
    # Then it says what went, and the new one is there
    assert removed == (2, 3)
    assert sealed_in(tmp_path) == [new]


def test_one_deleted_load_balancers_lines_are_had_by_its_own_id_alone() -> None:
    logs = [
        ("older, of 7", Note(deleted=1.0, label="7")),
        ("older, nameless", Note(deleted=1.0)),
        ("of 8", Note(deleted=2.0, label="8")),
        ("nameless", Note(deleted=2.0)),
        ("of now", Note()),
    ]
    # While another load balancer is there
    assert chosen(logs, asked="7", owner=Owner(label="9")) == ["older, of 7"]
    assert chosen(logs, asked=None, owner=Owner(label="9")) == ["of now"]
    assert chosen(logs, asked="9", owner=Owner(label="9")) == ["of now"]
    assert chosen(logs, asked="15", owner=Owner(label=None)) == ["of now"]
    # While there is none: what has no id is of the last one
    assert chosen(logs, asked="8", owner=None) == ["of 8", "nameless"]
    assert chosen(logs, asked=None, owner=None) == ["of 8", "nameless"]


def shelf_in(directory: Path) -> LogShelf:
    return LogShelf(directory, seal=lambda _: False, bounds=Bounds())


def test_a_name_in_the_store_is_settled_once_for_all(tmp_path: Path) -> None:
    # Given a log whose name was settled by a first attempt
    log = put(tmp_path, 1)
    assert shelf_in(tmp_path).target(log, "15/haproxy-1.log.gz") == "15/haproxy-1.log.gz"
    # When a second attempt proposes another / Then the first stands
    assert shelf_in(tmp_path).target(log, "HTTP/haproxy-1.log.gz") == "15/haproxy-1.log.gz"


def test_two_at_once_never_have_the_same_log(tmp_path: Path) -> None:
    # Given one who has the logs in hand
    put(tmp_path, 1)
    owner = Owner(label=None)
    with shelf_in(tmp_path).take("http-in", asked=None, owner=lambda: owner, seconds=1) as logs:
        assert len(logs) == 1
        # When another asks / Then it is told so, in its time
        with pytest.raises(Busy):
            shelf_in(tmp_path).take(
                "http-in", asked=None, owner=lambda: owner, seconds=0.1
            ).__enter__()
        # and another protocol's are free
        with shelf_in(tmp_path).take(
            "tcp-in", asked=None, owner=lambda: owner, seconds=1
        ) as others:
            assert others == []


def test_logs_outlive_their_load_balancer_with_its_id(tmp_path: Path) -> None:
    # Given a load balancer with an id, a sealed log and one that is being written
    put(tmp_path, 1)
    (tmp_path / "http-in.log").write_bytes(b"last\n")
    shelf = shelf_in(tmp_path)
    # When it is deleted
    shelf.leave({"http-in": "15"})
    shelf.set_aside()
    # Then both are kept under its id, and another's ARCHIVE does not get them
    with shelf.take("http-in", asked="15", owner=lambda: None, seconds=1) as logs:
        assert [one.path.read_bytes() for one in logs] == [b"line\n", b"last\n"]
    with shelf.take("http-in", asked="16", owner=lambda: Owner(label="16"), seconds=1) as logs:
        assert logs == []
    assert not (tmp_path / "http-in.log").exists()


def test_what_is_no_plain_file_is_never_read(tmp_path: Path) -> None:
    # Given something under the name of a log that leads elsewhere
    secret = tmp_path / "secret"
    secret.write_text("x")
    soft, hard = log_at(tmp_path, 1), log_at(tmp_path, 2)
    soft.path.symlink_to(secret)
    hard.path.hardlink_to(secret)
    # When it is to be read / Then it is refused
    for log in (soft, hard):
        with pytest.raises(DiskError):
            opened(log)


def test_a_damaged_note_is_none(tmp_path: Path) -> None:
    path = tmp_path / "note"
    for text in ("", "[]", "{", '{"schema": 2}', '{"schema": 1, "more": 1}'):
        path.write_text(text)
        assert lognote.read(path) == Note()
