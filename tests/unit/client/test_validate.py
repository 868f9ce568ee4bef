"""`libra validate`: what is told of good and bad files, for people and for programs."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from libra_client.cli.exits import Exit
from tests.unit.client.conftest import Libra, Write

CORPUS = Path(__file__).parents[2] / "corpus" / "messages"
GOOD = {
    "loadBalancers": [
        {
            "protocol": "http",
            "port": 8080,
            "nodes": [{"id": 7, "address": "10.0.0.1", "port": "80", "weight": "3"}],
        }
    ]
}
BAD = {
    "loadBalancers": [
        {"protocol": "ftp", "nodes": [{"address": "example.com", "port": 80}, {"port": 0}]}
    ]
}

MakeHaproxy = Callable[[str], str]


@pytest.fixture
def haproxy(tmp_path: Path) -> MakeHaproxy:
    """Make a program that stands in for HAProxy: a shell script with the given lines."""

    def make(lines: str) -> str:
        program = tmp_path / "haproxy"
        program.write_text(f"#!/bin/sh\n{lines}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return str(program)

    return make


def test_every_fault_is_one_line_with_the_file_and_its_path(libra: Libra, write: Write) -> None:
    # Given a file with four faults
    file = write(BAD)
    # When it is validated
    ran = libra("validate", file)
    # Then each is told like a compiler would, and their number
    assert ran.code == Exit.BAD_FILE
    assert ran.out == ""
    lines = ran.err.splitlines()
    assert [line.removeprefix(f"{file}: ").split(":")[0] for line in lines[:-1]] == [
        "loadbalancers[0].protocol",
        "loadbalancers[0].nodes[0].address",
        "loadbalancers[0].nodes[1].address",
        "loadbalancers[0].nodes[1].port",
    ]
    assert lines[-1] == f"{file}: 4 faults"


def test_faults_as_json_have_path_and_reason(libra: Libra, write: Write) -> None:
    # Given a file with faults / When it is validated for a program
    ran = libra("validate", write(BAD), "--json")
    # Then the program gets all of it as one object, and people nothing
    assert (ran.code, ran.err) == (Exit.BAD_FILE, "")
    found = ran.json
    assert found["valid"] is False
    assert found["haproxy_cfg"] is None
    assert found["haproxy_check"] is None
    assert found["faults"][3] == {
        "path": "loadbalancers[0].nodes[1].port",
        "reason": "must be 1 to 65535, got 0",
    }


def test_a_good_file_prints_the_configuration_alone_on_standard_output(
    libra: Libra, write: Write, haproxy: MakeHaproxy
) -> None:
    # Given a good file, and a HAProxy that takes what it is given when it can read it
    program = haproxy('test "$1" = -c && grep -q "server id-7 10.0.0.1:80" "$3"')
    # When it is validated
    ran = libra("validate", write(GOOD), "--haproxy", program)
    # Then standard output is the file, and the verdict is beside it
    assert ran.code == Exit.OK
    assert ran.out.startswith("# Written by Libra.")
    assert "server id-7 10.0.0.1:80 id 1 weight 3 " in ran.out
    assert "bind [::]:8080 v4v6" in ran.out
    assert "good; HAProxy accepts the configuration" in ran.err


def test_the_file_may_come_from_standard_input_and_not_be_shown(
    libra: Libra, haproxy: MakeHaproxy
) -> None:
    # Given a good message on standard input / When it is validated without showing
    ran = libra(
        *("validate", "-", "--no-show", "--haproxy", haproxy("true")),
        stdin=json.dumps(GOOD).encode(),
    )
    # Then only the verdict is told
    assert (ran.code, ran.out) == (Exit.OK, "")
    assert ran.err == "<stdin>: good; HAProxy accepts the configuration\n"


def test_a_good_file_as_json_has_the_configuration_and_the_verdict(
    libra: Libra, write: Write, haproxy: MakeHaproxy
) -> None:
    # Given a good file / When it is validated for a program
    ran = libra("validate", write(GOOD), "--json", "--haproxy", haproxy("true"))
    # Then all parts are there
    assert (ran.code, ran.err) == (Exit.OK, "")
    found = ran.json
    assert (found["valid"], found["faults"]) == (True, [])
    assert found["haproxy_cfg"].startswith("# Written by Libra.")
    assert found["haproxy_check"] == {"result": "passed", "message": None}


def test_without_haproxy_the_configuration_is_shown_and_the_exit_code_says_unchecked(
    libra: Libra, write: Write, tmp_path: Path
) -> None:
    # Given no HAProxy where it should be
    missing = str(tmp_path / "no-haproxy")
    # When a good file is validated
    ran = libra("validate", write(GOOD), "--haproxy", missing)
    # Then what could be found out is told, and that the rest could not
    assert ran.code == Exit.NOT_CHECKED
    assert "server id-7" in ran.out
    assert f"cannot run {missing}" in ran.err
    # And a program is told the same
    ran = libra("validate", write(GOOD), "--haproxy", missing, "--json")
    assert ran.code == Exit.NOT_CHECKED
    assert ran.json["valid"] is True
    assert ran.json["haproxy_check"]["result"] == "not_run"
    assert missing in ran.json["haproxy_check"]["message"]


def test_a_refusal_by_haproxy_makes_the_file_invalid(
    libra: Libra, write: Write, haproxy: MakeHaproxy
) -> None:
    # Given a HAProxy that refuses
    program = haproxy('echo "[ALERT]    (7) : config : parsing [$3:5]: no such word" >&2; exit 1')
    # When a good message is validated
    ran = libra("validate", write(GOOD), "--haproxy", program, "--json")
    # Then it is not valid, and HAProxy's words are there without the temporary directory
    assert ran.code == Exit.BAD_FILE
    assert ran.json["valid"] is False
    assert ran.json["haproxy_check"] == {
        "result": "refused",
        "message": "HAProxy refuses the configuration: "
        "config : parsing [haproxy.cfg:5]: no such word",
    }
    assert "no such word" in libra("validate", write(GOOD), "--haproxy", program).err


def test_nothing_is_left_in_the_temporary_directory(
    libra: Libra,
    write: Write,
    haproxy: MakeHaproxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a temporary directory of our own
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    # When files are validated, taken and refused / Then it is empty again
    for lines in ("true", "false"):
        libra("validate", write(GOOD), "--haproxy", haproxy(lines))
    assert list(folder.iterdir()) == []


def test_the_limits_addresses_and_paths_are_those_of_the_settings(
    libra: Libra, write: Write, haproxy: MakeHaproxy, tmp_path: Path
) -> None:
    # Given settings of a node
    config = tmp_path / "libra.cfg"
    config.write_text(
        "[gearman]\nmessage_limit = 4096\n"
        "[worker:haproxy]\nbind_address = 127.0.0.1, ::1\nrun_dir = /r\nmaxconn = 77\n"
        f"max_nodes = 1\nhaproxy = {haproxy('true')}\n"
    )
    # When a good message is validated / Then the configuration has them
    ran = libra("validate", write(GOOD), config=config)
    assert ran.code == Exit.OK
    for line in ("bind 127.0.0.1:8080", "bind [::1]:8080", "maxconn 77", "socket /r/admin.sock"):
        assert line in ran.out
    # And messages over the limits are refused
    nodes = [{"address": f"10.0.0.{last}", "port": 80} for last in (1, 2)]
    ran = libra(
        *("validate", write({"loadBalancers": [{"protocol": "TCP", "nodes": nodes}]})),
        config=config,
    )
    assert ran.code == Exit.BAD_FILE
    assert "at most 1 nodes" in ran.err
    ran = libra("validate", write({**GOOD, "note": "x" * 5000}), config=config)
    assert ran.code == Exit.BAD_FILE
    assert "the limit is 4096" in ran.err


def test_messages_of_other_actions_are_checked_too(libra: Libra, write: Write) -> None:
    # Given a good STATS and a faulty ARCHIVE
    good, bad = {"hpcs_action": "stats"}, {"hpcs_action": "ARCHIVE"}
    # Then the one is good, without a configuration, and the other has its faults told
    ran = libra("validate", write(good), "--json")
    assert (ran.code, ran.json["valid"], ran.json["haproxy_cfg"]) == (Exit.OK, True, None)
    assert "only an UPDATE makes a configuration" in libra("validate", write(good)).err
    ran = libra("validate", write(bad))
    assert ran.code == Exit.BAD_FILE
    assert "hpcs_object_store_token: is required" in ran.err


@pytest.mark.parametrize("name", ["not-json", "hostile", "unknown-action"])
def test_a_file_of_another_kind_is_told_so(libra: Libra, write: Write, name: str) -> None:
    # Given something that is no message
    found: dict[str, tuple[Any, str]] = {
        "not-json": (b"frontend x\n", "the message is not JSON"),
        "hostile": (b'{"hpcs_action": "\\u001b[2J"}', r"got '\\x1b[2J'"),
        "unknown-action": ({"hpcs_action": "REBOOT"}, "hpcs_action: must be one of UPDATE"),
    }
    content, reason = found[name]
    # Then that is the fault, with nothing in it that a terminal obeys
    ran = libra("validate", write(content))
    assert ran.code == Exit.BAD_FILE
    assert reason.replace("\\\\", "\\") in ran.err
    assert "\x1b" not in ran.err


def test_the_verdict_is_the_parsers_on_its_whole_corpus(
    libra: Libra, haproxy: MakeHaproxy, tmp_path: Path
) -> None:
    # Given every example of messages that a node accepts, and of those that it refuses for more
    # than a missing action, which the command adds
    accepted = sorted((CORPUS / "accepted").glob("*.json"))
    refused = [
        file
        for file in sorted((CORPUS / "refused").glob("*.json"))
        if not file.with_suffix(".expect").read_text().startswith("missing_action")
    ]
    assert len(accepted) > 20
    assert len(refused) > 20
    config = tmp_path / "libra.cfg"
    config.write_text(f"[worker:haproxy]\nmax_nodes = 20\nhaproxy = {haproxy('true')}\n")
    for file in (*accepted, *refused):
        # When it is validated / Then it is judged as a node would judge it
        ran = libra("validate", str(file), "--json", config=config)
        expected = Exit.OK if file in accepted else Exit.BAD_FILE
        assert ran.code == expected, (file.name, ran.out)
        assert bool(ran.json["faults"]) == (file in refused)
