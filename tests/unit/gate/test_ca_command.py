"""The commands `libra ca`: certificates in files, keys for their owner alone, exit codes."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography import x509

from libra_client.cli.exits import Exit
from libra_common.authority import Authority
from libra_common.jobs import TlsFiles
from tests.unit.client.conftest import Libra
from tests.unit.client.conftest import libra as libra

MARK = "PRIVATE KEY"


@pytest.fixture(name="ca")
def _ca(libra: Libra, tmp_path: Path) -> str:
    """The option that names an authority, which is there."""
    option = f"--ca={tmp_path / 'ca'}"
    made = libra("ca", "init", option)
    assert (made.code, MARK in made.out + made.err) == (Exit.OK, False)
    return option


def test_what_is_issued_is_good_for_tls_and_the_key_for_its_owner_alone(
    libra: Libra, ca: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ran = libra("ca", "issue", "web-1", "--role=node", ca, f"--out={out}", "--json")
    assert ran.code == Exit.OK
    assert MARK not in ran.out + ran.err
    cert, key = Path(ran.json["certificate"]), Path(ran.json["key"])
    assert (cert, key) == (out / "web-1.crt", out / "web-1.key")
    assert key.stat().st_mode & 0o777 == 0o600
    TlsFiles(key, cert, tmp_path / "ca" / "ca.pem")
    (entry,) = Authority.open(tmp_path / "ca").issued()
    assert (entry.name, entry.role, entry.serial) == ("web-1", "node", ran.json["serial"])


def test_a_gates_certificate_has_its_names(libra: Libra, ca: str, tmp_path: Path) -> None:
    words = ("--usage=server", "--dns=gate.example", "--address=198.18.0.1", f"--out={tmp_path}")
    assert libra("ca", "issue", "gate", *words, ca).code == Exit.OK
    (entry,) = Authority.open(tmp_path / "ca").issued()
    assert (entry.dns, entry.addresses, entry.role) == (("gate.example",), ("198.18.0.1",), None)


def test_a_key_is_on_the_terminal_only_where_it_is_asked_for(
    libra: Libra, ca: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = libra("ca", "issue", "web-1", "--role=node", ca, "--print-key")
    assert ran.code == Exit.OK
    assert ran.out.count(MARK) == 2
    assert not list(tmp_path.glob("web-1.*"))
    ran = libra("ca", "renew", "web-1", ca, "--print-key", "--json")
    assert MARK in ran.json["key"]
    for words in (("show", "--all"), ("show", "--json"), ("revoke", "web-1", "--yes")):
        ran = libra("ca", *words, ca)
        assert MARK not in ran.out + ran.err


def test_a_key_that_is_there_is_replaced_only_by_force_or_renewal(
    libra: Libra, ca: str, tmp_path: Path
) -> None:
    issue = ("ca", "issue", "web-1", "--role=node", ca, f"--out={tmp_path}")
    assert libra(*issue).code == Exit.OK
    before = (tmp_path / "web-1.key").read_bytes()
    ran = libra(*issue)
    assert ran.code == Exit.USAGE
    assert "--force" in ran.err
    assert (tmp_path / "web-1.key").read_bytes() == before
    assert len(Authority.open(tmp_path / "ca").issued()) == 1
    assert libra(*issue, "--force").code == Exit.OK
    assert (tmp_path / "web-1.key").read_bytes() != before


def test_a_renewal_is_the_same_but_for_key_and_time(libra: Libra, ca: str, tmp_path: Path) -> None:
    words = ("--usage=both", "--dns=a.example", "--days=90", f"--out={tmp_path}")
    libra("ca", "issue", "pool-1", "--role=pool", *words, ca)
    ran = libra("ca", "renew", "pool-1", ca, f"--out={tmp_path}", "--revoke")
    assert ran.code == Exit.OK
    old, new = Authority.open(tmp_path / "ca").issued()
    if old.revoked is None:  # both in the same second
        old, new = new, old
    assert old.revoked is not None
    assert new.revoked is None
    for name in ("name", "role", "usage", "dns", "addresses"):
        assert getattr(old, name) == getattr(new, name)
    assert new.days == pytest.approx(90, abs=0.01)
    # And its key fits, in the place of the old one
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(tmp_path / "pool-1.crt", tmp_path / "pool-1.key")


def test_a_name_with_several_roles_is_told_apart_by_role_or_serial(
    libra: Libra, ca: str, tmp_path: Path
) -> None:
    for role in ("node", "controller"):
        libra("ca", "issue", "a", f"--role={role}", ca, f"--out={tmp_path}", "--force")
    ran = libra("ca", "renew", "a", ca, f"--out={tmp_path}")
    assert (ran.code, "--role" in ran.err) == (Exit.USAGE, True)
    assert libra("ca", "renew", "a", "--role=node", ca, f"--out={tmp_path}").code == Exit.OK
    serial = Authority.open(tmp_path / "ca").issued()[0].serial
    assert libra("ca", "renew", serial, ca, f"--out={tmp_path}").code == Exit.OK


def test_a_revocation_is_asked_about_and_is_on_the_list(
    libra: Libra, ca: str, tmp_path: Path
) -> None:
    libra("ca", "issue", "web-1", "--role=node", ca, f"--out={tmp_path}")
    crl = tmp_path / "ca" / "crl.pem"
    ran = libra("ca", "revoke", "web-1", ca)
    assert (ran.code, "--yes" in ran.err) == (Exit.USAGE, True)
    assert list(x509.load_pem_x509_crl(crl.read_bytes())) == []
    ran = libra("ca", "revoke", "web-1", "--yes", ca, "--json")
    assert ran.code == Exit.OK
    (listed,) = x509.load_pem_x509_crl(crl.read_bytes())
    assert ran.json["revoked"] == [f"{listed.serial_number:x}"]
    # Once more does no harm
    assert libra("ca", "revoke", "web-1", "--yes", ca).code == Exit.OK
    assert libra("ca", "revoke", f"{listed.serial_number:x}", "--yes", ca).code == Exit.OK
    assert libra("ca", "renew", "web-1", ca).code == Exit.USAGE


def test_show_tells_what_is_in_use_and_warns_of_its_end(
    libra: Libra, ca: str, tmp_path: Path
) -> None:
    for days in (300, 20):
        libra("ca", "issue", "web-1", "--role=node", f"--days={days}", ca, "--print-key")
    libra("ca", "issue", "web-2", "--role=node", "--days=300", ca, "--print-key")
    ran = libra("ca", "show", ca, "--json")
    assert [row["name"] for row in ran.json["certificates"]] == ["web-1", "web-2"]
    assert len(libra("ca", "show", "--all", ca, "--json").json["certificates"]) == 3
    assert "web-2" not in libra("ca", "show", "web-1", ca).out
    codes = {days: libra("ca", "show", "web-2", f"--warn={days}", ca).code for days in (30, 301)}
    assert codes == {30: Exit.OK, 301: Exit.FAIL}
    assert libra("ca", "show", "--warn=4000", ca).code == Exit.FAIL


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("issue", "a b", "--role=node"), Exit.USAGE, "name 'a b'"),
        (("issue", "libra_pool_mgm", "--role=node"), Exit.USAGE, "libra_pool_mgm"),
        (("issue", "a", "--role=king"), Exit.USAGE, "king"),
        (("issue", "a", "--usage=server"), Exit.USAGE, "DNS name"),
        (("issue", "a", "--days=0"), Exit.USAGE, "days"),
        (("issue", "a", "--days=nan"), Exit.USAGE, "days"),
        (("issue", "a", "--address=x", "--print-key"), Exit.USAGE, "address 'x'"),
        (("issue", "a", "--out=/dev/null/x"), Exit.BAD_FILE, "cannot be written"),
        (("renew", "nobody"), Exit.USAGE, "nobody"),
        (("revoke", "nobody", "--yes"), Exit.USAGE, "nobody"),
        (("init",), Exit.BAD_FILE, "there is an authority already"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_reason(
    libra: Libra,
    ca: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    code: Exit,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = libra("ca", *words, ca)
    assert (ran.code, said in ran.err) == (code, True), ran.err
    assert MARK not in ran.out + ran.err
    assert not list(tmp_path.glob("*.key"))


@pytest.mark.parametrize("words", [("issue", "a"), ("renew", "a"), ("revoke", "a"), ("show",)])
def test_without_an_authority_nothing_is_done(
    libra: Libra, tmp_path: Path, words: tuple[str, ...]
) -> None:
    ran = libra("ca", *words, f"--ca={tmp_path / 'none'}")
    assert (ran.code, "ca.pem" in ran.err) == (Exit.BAD_FILE, True)


@pytest.mark.parametrize("name", ["..", "../x", "/etc/x", "a/b"])
def test_a_name_leads_to_no_other_folder(libra: Libra, ca: str, tmp_path: Path, name: str) -> None:
    out = tmp_path / "deep" / "out"
    assert libra("ca", "issue", name, "--role=controller", ca, f"--out={out}").code == Exit.OK
    assert len(list(out.iterdir())) == 2
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["out"]
