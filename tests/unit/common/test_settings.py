from __future__ import annotations

import dataclasses
import logging
import socket
from pathlib import Path

import pytest

from libra_common.exits import Exit
from libra_common.settings import HostPort, load, table
from libra_common.settings.__main__ import main as print_page
from libra_common.settings.sections import SECTIONS
from tests.unit.common.reading import PROG, faults_of, written

ROOT = Path(__file__).parents[3]


def test_without_any_file_or_option_the_documented_defaults_are_in_force() -> None:
    found = load([], prog=PROG)
    assert found.gearman.servers == (HostPort("localhost", 4730),)
    assert found.gearman.message_limit == 4194304
    assert (found.gearman.ssl_key, found.gearman.ssl_cert, found.gearman.ssl_ca) == (None,) * 3
    assert found.worker.name == socket.gethostname()
    assert found.worker.slots == 4
    assert found.worker.pid == Path("/run/libra/libra_worker.pid")
    assert found.worker.driver == "haproxy"
    assert found.worker.diagnostics_address is None
    assert found.haproxy.haproxy == Path("/usr/sbin/haproxy")
    assert found.haproxy.bind_address == ()
    assert found.haproxy.state_dir == Path("/var/lib/libra/worker")
    assert found.haproxy.run_dir == Path("/run/libra/worker")
    assert found.haproxy.log_dir == Path("/var/log/libra")
    assert (found.haproxy.user, found.haproxy.group) == ("haproxy", "haproxy")
    assert (found.haproxy.max_nodes, found.haproxy.maxconn) == (10000, 20000)
    assert found.default.log_file is None
    assert not found.default.daemon


def test_the_table_and_the_dataclasses_name_the_same_settings() -> None:
    for section in SECTIONS.values():
        fields = [field.name for field in dataclasses.fields(section.result)]
        assert fields == [row.name for row in table.TABLE if row.section == section.name]


def test_each_option_of_the_command_line_is_unique() -> None:
    options = [row.option for row in table.TABLE]
    assert len(set(options)) == len(options)
    assert {"--gearman-servers", "--worker-slots", "--haproxy-state-dir"} <= set(options)


def test_a_later_file_wins_over_an_earlier_one_and_an_option_over_both(tmp_path: Path) -> None:
    # Given two files that disagree
    first = written(tmp_path, "[worker]\nslots = 5\nname = one\n", "1")
    second = written(tmp_path, "[worker]\nslots = 6\n", "2")
    # When both are read
    found = load(["--config-file", first, "--config-file", second], prog=PROG)
    # Then the later one counts, and what it does not name stays
    assert (found.worker.slots, found.worker.name) == (6, "one")
    # And an option is stronger wherever it stands
    found = load(["--worker-slots", "7", "--config-file", second], prog=PROG)
    assert found.worker.slots == 7


def test_a_list_may_be_written_over_several_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "[gearman]\nservers =\n  a:1,\n  [::1]:2\n  c\n")
    found = load(["--config-file", path], prog=PROG)
    assert found.gearman.servers == (HostPort("a", 1), HostPort("::1", 2), HostPort("c", 4730))
    assert str(found.gearman.servers[1]) == "[::1]:2"


def test_dollar_names_another_setting_and_double_dollar_is_a_dollar(tmp_path: Path) -> None:
    text = "[worker:haproxy]\nhaproxy = /srv\nlog_dir = $haproxy/log\nlogfile = /a$$b\n"
    found = load(["--config-file", written(tmp_path, text)], prog=PROG)
    assert found.haproxy.log_dir == Path("/srv/log")
    assert found.haproxy.logfile == Path("/a$b")
    # An option is taken literally, and is seen by what refers to it.
    argv = ["--config-file", str(tmp_path / "libra.cfg"), "--haproxy", "/x$y"]
    assert load(argv, prog=PROG).haproxy.log_dir == Path("/x$y/log")


@pytest.mark.parametrize("text", ["$nothing/x", "$log_dir"])
def test_a_dollar_that_names_nothing_or_itself_is_a_fault(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, f"[worker:haproxy]\nlog_dir = {text}\n")
    (fault,) = faults_of("--config-file", path)
    assert "[worker:haproxy] log_dir" in fault
    assert path in fault


def test_all_faults_are_told_at_once_each_with_section_name_value_origin_and_reason(
    tmp_path: Path,
) -> None:
    # Given a file and options with a fault each
    path = written(tmp_path, "[worker]\nslots = 0\n[gearman]\nservers = a:0, a\n")
    # When they are loaded
    faults = faults_of("--config-file", path, "--haproxy-maxconn", "many")
    # Then each fault is there, in full
    assert any(
        fault == f"[worker] slots = '0' (from {path}): is not between 1 and 64" for fault in faults
    )
    assert any(fault.startswith("[gearman] servers = 'a:0, a'") for fault in faults)
    assert any("maxconn = 'many' (from the command line)" in fault for fault in faults)
    assert len(faults) == 3


