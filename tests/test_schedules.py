"""A schedule that was kept is what the library reckons, and one that may be wrong is reckoned anew."""

import datetime as dt
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from forecast_lib.schedules import kept
from forecast_lib.schedules.library import built

YEARS = (2020, 2025)


@pytest.fixture
def compiled(tmp_path, monkeypatch):
    """A folder for what Python compiles, and nothing remembered."""
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    kept._cached.cache_clear()
    yield tmp_path
    kept._cached.cache_clear()


def asked_anew(name: str) -> kept.Schedule:
    kept._cached.cache_clear()
    return kept.schedule(name, *YEARS)


def reckoned(name: str) -> kept.Schedule:
    return built(name, dt.date(YEARS[0], 1, 1), dt.date(YEARS[1], 12, 31))


def kept_file(folder: Path) -> Path:
    [path] = folder.rglob("*.npz*")
    return path


@pytest.fixture
def library(monkeypatch):
    """The names that the library is asked for."""
    asked = []

    def noted(name, first, last):
        asked.append(name)
        return built(name, first, last)

    monkeypatch.setattr("forecast_lib.schedules.library.built", noted)
    return asked


@pytest.mark.parametrize("name", ["XNYS", "24/7", "XSHG"])
def test_what_is_kept_is_what_the_library_reckons_and_it_is_asked_once(compiled, library, name):
    for _ in range(3):
        for ours, theirs in zip(asked_anew(name), reckoned(name), strict=True):
            assert np.array_equal(ours, theirs) if isinstance(ours, np.ndarray) else ours == theirs
    assert library == [name]


def test_a_kept_schedule_cannot_be_changed(compiled):
    asked_anew("XNYS")
    with pytest.raises(ValueError, match="read-only"):
        asked_anew("XNYS").sessions[0] = np.datetime64("2020-01-01")


@pytest.mark.parametrize("left", [0, 1, 100, 5_000])
def test_a_file_that_was_cut_short_is_made_anew(compiled, library, left):
    asked_anew("XNYS")
    whole = kept_file(compiled).read_bytes()
    kept_file(compiled).write_bytes(whole[:left])
    assert len(asked_anew("XNYS").sessions) == len(reckoned("XNYS").sessions)
    assert library == ["XNYS"] * 2
    assert kept_file(compiled).read_bytes() == whole


def test_one_altered_byte_is_noticed(compiled, library):
    asked_anew("XNYS")
    content = bytearray(kept_file(compiled).read_bytes())
    content[3_000] ^= 1  # among the sessions
    kept_file(compiled).write_bytes(content)
    assert np.array_equal(asked_anew("XNYS").sessions, reckoned("XNYS").sessions)
    assert library == ["XNYS"] * 2


@pytest.mark.parametrize("what", ["release", "rules"])
def test_another_release_of_a_library_and_other_rules_of_the_clock_make_it_anew(
    compiled, library, monkeypatch, tmp_path, what
):
    asked_anew("XNYS")
    if what == "release":
        monkeypatch.setattr(kept, "version", lambda name: "1.0")
    else:
        rules = tmp_path / "zones" / "America" / "New_York"
        rules.parent.mkdir(parents=True)
        rules.write_bytes(b"always summer")
        monkeypatch.setattr(kept.zoneinfo, "TZPATH", (str(tmp_path / "zones"),))
    kept._made_with.cache_clear()
    try:
        asked_anew("XNYS")
        asked_anew("XNYS")
    finally:
        kept._made_with.cache_clear()
    assert library == ["XNYS"] * 2


def test_where_nothing_can_be_kept_it_is_reckoned_each_time(compiled, library, monkeypatch):
    (compiled / "file").touch()
    monkeypatch.setattr(sys, "pycache_prefix", str(compiled / "file"))
    assert len(asked_anew("XNYS").sessions) == len(asked_anew("XNYS").sessions) > 1_000
    assert library == ["XNYS"] * 2


def test_what_was_kept_is_read_without_pandas(compiled):
    asked_anew("XNYS")
    code = (
        "import sys; from forecast_lib.schedules import schedule;"
        f" print(len(schedule('XNYS', *{YEARS}).sessions), 'pandas' in sys.modules)"
    )
    command = [sys.executable, "-X", f"pycache_prefix={compiled}", "-c", code]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert said == [str(len(reckoned("XNYS").sessions)), "False"]
