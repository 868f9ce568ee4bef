"""What the command line means, and how it is refused, before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from libra_client.cli import options
from libra_client.cli.exits import Exit
from libra_client.cli.main import parser
from libra_common.settings import HostPort
from libra_common.version import RELEASE
from tests.support.ports import free_port
from tests.unit.client.conftest import Libra, Write

COMMANDS = (
    *("update", "rollback", "suspend", "enable", "delete"),
    *("discover", "stats", "metrics", "history", "diagnostics"),
    *("pool", "validate", "schema"),
)


def test_version_is_printed_and_nothing_else(libra: Libra) -> None:
    # When the version is asked for / Then it is the release, and all is well
    ran = libra("--version")
    assert (ran.code, ran.out, ran.err) == (Exit.OK, f"libra {RELEASE}\n", "")


def test_help_names_every_command_and_every_exit_code(libra: Libra) -> None:
    # When help is asked for
    ran = libra("--help")
    # Then all that there is stands in it
    assert ran.code == Exit.OK
    for command in COMMANDS:
        assert f"    {command} " in ran.out
    for code in Exit:
        assert f"{code.value}  {code.meaning}" in ran.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_shows_examples_of_it(libra: Libra, command: str) -> None:
    # When help of a command is asked for / Then it has an example to copy
    ran = libra(command, "--help")
    assert ran.code == Exit.OK
    assert f"examples:\n  libra {command}" in ran.out


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("reboot", "node"),
        ("stats",),
        ("stats", "node", "--no-such-option"),
        ("stats", "node", "--timeout", "0"),
        ("stats", "node", "--timeout", "nan"),
        ("stats", "node", "--timeout", "soon"),
        ("stats", "node", "--server", "no port:here"),
        ("stats", "node", "--server", "a:1,a:1"),
        ("stats", "node", "--ssl-key", "key.pem"),
        ("stats", ""),
        ("schema", "REBOOT"),
        ("delete", "node"),
        ("pool",),
        ("pool", "build", "-n", "0"),
        ("pool", "build", "-n", "many"),
        ("pool", "delete", "device"),
        ("pool", "ip"),
        ("pool", "ip", "assign", "203.0.113.1"),
        ("pool", "ip", "delete", "203.0.113.1"),
        ("metrics", "node", "--ack", "last"),
        ("rollback", "node"),
        ("rollback", "node", "three", "--yes"),
        ("rollback", "node", "3"),
        ("rollback", "node", "3", "--yes", "--generation", "-1"),
        ("update", "node", "f.json", "--generation", "9007199254740993"),
    ],
    ids=lambda words: " ".join(words) or "nothing",
)
def test_a_wrong_command_line_is_exit_code_2_with_a_reason(
    libra: Libra, words: tuple[str, ...]
) -> None:
    # Given a server where nobody listens / When the command line is wrong
    ran = libra("--server", f"127.0.0.1:{free_port()}", *words)
    # Then nothing is on standard output, and the reason is on standard error, no traceback
    assert ran.code == Exit.USAGE
    assert ran.out == ""
    assert "libra" in ran.err
    assert "Traceback" not in ran.err


def test_options_stand_before_or_after_the_command(tmp_path: Path) -> None:
    # Given the same options at both places
    words = ["--server", "a:1", "--server", "[::1]:2", "--timeout", "3", "--json"]
    (tmp_path / "c").write_text("")
    common = ["--config-file", str(tmp_path / "c")]
    for line in (
        [*common, *words, "stats", "node"],
        ["stats", "node", *words, *common],
        [*common, *words[:4], "stats", "node", *words[4:]],
    ):
        # When they are read / Then they mean the same
        asked = parser().parse_args(line)
        found = options.settings(asked)
        assert found.gearman.servers == (HostPort("a", 1), HostPort("::1", 2))
        assert options.timeout(asked, 10) == 3
        assert options.wants_json(asked)


def test_servers_and_tls_come_from_the_settings_and_options_are_stronger(tmp_path: Path) -> None:
    # Given a settings file
    config = tmp_path / "libra.cfg"
    config.write_text("[gearman]\nservers = a:1, b:2\nssl_key = /k\nssl_cert = /c\nssl_ca = /a\n")
    # When no option says otherwise / Then its servers and files count
    asked = parser().parse_args(["--config-file", str(config), "stats", "node"])
    gearman = options.settings(asked).gearman
    assert [str(server) for server in gearman.servers] == ["a:1", "b:2"]
    assert (gearman.ssl_key, gearman.ssl_cert) == (Path("/k"), Path("/c"))
    assert gearman.ssl_ca == Path("/a")
    # When an option does / Then the option counts, and TLS stays
    asked = parser().parse_args(
        ["--config-file", str(config), "stats", "node", "--server", "x:9", "--ssl-ca", "/b"]
    )
    gearman = options.settings(asked).gearman
    assert [str(server) for server in gearman.servers] == ["x:9"]
    assert (gearman.ssl_key, gearman.ssl_ca) == (Path("/k"), Path("/b"))


def test_a_missing_settings_file_is_named(libra: Libra, tmp_path: Path) -> None:
    # Given no such file / Then it is exit code 2 and the file is named
    ran = libra("stats", "node", config=tmp_path / "gone.cfg")
    assert ran.code == Exit.USAGE
    assert f"libra: {tmp_path}/gone.cfg: cannot be read" in ran.err


def test_every_fault_of_the_settings_is_told(libra: Libra, tmp_path: Path) -> None:
    # Given settings with two faults
    config = tmp_path / "bad.cfg"
    config.write_text("[gearman]\nservers = :::\nmessage_limit = many\n")
    # Then both are told, one a line
    ran = libra("stats", "node", config=config)
    assert ran.code == Exit.USAGE
    assert len(ran.err.splitlines()) == 2
    assert "servers" in ran.err
    assert "message_limit" in ran.err


def test_no_server_is_exit_code_3_and_every_server_is_named(libra: Libra) -> None:
    # Given two servers where nobody listens
    ports = free_port(), free_port("::1")
    servers = f"127.0.0.1:{ports[0]}", f"[::1]:{ports[1]}"
    # When a node is asked
    ran = libra("stats", "node", "--server", servers[0], "--server", servers[1])
    # Then both are in the reason
    assert ran.code == Exit.NO_ANSWER
    assert ran.out == ""
    assert "libra: no gearman server took the job" in ran.err
    for server in servers:
        assert server in ran.err


@pytest.mark.parametrize("json", [(), ("--json",)])
@pytest.mark.parametrize("command", [("delete", "node"), ("rollback", "node", "3")])
def test_what_asks_first_needs_yes_without_a_terminal(
    libra: Libra, command: tuple[str, ...], json: tuple[str, ...]
) -> None:
    # Given standard input that would say yes, but is no terminal
    ran = libra(*command, *json, stdin=b"y\n")
    # Then nothing is sent, and the way out is named
    assert ran.code == Exit.USAGE
    assert ran.out == ""
    assert "--yes" in ran.err


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"{", "not JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"hpcs_action": "DELETE"}', "hpcs_action: must be UPDATE or left out"),
        (b'{"hpcs_action": 5}', "hpcs_action: must be UPDATE or left out"),
        (b'{"hpcs_action": "UPDATE", "HPCS_ACTION": "UPDATE"}', "given more than once"),
        (b'{"loadBalancers": [], "loadBalancers": []}', "loadbalancers: given more than once"),
        (b'{"loadBalancers": [{"port": 1, "Port": 2}]}', "[0].port: given more than once"),
        (b"", "the message is empty"),
    ],
)
def test_update_refuses_a_file_that_would_not_arrive_as_written(
    libra: Libra, write: Write, message: bytes, reason: str
) -> None:
    # Given a server where nobody listens, so that anything sent would be exit code 3
    server = f"127.0.0.1:{free_port()}"
    # When the file is sent / Then it is refused by name, as a file and from standard input
    file = write(message)
    for name, shown in ((file, file), ("-", "<stdin>")):
        ran = libra("update", "node", name, "--server", server, stdin=message)
        assert ran.code == Exit.BAD_FILE
        assert ran.out == ""
        assert f"libra: {shown}: " in ran.err
        assert reason in ran.err


@pytest.mark.parametrize("command", [("update", "node"), ("validate",)])
@pytest.mark.parametrize("name", ["gone.json", ".", "a\0b"])
def test_a_file_that_cannot_be_read_is_named(
    libra: Libra, command: tuple[str, ...], name: str
) -> None:
    # Given no readable file of that name / Then that is said, without a traceback
    ran = libra(*command, name)
    assert ran.code == Exit.BAD_FILE
    assert "cannot be read" in ran.err
    assert "Traceback" not in ran.err