BAD: list[tuple[str, str, str]] = [
    ("--worker-slots", "65", "between 1 and 64"),
    ("--worker-slots", "4.0", "not a whole number"),
    ("--worker-slots", "\u0664", "not a whole number"),
    ("--worker-name", "", "must not be empty"),
    ("--worker-name", "two words", "printable ASCII"),
    ("--worker-name", "a\tb", "printable ASCII"),
    ("--worker-name", "a\0b", "printable ASCII"),
    ("--worker-name", "n\u00f6de", "printable ASCII"),
    ("--worker-name", "x" * 513, "longer than 512"),
    ("--worker-driver", "nginx", "none of haproxy"),
    ("--worker-diagnostics-address", "example.com", "has no port"),
    ("--gearman-servers", "", "at least one"),
    ("--gearman-servers", "a:1,,b:2", "empty entry"),
    ("--gearman-servers", "a:1,a:1", "twice"),
    ("--gearman-servers", "::1:4730", "[address]:port"),
    ("--gearman-servers", "[::g]:4730", "not an IPv4 or IPv6 address"),
    ("--gearman-servers", "[fe80::1%eth0]:4730", "zone"),
    ("--gearman-servers", "300.1.1.1:4730", "not an IPv4 or IPv6 address"),
    ("--gearman-servers", "a:65536", "between 1 and 65535"),
    ("--gearman-servers", "a:", "between 1 and 65535"),
    ("--gearman-servers", "a..b:1", "no valid host name"),
    ("--haproxy-bind-address", "example.com", "not an IPv4 or IPv6 address"),
    ("--haproxy-run-dir", "/" + "r" * 80, "81 bytes long, at most 80"),
    ("--haproxy-state-dir", "", "must not be empty"),
    ("--haproxy-state-dir", "/a\nb", "control character"),
    ("--haproxy-state-dir", "/a\x7f", "control character"),
    ("--haproxy-state-dir", "/a\udcff", "not valid text"),
    ("--haproxy-state-dir", "/a\\$b", "backslash before a dollar"),
    ("--haproxy-user", "a b", "not the name of a user"),
    ("--gearman-message-limit", "1", "between 4096"),
    ("--log-level", "loud", "none of debug"),
]


@pytest.mark.parametrize(("option", "text", "reason"), BAD)
def test_a_wrong_value_is_refused_with_its_reason(option: str, text: str, reason: str) -> None:
    (fault,) = faults_of(option, text)
    row = next(row for row in table.TABLE if row.option == option)
    assert fault.startswith(f"[{row.section}] {row.name} = ")
    assert reason in fault


def test_a_run_dir_of_80_bytes_is_still_accepted() -> None:
    path = "/" + "r" * 79
    assert load(["--haproxy-run-dir", path], prog=PROG).haproxy.run_dir == Path(path)


def test_words_of_choices_and_switches_are_read_in_any_case(tmp_path: Path) -> None:
    path = written(tmp_path, "[DEFAULT]\nlog_level = DEBUG\nlog_format = Json\nsyslog = Yes\n")
    found = load(["--config-file", path], prog=PROG)
    assert (found.default.log_level, found.default.log_format) == ("debug", "json")
    assert found.default.syslog
    assert not load(["--config-file", path, "--no-syslog"], prog=PROG).default.syslog


@pytest.mark.parametrize(
    "given", [("key",), ("cert",), ("ca",), ("key", "cert"), ("key", "ca"), ("cert", "ca")]
)
def test_tls_with_only_some_of_its_files_is_refused(given: tuple[str, ...]) -> None:
    argv = [word for name in given for word in (f"--gearman-ssl-{name}", "/pem")]
    (fault,) = faults_of(*argv)
    for name in {"key", "cert", "ca"} - set(given):
        assert f"ssl_{name}" in fault.partition(": must be set too")[0]


