"""`libra octavia list`, `show` and `sync`, and what --check-config finds wrong."""

from __future__ import annotations

import datetime
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from libra_client.cli.exits import Exit
from libra_client.cli.main import main as libra
from libra_common.authority import Authority
from libra_common.exits import Exit as DaemonExit
from libra_octavia.inventory import (
    Certificate,
    Database,
    Device,
    Devices,
    Intents,
    Kind,
    Leases,
    Operation,
    Wish,
    migrate,
)
from libra_octavia.main import main as libra_octavia
from tests.support.gate import Papers
from tests.support.gearmand import Gearmand
from tests.support.octavia_health import serve
from tests.support.ports import free_port

BALANCER = "6e2bc8a0-2548-4fb7-a5f0-fb1ef4a696ce"
FAILED = Wish(
    operation=Operation.CREATE,
    kind=Kind.LOAD_BALANCER,
    object_id=BALANCER,
    load_balancer_id=BALANCER,
)


def written(folder: Path, **octavia: object) -> list[str]:
    """The options that name a settings file with these in [octavia]."""
    gearman = octavia.pop("gearman", f"127.0.0.1:{free_port()}")
    lines = ["[gearman]", f"servers = {gearman}", "[octavia]"]
    lines += [f"{name} = {value}" for name, value in octavia.items()]
    file = folder / "libra.cfg"
    file.write_text("\n".join([*lines, ""]))
    return ["--config-file", str(file)]


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> list[str]:
    return written(tmp_path, inventory=database.url.render_as_string(hide_password=False))


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    assert libra([*words, "--json"]) == Exit.OK
    return json.loads(capsys.readouterr().out)


