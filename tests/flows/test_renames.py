"""Renames in a universe file: what is understood, and what is refused in one line that says what was
expected.
"""

import datetime as dt
from pathlib import Path

import pytest

from flows.settings.layers import gather
from flows.settings.run_config import resolve
from forecast_lib.config import Rename
from forecast_lib.errors import UsageError

META = 'FB = { now = "META", on = 2022-06-09 }'


def renames(folder: Path, tickers: str, table: str) -> tuple[Rename, ...]:
    universe = folder / "mine.toml"
    universe.write_text(f"tickers = {tickers}\n[renames]\n{table}\n")
    return resolve(gather({"universe": str(universe)}, environ={})).renames


def test_a_rename_has_an_old_name_a_new_one_and_the_day(tmp_path: Path) -> None:
    assert renames(tmp_path, '["META"]', META) == (Rename("FB", "META", dt.date(2022, 6, 9)),)
    assert resolve(gather({"tickers": "META"}, environ={})).renames == ()


def test_a_ticker_renamed_twice_is_a_chain_in_the_order_of_its_days(tmp_path: Path) -> None:
    table = 'B = { now = "C", on = 2024-01-02 }\nA = { now = "B", on = 2020-01-02 }'
    assert [(each.was, each.now) for each in renames(tmp_path, '["C"]', table)] == [("A", "B"), ("B", "C")]


@pytest.mark.parametrize(
    ("tickers", "table", "message"),
    [
        (
            '["META"]',
            'FB = "META"',
            "rename of 'FB' has another form: expected FB = { now = \"META\", on = 2022-06-09 }",
        ),
        ('["META"]', 'FB = { now = "META" }', "has another form"),
        ('["META"]', 'FB = { now = "META", on = 2022-06-09, why = "x" }', "has another form"),
        ('["META"]', 'FB = { now = "META", on = "soon" }', "has no day"),
        ('["META"]', 'FB = { now = "META", on = 2022-06-09T00:00:00 }', "has no day"),
        ('["META"]', '"../x" = { now = "META", on = 2022-06-09 }', "ticker '../x' is not a ticker name"),
        ('["AAPL"]', META, "FB is renamed META, which is not in tickers: add META"),
        ('["FB", "META"]', META, "FB is in tickers and is renamed META too: take FB off the list"),
        ('["META"]', META + "\n" + META, "is not TOML"),
        (
            '["META"]',
            META + '\nFCBK = { now = "META", on = 2020-01-02 }',
            "META was both FCBK and FB: expected one old name",
        ),
        ('["A"]', 'A = { now = "A", on = 2022-06-09 }', "lead back to A"),
        (
            '["C"]',
            'A = { now = "B", on = 2020-01-02 }\nB = { now = "A", on = 2021-01-04 }',
            "the renames of A lead back to A",
        ),
        (
            '["C"]',
            'A = { now = "B", on = 2022-01-03 }\nB = { now = "C", on = 2021-01-04 }',
            "expected rising days",
        ),
    ],
)
def test_renames_that_cannot_be_are_refused_in_one_line(
    tmp_path: Path, tickers: str, table: str, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        renames(tmp_path, tickers, table)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_renames_that_are_no_table_are_refused(tmp_path: Path) -> None:
    universe = tmp_path / "mine.toml"
    universe.write_text('tickers = ["META"]\nrenames = ["FB"]\n')
    with pytest.raises(UsageError, match="renames is no table"):
        resolve(gather({"universe": str(universe)}, environ={}))
