"""What is printed of the settings loads to the same settings, and tells no secret."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libra_common.exits import Exit
from libra_common.settings import Settings, load, render, table, values
from libra_common.settings.sections import SECTIONS
from tests.unit.common.reading import EVERYTHING, PROG, faults_of, written

_names = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
_paths = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20).map("/p{}".format)
_hosts = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda ip: f"[{ip}]"),
    st.from_regex(r"[a-z][a-z0-9-]{0,10}(\.[a-z]{2,5})?", fullmatch=True),
)
_endpoints = st.builds("{}:{}".format, _hosts, st.integers(1, 65535))


def _lists(of: st.SearchStrategy[str], least: int) -> st.SearchStrategy[str]:
    return st.lists(of, min_size=least, max_size=4, unique=True).map(", ".join)


def texts_of(kind: values.Kind) -> st.SearchStrategy[str]:
    match kind:
        case values.FunctionName():
            return _names
        case values.Account():
            return st.from_regex(r"[a-z_][a-z0-9_-]{0,20}", fullmatch=True)
        case values.Basename():
            return st.from_regex(r"[a-z][a-z0-9_.-]{0,20}", fullmatch=True)
        case values.Text():
            return _names
        case values.Number():
            return st.integers(kind.minimum, kind.maximum).map(str)
        case values.Switch():
            return st.sampled_from(["true", "false"])
        case values.Choice():
            return st.sampled_from(kind.words)
        case values.PlainPath():
            return st.sampled_from(["/run/x-1", "/srv/a.b_c,d@e+f"])
        case values.FilePath():
            return _paths if kind.max_bytes == 0 else st.just('/run/"x y"')
        case values.Moment():
            return st.sampled_from(["now", "hand", "03:30"])
        case values.Loopback():
            return st.sampled_from(["", "/run/libra/a b.sock", "127.0.0.1:9100", "[::1]:9100"])
        case values.Endpoint():
            return _endpoints
        case values.Network():
            # A first number of its own for each size, since those of a section may not overlap.
            return st.integers(0, 255).map(lambda n: f"{kind.longest}.{n}.0.0/16")
        case values.NetworkV6():
            return st.integers(0, 255).map(lambda n: f"2001:db8:{n:x}::/64")
        case values.Several():
            entries = _endpoints if isinstance(kind.of, values.Endpoint) else addresses
            return _lists(entries, 0 if kind.optional else 1)
    raise AssertionError(kind)


addresses = st.ip_addresses().map(str)


@st.composite
def any_settings(draw: st.DrawFn) -> Settings:
    parts: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for row in table.TABLE:
        try:
            # A secret is not printed, so that only an empty one is read again.
            value = row.kind.parse("" if row.secret else draw(texts_of(row.kind)))
        except ValueError:
            value = row.kind.parse(row.default_text)
        parts[row.section][row.name] = value
    parts["DEFAULT"]["syslog"] = parts["DEFAULT"]["log_file"] is None
    tls = ("ssl_key", "ssl_cert", "ssl_ca")
    if draw(st.booleans()) or None in map(parts["gearman"].get, tls):
        parts["gearman"] |= dict.fromkeys(tls)
    mgm = parts["mgm"]
    mgm["sweep_grace"] = max(
        mgm["sweep_grace"], mgm["build_timeout"] + mgm["build_diag_timeout"] + 1
    )
    return Settings(**{s.field: s.result(**parts[name]) for name, s in SECTIONS.items()})


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=150,
)
@given(wanted=any_settings())
def test_what_print_config_prints_loads_to_the_same_settings(
    tmp_path: Path, wanted: Settings
) -> None:
    path = written(tmp_path, render.in_force(wanted, prog=EVERYTHING))
    assert load(["--config-file", path], prog=EVERYTHING) == wanted


def test_print_config_prints_the_settings_in_force_and_leaves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "[worker]\nname = \"'x$$'\"\n")
    with pytest.raises(SystemExit) as left:
        load(["--config-file", path, "--worker-slots", "7", "--print-config"], prog=PROG)
    assert left.value.code == Exit.OK
    printed = capsys.readouterr().out
    assert "slots = 7\n" in printed
    found = load(["--config-file", written(tmp_path, printed, "again")], prog=PROG)
    assert (found.worker.slots, found.worker.name) == (7, "'x$'")


def test_a_secret_is_neither_printed_nor_quoted_in_a_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a table in which the number of slots and the name are secrets
    rows = tuple(
        dataclasses.replace(row, secret=row.name in ("slots", "name")) for row in table.TABLE
    )
    for module in ("table", "loading", "render", "files"):
        monkeypatch.setattr(f"libra_common.settings.{module}.TABLE", rows)
    # When they are printed, and when one is wrong
    printed = render.in_force(load(["--worker-name", "hunter2"], prog=PROG), prog=PROG)
    (fault,) = faults_of("--worker-slots", "hunter2")
    # Then the value is in neither
    assert "name = ***\n" in printed
    assert "hunter2" not in printed + fault