def test_a_log_file_and_syslog_together_are_refused() -> None:
    (fault,) = faults_of("--log-file", "/x", "--syslog")
    assert "contradicts" in fault


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[worker]\nslotz = 1\n", "[worker] slotz is no setting, did you mean slots?"),
        ("[worker]\nstate-dir = /x\n", "state-dir is no setting; ignored"),
        ("[worker:haproxy]\nstate-dir = /x\n", "did you mean state_dir?"),
        ("[worker]\nservers = x\n", "is no setting here, but is one of [gearman]"),
        ("[wrker]\nslots = 1\n", "[wrker] is no section, did you mean worker?"),
        ("[default]\nsyslog = 1\n", "[default] is no section, did you mean DEFAULT?"),
        ("[worker]\nslots = 1\nslots = 2\n", "is set 2 times; the last one counts"),
    ],
)
def test_names_that_nothing_reads_are_warned_about_and_fail_the_check(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    text: str,
    hint: str,
) -> None:
    path = written(tmp_path, text)
    # When it is loaded, then it is a warning
    with caplog.at_level(logging.WARNING):
        load(["--config-file", path], prog=PROG)
    assert hint in caplog.text
    # And --check-config refuses it
    with pytest.raises(SystemExit) as left:
        load(["--config-file", path, "--check-config"], prog=PROG)
    assert left.value.code == Exit.CONFIG
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"slots = 1\n", "line 1"),
        (b"[worker\n", "line 1"),
        (b"[worker]\npassword hunter2\n", "line 2"),
        (b"[worker]\nname = \xff\n", "not a text file"),
    ],
)
def test_a_file_that_is_no_settings_file_is_refused_without_quoting_it(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "libra.cfg"
    path.write_bytes(content)
    (fault,) = faults_of("--config-file", str(path))
    assert str(path) in fault
    assert reason in fault
    assert "hunter2" not in fault


def test_a_missing_file_and_a_directory_are_refused_by_name(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.cfg")
    faults = faults_of("--config-file", missing, "--config-file", str(tmp_path))
    assert len(faults) == 2
    assert all("cannot be read" in fault for fault in faults)


def test_check_config_of_right_settings_ends_with_0_and_starts_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as left:
        load(["--check-config"], prog=PROG)
    assert left.value.code == Exit.OK
    assert "the settings are right" in capsys.readouterr().out


def test_check_config_tells_every_fault_and_the_certificates_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [f"--gearman-ssl-{name}={tmp_path / name}" for name in ("key", "cert", "ca")]
    (tmp_path / "cert").touch()
    with pytest.raises(SystemExit) as left:
        load([*argv, "--check-config"], prog=PROG)
    assert left.value.code == Exit.CONFIG
    told = capsys.readouterr().err
    assert "ssl_key" in told
    assert "ssl_ca" in told
    assert "ssl_cert" not in told


def test_a_command_line_that_is_not_understood_ends_with_the_usage_code() -> None:
    for argv in (["--wrong"], ["extra"], ["--worker-slot", "3"], ["--worker-slots"]):
        with pytest.raises(SystemExit) as left:
            load(argv, prog=PROG)
        assert left.value.code == Exit.USAGE


def test_version_and_help_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for argv, words in ((["--version"], f"{PROG} 1."), (["--help"], "--gearman-servers")):
        with pytest.raises(SystemExit) as left:
            load(argv, prog=PROG)
        assert left.value.code == 0
        assert words in capsys.readouterr().out


def test_variables_of_the_environment_set_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_WORKER__SLOTS", "9")
    assert load([], prog=PROG).worker.slots == 4


def test_the_global_oslo_settings_are_never_touched() -> None:
    from oslo_config import cfg

    before = set(cfg.CONF)
    load([], prog=PROG)
    assert set(cfg.CONF) == before
    assert "worker" not in before


def test_a_relative_path_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(["--haproxy-state-dir", "s"], prog=PROG).haproxy.state_dir == tmp_path / "s"


def test_the_committed_sample_and_reference_are_the_generated_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pages = {"sample": "etc/libra.cfg", "reference": "docs/settings.md"}
    for page, path in pages.items():
        assert print_page([page]) == Exit.OK
        again = f"python -m libra_common.settings {page} > {path}"
        assert capsys.readouterr().out == (ROOT / path).read_text(encoding="utf-8"), again
    assert print_page(["other"]) == Exit.USAGE
    assert "usage" in capsys.readouterr().err


def test_the_sample_loads_to_the_defaults_also_with_its_comments_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        load(["--generate-sample-config"], prog=PROG)
    sample = capsys.readouterr().out
    path = written(tmp_path, sample)
    assert load(["--config-file", path], prog=PROG) == load([], prog=PROG)
    bare = "\n".join(
        line[1:] if line.startswith("#") and not line.startswith("# ") else line
        for line in sample.splitlines()
    ).replace("<the host name>", "node")
    found = load(["--config-file", written(tmp_path, bare)], prog=PROG)
    assert found == load(["--worker-name", "node"], prog=PROG)


@pytest.mark.parametrize("path", ["/var/a=b", "/var/a b", '/var/"a"', "/var/a#b", "/var/ü"])
def test_a_path_that_haproxy_would_read_otherwise_is_refused(path: str) -> None:
    (fault,) = faults_of("--haproxy-state-dir", path)
    assert "[worker:haproxy] state_dir" in fault
    assert "letters, digits" in fault


def test_settings_cannot_be_changed_once_loaded() -> None:
    found = load([], prog=PROG)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.worker.slots = 5  # type: ignore[misc]