def test_list_and_show_tell_who_holds_what_waits_and_what_went_wrong(
    database: Database, settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    # Given one that was served, and one that failed and is held by somebody just now
    serve(database, "amp")
    ends = datetime.datetime.now().timestamp() + 40.5 * 86400  # noqa: DTZ005 - seconds only
    Devices(database).issued(
        Certificate(serial="1", device="amp", reference="/ca/1.pem", not_after=ends)
    )
    intents, leases = Intents(database), Leases(database, seconds=60)
    number = intents.record(FAILED)
    lease = leases.claim(BALANCER)
    assert lease is not None
    leases.postpone(lease, 0, seen=number, error="no device could be had\nat all")
    again = leases.claim(BALANCER)
    assert again is not None
    # When both are listed for programs
    failed, served = shown(capsys, "octavia", "list", *settings)
    # Then all is there
    assert (failed["id"], failed["fence"], failed["attempts"]) == (BALANCER, 2, 1)
    assert failed["holder"] == again.holder
    assert 0 < failed["lease_left"] <= 60
    assert failed["last_error"] == "no device could be had\nat all"
    assert [(one["operation"], one["object_id"]) for one in failed["waiting"]] == [
        ("create", BALANCER)
    ]
    assert served["id"] == "lb"
    assert (served["holder"], served["last_error"], served["waiting"]) == (None, None, [])
    (device,) = served["devices"]
    assert (device["name"], device["state"], device["certificate_days_left"]) == (
        "amp",
        "ready",
        40,
    )
    # And one of them for people
    assert libra(["octavia", "show", BALANCER, *settings]) == Exit.OK
    said = capsys.readouterr().out
    for word in (BALANCER, "no device could be had", f":{os.getpid()}", "create"):
        assert word in said
    assert libra(["octavia", "list", *settings]) == Exit.OK
    assert "no device could be had" in capsys.readouterr().out
    assert [shown(capsys, "octavia", "show", "lb", *settings)["id"]] == ["lb"]


def test_what_is_not_known_is_named(
    settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert libra(["octavia", "show", "nobody", *settings]) == Exit.USAGE
    assert "nobody: the inventory knows no such load balancer" in capsys.readouterr().err
    assert libra(["octavia", "sync", "nobody", *settings]) == Exit.USAGE
    assert "nobody: is no id" in capsys.readouterr().err


def test_an_inventory_that_is_away_is_named_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = written(tmp_path, inventory=f"sqlite:///{tmp_path}/none.db")
    for words in (["list"], ["show", "x"], ["sync"]):
        assert libra(["octavia", *words, *settings]) == Exit.NO_ANSWER
        said = capsys.readouterr().err
        assert "none.db cannot be used" in said
        assert "Traceback" not in said


def test_sync_asks_for_each_once_with_or_without_gearmand(
    database: Database, settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    serve(database, "amp")
    assert shown(capsys, "octavia", "sync", *settings) == {"load_balancers": ["lb"]}
    assert shown(capsys, "octavia", "sync", *settings) == {"load_balancers": []}
    assert [one.operation for one in Intents(database).of("lb")] == [Operation.SYNC]
    assert libra(["octavia", "sync", BALANCER, *settings]) == Exit.OK
    said = capsys.readouterr()
    assert "1 load balancer(s)" in said.out
    assert "find it by themselves" in said.err
    assert [one.operation for one in Intents(database).of(BALANCER)] == [Operation.SYNC]


# -- what --check-config finds ---------------------------------------------------------------


@pytest.fixture
def right(tmp_path: Path) -> Iterator[dict[str, object]]:
    """Settings with which nothing is wrong."""
    sockets = tmp_path / "s"
    sockets.mkdir()
    opened = []
    for name in ("status", "stats", "get"):
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(sockets / f"{name}.sock"))
        opened.append(listening)
    Authority.create(tmp_path / "ca")
    with Gearmand() as gearmand:
        yield {
            "gearman": gearmand.address,
            "inventory": f"sqlite:///{tmp_path / 'inventory.db'}",
            "driver_agent_sockets": sockets,
            "ca_dir": tmp_path / "ca",
            "heartbeat_key": "a long and random one",
            "heartbeat_bind": f"127.0.0.1:{free_port()}",
            "heartbeat_controllers": "192.0.2.1:5556",
            "pid": tmp_path / "pid",
        }
    for listening in opened:
        listening.close()


def checked(
    capsys: pytest.CaptureFixture[str], folder: Path, settings: dict[str, object]
) -> tuple[int, str]:
    with pytest.raises(SystemExit) as left:
        libra_octavia(["--check-config", *written(folder, **settings)])
    assert isinstance(left.value.code, int)
    return left.value.code, capsys.readouterr().err


def test_right_settings_pass_before_and_after_the_first_start_and_nothing_is_made(
    right: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert checked(capsys, tmp_path, dict(right)) == (DaemonExit.OK, "")
    assert sorted({*tmp_path.rglob("*")} - {tmp_path / "libra.cfg"}) == before
    migrate(Database(str(right["inventory"])))
    assert checked(capsys, tmp_path, dict(right)) == (DaemonExit.OK, "")


def test_each_thing_that_is_wrong_is_one_sentence(
    right: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        short = Authority.create(tmp_path / "short", days=9.5)
        for changed, said in (
            ({"controllers": 2}, "[octavia] controllers = 2: SQLite serves one machine alone"),
            (
                {"inventory": f"sqlite:///{tmp_path}/none/x.db"},
                f"[octavia] inventory: {tmp_path}/none is no folder",
            ),
            (
                {"inventory": "postgresql+psycopg://libra:hunter2@127.0.0.1:1/libra"},
                "[octavia] inventory: the inventory at postgresql+psycopg://libra:***@127.0.0.1:1",
            ),
            ({"inventory": "mysql://localhost/libra"}, "'mysql'"),
            ({"driver_agent_sockets": tmp_path}, "there is no status.sock"),
            ({"gearman": f"127.0.0.1:{free_port()}"}, "cannot be reached: Connection refused"),
            ({"ca_dir": short.folder}, "the authority ends in 9 days"),
            ({"heartbeat_key": ""}, "[octavia] heartbeat_key: is empty"),
            ({"heartbeat_controllers": ""}, "[octavia] heartbeat_controllers: is empty"),
            (
                {"heartbeat_bind": f"127.0.0.1:{port}"},
                f"heartbeat_bind = 127.0.0.1:{port}: cannot be listened at: Address already in use",
            ),
        ):
            code, faults = checked(capsys, tmp_path, {**right, **changed})
            assert code == DaemonExit.CONFIG, said
            assert said in faults
            assert "hunter2" not in faults
    # And all of them at once
    (tmp_path / "ca" / "ca.key").chmod(0o644)
    code, faults = checked(capsys, tmp_path, {**right, "controllers": 2})
    assert code == DaemonExit.CONFIG
    assert len(faults.splitlines()) == 2
    assert "others can read it" in faults


def test_a_gearmand_in_plain_text_is_a_fault_where_tls_is_asked_for(
    right: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gate").mkdir()
    tls = Papers(tmp_path / "gate").holder("agent", "provider")
    options = [
        *("--gearman-ssl-key", str(tls.key), "--gearman-ssl-cert", str(tls.cert)),
        *("--gearman-ssl-ca", str(tls.ca)),
    ]
    with pytest.raises(SystemExit) as left:
        libra_octavia(["--check-config", *written(tmp_path, **dict(right)), *options])
    said = capsys.readouterr().err
    assert left.value.code == DaemonExit.CONFIG
    assert f"[gearman] servers = {right['gearman']}: answers in plain text" in said


def test_tables_of_a_newer_release_are_a_fault(
    right: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = Database(str(right["inventory"]))
    migrate(database)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    code, faults = checked(capsys, tmp_path, dict(right))
    assert (code, "newer release" in faults) == (DaemonExit.CONFIG, True)


def test_several_controllers_are_right_with_postgresql(
    right: dict[str, object],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    url = request.getfixturevalue("postgres").database()
    assert checked(capsys, tmp_path, {**right, "inventory": url, "controllers": 3})[0] == 0


def test_a_device_row_is_listed_with_its_load_balancer_alone(
    database: Database, settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Devices(database).put(Device(name="spare", state="ready"))
    serve(database, "amp")
    (one,) = shown(capsys, "octavia", "list", *settings)
    assert [device["name"] for device in one["devices"]] == ["amp"]


def test_without_the_packages_of_the_extra_only_these_commands_are_missing(tmp_path: Path) -> None:
    # Given an installation of libra alone
    code = (
        "import sys; sys.modules['sqlalchemy'] = None;"
        "from libra_client.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    for words, exit_code, said in (
        (["octavia", "list"], Exit.USAGE, "pip install 'libra[octavia]'"),
        (["octavia", "--help"], Exit.OK, "sync"),
        (["schema"], Exit.OK, "UPDATE"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == exit_code, done.stderr
        assert said in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
