import json
import os
import stat
from pathlib import Path

import pytest

from forecast_lib.errors import OutOfSpace, StoreDamaged
from forecast_lib.store.disk import ledger

LINES = [{"kind": "nightly", "run_id": f"run-{number}", "rows": {"runs": 1}} for number in range(3)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    for line in LINES:
        ledger.append(tmp_path, line)
    return tmp_path / "ledger.jsonl"


def test_no_file_is_an_empty_ledger(tmp_path: Path) -> None:
    assert ledger.read(tmp_path) == ledger.Ledger()


def test_lines_read_back_in_order_with_one_json_object_each(file: Path) -> None:
    assert list(ledger.read(file.parent).runs()) == ["run-0", "run-1", "run-2"]
    assert [json.loads(line)["run_id"] for line in file.read_text().splitlines()] == [
        "run-0",
        "run-1",
        "run-2",
    ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("cut", [1, 40, 100])
def test_a_last_line_cut_short_is_reported_and_the_rest_stands(file: Path, cut: int) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    read = ledger.read(file.parent)
    assert list(read.runs()) == ["run-0", "run-1"]
    assert read.torn == whole.splitlines()[-1][: len(whole.splitlines()[-1]) + 1 - cut].decode()


def test_writing_goes_on_after_a_torn_line(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b'{"kind": "nig\0\0')
    ledger.append(file.parent, LINES[0] | {"run_id": "run-3"})
    read = ledger.read(file.parent)
    assert list(read.runs()) == ["run-0", "run-1", "run-2", "run-3"]
    assert read.torn == ""


@pytest.mark.parametrize(
    ("number", "damage"),
    [
        (1, "altered"),
        (2, "altered"),
        (3, "altered"),
        (1, "garbage"),
        (2, "garbage"),
        (3, "garbage"),
        (1, "removed"),
        (2, "removed"),
    ],
)
def test_an_altered_or_missing_line_is_damage_and_named(file: Path, number: int, damage: str) -> None:
    lines = file.read_text().splitlines(keepends=True)
    changed = {
        "altered": lines[number - 1].replace('"runs": 1', '"runs": 2'),
        "garbage": "\x00garbage\n",
        "removed": "",
    }[damage]
    file.write_text("".join([*lines[: number - 1], changed, *lines[number:]]))
    with pytest.raises(StoreDamaged, match=f"ledger.jsonl line {number} is damaged"):
        ledger.read(file.parent)


def test_runs_that_a_restore_declared_lost_are_not_asked_for_until_they_come_again(file: Path) -> None:
    ledger.append(file.parent, {"kind": ledger.RESTORED, "lost": ["run-1", "run-2"]})
    assert list(ledger.read(file.parent).runs()) == ["run-0"]
    ledger.append(file.parent, LINES[2])
    assert list(ledger.read(file.parent).runs()) == ["run-0", "run-2"]


def test_a_write_that_stops_halfway_leaves_the_ledger_as_it_was(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file.read_bytes()
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:20]))
    with pytest.raises(OutOfSpace, match="no room to write .*ledger.jsonl"):
        ledger.append(file.parent, LINES[0])
    assert file.read_bytes() == before


def test_run_names_are_found_in_a_damaged_ledger(file: Path) -> None:
    lines = file.read_text().splitlines(keepends=True)
    file.write_text(lines[0] + "garbage\n" + lines[2])
    assert ledger.named_runs(file.parent) == ("run-0", "run-2")
