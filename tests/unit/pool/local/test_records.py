"""What is written down is read back, whole; what is not understood is named and left alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_pool_mgm.clouds.errors import CloudUnavailable
from libra_pool_mgm.clouds.local.records import (
    SCHEMA,
    AddressRecord,
    DeviceRecord,
    PortRecord,
    Records,
)

TIME = "2026-11-21T12:00:00+00:00"
DEVICE = DeviceRecord(number=7, id="i", name="n", key="k", created_at=TIME)
ADDRESS = AddressRecord(ip="203.0.113.1", id="i", key="k", created_at=TIME)


PORT = PortRecord(
    id="i",
    key="k",
    device="d",
    mac="02:00:00:00:00:01",
    ips=("198.19.0.2",),
    addresses=("198.19.0.9", "2001:db8::9"),
    created_at=TIME,
)


def devices(folder: Path) -> Records[DeviceRecord]:
    return Records(folder=folder / "devices", kind=DeviceRecord)


@given(
    name=st.text(),
    key=st.text(),
    delivered=st.booleans(),
    up=st.booleans(),
    deleting=st.booleans(),
)
def test_a_record_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    key: str,
    delivered: bool,
    up: bool,
    deleting: bool,
) -> None:
    records = devices(tmp_path_factory.mktemp("r"))
    made = replace(DEVICE, name=name, key=key, delivered=delivered, up=up, deleting=deleting)
    records.write(made)
    assert records.all() == [made]


def test_the_later_word_counts_and_a_removed_record_is_gone(tmp_path: Path) -> None:
    records: Records[AddressRecord] = Records(folder=tmp_path, kind=AddressRecord)
    records.write(ADDRESS)
    records.write(replace(ADDRESS, device="d"))
    assert [record.device for record in records] == ["d"]
    for _ in range(2):
        records.remove(ADDRESS)
    assert records.all() == []
    assert list(tmp_path.iterdir()) == []


def test_without_any_folder_there_is_nothing(tmp_path: Path) -> None:
    assert devices(tmp_path).all() == []


def test_what_a_killed_writer_left_beside_a_record_is_no_record(tmp_path: Path) -> None:
    records = devices(tmp_path)
    records.write(DEVICE)
    (tmp_path / "devices" / "8.new").write_text('{"schema": 1, "num')
    assert records.all() == [DEVICE]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": SCHEMA + 1}, f"its schema is {SCHEMA + 1}, this release reads {SCHEMA}"),
        ({"created_at": "yesterday"}, "yesterday"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_record_of_another_form_is_named_and_left_as_it_is(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    records = devices(tmp_path)
    records.write(DEVICE)
    path = tmp_path / "devices" / "7.json"
    text = json.dumps({**json.loads(path.read_text()), **change})
    path.write_text(text)
    with pytest.raises(CloudUnavailable) as refused:
        records.all()
    assert str(path) in str(refused.value)
    assert reason in str(refused.value)
    assert path.read_text() == text


def test_what_an_earlier_release_could_have_written_is_written_as_it_did(tmp_path: Path) -> None:
    # Given a device without an agent, which the release before has too
    records = devices(tmp_path)
    records.write(DEVICE)
    written = json.loads((tmp_path / "devices" / "7.json").read_text())
    # Then that can read it
    assert written["schema"] == 1
    assert "amphora_id" not in written
    # And with an agent it says that it is of another form
    records.write(replace(DEVICE, amphora_id="a"))
    assert json.loads((tmp_path / "devices" / "7.json").read_text())["schema"] == SCHEMA
    assert records.all() == [replace(DEVICE, amphora_id="a")]


def test_a_port_is_read_as_it_was_written(tmp_path: Path) -> None:
    records: Records[PortRecord] = Records(folder=tmp_path, kind=PortRecord)
    records.write(PORT)
    assert records.all() == [PORT]
