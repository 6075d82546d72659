"""Two nights made by the command line, run again from what was known then; copies of their workspace with one
thing altered.
"""

import hashlib
import shutil
from pathlib import Path

import duckdb
import pytest

from forecast_lib.store.disk.files import LEDGER, PUBLISHED

pytestmark = pytest.mark.slow

FIRST, SECOND = "2024-05-29", "2024-05-30"


@pytest.fixture(scope="module")
def nights(tickercast, tmp_path_factory) -> Path:
    """The first night trains, the second tunes what the first had made."""
    workspace = tmp_path_factory.mktemp("nights") / "w"
    for day, strategy in ((FIRST, "auto"), (SECOND, "fine-tune")):
        ended = tickercast.night(workspace, "--tickers", "SIM1,SIM2", "--as-of", day, "--strategy", strategy)
        assert ended.code == 0, ended.err
    return workspace


@pytest.fixture
def copy(nights, tmp_path) -> Path:
    return Path(shutil.copytree(nights, tmp_path / "copy"))


def verify(tickercast, workspace: Path, day: str):
    return tickercast("verify", day, "--workspace", str(workspace), "--json")


def altered(workspace: Path, sql: str) -> None:
    with duckdb.connect(str(workspace / PUBLISHED)) as con:
        con.execute(sql)


def contents(workspace: Path) -> dict[str, str]:
    files = (path for path in workspace.rglob("*") if path.is_file())
    return {str(path.relative_to(workspace)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("day", [FIRST, SECOND])
def test_a_night_comes_out_the_same_and_nothing_is_stored(tickercast, nights, day):
    before = contents(nights)
    ended = verify(tickercast, nights, day)
    assert (ended.code, ended.summary["verdict"], ended.summary["differences"]) == (0, "the same", 0), (
        ended.out + ended.err
    )
    assert ended.summary["rows"] > 2 * 2  # forecasts alone: two tickers, two steps
    assert ended.out.startswith(f"the night of {day} (run {ended.summary['run_id']}) came out the same: all ")
    assert contents(nights) == before


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        (
            "UPDATE forecasts SET point = point * (1 + 1e-15) WHERE ticker = 'SIM2' AND step = 1 {}",
            "forecasts SIM2 1 point: ",
        ),
        (
            (
                "UPDATE forecast_weights SET sigma = 2 * sigma WHERE ticker = 'SIM1' AND step = 2 AND model ="
                " 'naive' {}"
            ),
            "forecast_weights SIM1 2 naive sigma: ",
        ),
        (
            (
                "UPDATE forecast_drivers SET change = change + 1e-12 WHERE ticker = 'SIM1' AND step = 1"
                " AND driver = 'falls' {}"
            ),
            "forecast_drivers SIM1 1 falls change: ",
        ),
        (
            "UPDATE run_tickers SET status = 'naive' WHERE ticker = 'SIM1' {}",
            "run_tickers SIM1 status: naive, now fresh",
        ),
    ],
)
def test_an_altered_row_is_named(tickercast, copy, sql, named):
    altered(copy, sql.format(f"AND run_id = (SELECT run_id FROM runs WHERE as_of = DATE '{SECOND}')"))
    ended = verify(tickercast, copy, SECOND)
    assert (ended.code, ended.summary["differences"]) == (1, 1), ended.out + ended.err
    assert (
        ended.summary["first"][0].startswith(named) and ended.summary["first"][0] in ended.out.splitlines()[0]
    )


def test_a_row_that_was_taken_out_or_a_line_of_the_ledger_that_was_altered_is_a_difference(tickercast, copy):
    ledger = copy / LEDGER
    written = ledger.read_text()
    ledger.write_text(written.replace('"fresh"', '"stale"', 1))
    ended = verify(tickercast, copy, SECOND)
    assert ended.code == 1 and "ledger.jsonl line 1 is damaged" in ended.err
    ledger.write_text(written)
    altered(copy, "DELETE FROM forecasts WHERE ticker = 'SIM1' AND step = 1")
    ended = verify(tickercast, copy, SECOND)
    assert ended.code == 1 and "rows in forecasts" in ended.err


def test_what_cannot_be_compared_says_why(tickercast, copy, tmp_path):
    def said(workspace: Path, day: str) -> str:
        ended = verify(tickercast, workspace, day)
        assert (ended.code, ended.err.count("Traceback")) == (10, 0)
        return ended.out.splitlines()[0]

    assert (
        said(copy, "2023-01-03")
        == "the night of 2023-01-03 cannot be compared: no night of 2023-01-03 is published: there are"
        f" {FIRST} to {SECOND}"
    )
    assert "nothing is published in " in said(tmp_path / "none", FIRST)
    for path in (copy / "models").glob("*.npz"):
        path.rename(path.with_suffix(".away"))
    assert "cannot be compared: the weights of model " in said(copy, SECOND)
    altered(copy, 'UPDATE runs SET libraries = json_merge_patch(libraries, \'{"numpy": "1.0"}\')')
    assert "cannot be compared: it was made with numpy 1.0, and here is " in said(copy, SECOND)
    altered(copy, "UPDATE runs SET code_version = '0.0.1'")
    assert "cannot be compared: it was made by Tickercast 0.0.1, and this is " in said(copy, SECOND)


def test_a_malformed_date_is_wrong_usage(tickercast, nights):
    ended = verify(tickercast, nights, "yesterday")
    assert (ended.code, ended.summary["error"]) == (
        2,
        "DATE 'yesterday' is not a date: expected YYYY-MM-DD, for example 2024-05-30",
    )
