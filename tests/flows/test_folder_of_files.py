"""A folder as users keep it, taken in by the command line: what is read, what is named, and in which
currency.
"""

import datetime as dt

import duckdb
import pytest

from flows.settings.layers import gather
from flows.settings.run_config import resolve
from forecast_lib.config import SourceConfig
from forecast_lib.errors import UsageError
from tests import plain_runs

ROWS = (
    "Date;Open;High;Low;Close;Volume\n"
    "16.01.2024;10,5;12,5;9,5;11,5;82.488.700\n"
    "17.01.2024;11;13,5;10;12,25;58.414\n"
)


def test_everything_in_a_folder_is_read_or_named_in_summary_and_log(tickercast, tmp_path):
    """A European spreadsheet's file is read in the currency given; the others are named with what to do."""
    folder = tmp_path / "my prices"
    folder.mkdir()
    for name in ("SAP.csv", "with space.csv", "ÄÖ.csv"):
        (folder / name).write_text(ROWS)
    (folder / "BMW.xlsx").write_bytes(b"PK\3\4")
    workspace = tmp_path / "workspace"
    given = ("--files", str(folder), "--as-of", "2024-01-17", "--workspace", str(workspace))
    ended = tickercast("ingest", *given, "--json", TICKERCAST_CURRENCY="EUR")
    names, excel = ended.summary["notices"]
    assert "'with space.csv', 'ÄÖ.csv'" in names
    assert "'BMW.xlsx', made by Excel" in excel
    assert all(notice in text for notice in (names, excel) for text in (ended.out, ended.err))
    with duckdb.connect(str(workspace / "published.duckdb"), read_only=True) as con:
        found = con.execute(
            "SELECT ticker, session::VARCHAR, close, volume, currency FROM current_prices ORDER BY session"
        ).fetchall()
    assert found == [
        ("SAP", "2024-01-16", 11.5, 82488700.0, "EUR"),
        ("SAP", "2024-01-17", 12.25, 58414.0, "EUR"),
    ]


@pytest.mark.parametrize("bad", ["euro", "EURO", "€", "E1R"])
def test_a_currency_that_is_none_is_wrong_usage(bad):
    with pytest.raises(UsageError, match="is no currency: expected a code such as USD"):
        SourceConfig(currency=bad)


@pytest.mark.parametrize("column", [", 'EUR' AS currency", ""])
def test_a_parquet_file_of_many_tickers_has_its_currency_from_a_column_or_the_setting(tmp_path, column):
    path = tmp_path / "all.parquet"
    duckdb.sql(
        f"COPY (SELECT 'SAP' AS ticker, DATE '2024-01-17' AS date, 11.5 AS close {column}) TO '{path}'"
        " (FORMAT parquet)"
    )
    given = {"files": str(path), "as_of": "2024-01-17", "workspace": str(tmp_path / "workspace")}
    config = resolve(
        gather(given if column else {**given, "currency": "EUR"}, environ={}),
        now=dt.datetime(2024, 1, 18, tzinfo=dt.UTC),
    )
    market = plain_runs.market(config)
    assert market.currencies == {"SAP": "EUR"}
    assert market.clean.rows.frame()["currency"].tolist() == ["EUR"], "so it is stored too"
