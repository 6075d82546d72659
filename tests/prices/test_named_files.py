"""Covariates and events from users' files: what is read, and what is left out with which words."""

import datetime as dt
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from forecast_lib.domain import AsOf
from forecast_lib.errors import FileRefused
from forecast_lib.prices.sources.named_files import Found, check_file, read_covariates, read_events
from forecast_lib.store.parquet import ParquetFiles

DAY = dt.date(2024, 6, 5)
NOW = dt.datetime.combine(DAY, dt.time(22, 30), dt.UTC)
AS_OF = AsOf(DAY, NOW, NOW)
TICKERS, TAKEN = ("ACME", "BOLT"), ("^VIX",)


def covariates(folder: Path, *lines: str, header: str = "name,session,value") -> Found:
    path = folder / "covariates.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return read_covariates(path, AS_OF, TICKERS, TAKEN, ParquetFiles())


def events(folder: Path, *lines: str, header: str = "session,kind") -> Found:
    path = folder / "events.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return read_events(path, AS_OF, TICKERS, ParquetFiles())


def read(found: Found) -> list[tuple]:
    return [
        (row.name, row.ticker, str(row.session.date()), row.value)
        for row in found.rows[["name", "ticker", "session", "value"]].itertuples(index=False, name="Row")
    ]


GOOD = ("vix,2024-06-03,13.1", "vix,2024-06-04,13.2")


def test_a_long_file_of_a_market(tmp_path):
    found = covariates(tmp_path, *GOOD)
    assert read(found) == [("vix", "*", "2024-06-03", 13.1), ("vix", "*", "2024-06-04", 13.2)]
    assert found.left_out == () and found.rows["announced_at"].isna().all()


def test_tickers_and_instants(tmp_path):
    header = "Symbol,Name,Date,Value,Known at"
    found = covariates(
        tmp_path,
        "acme,mood,2024-06-03,1,2024-06-04T09:00:00+02:00",
        ",mood,2024-06-03,2,2024-06-04",
        ",mood,2024-06-04,3,",
        "ACME,mood,2024-06-04,4,2024-06-04 22:00",
        header=header,
    )
    assert read(found) == [
        ("mood", "*", "2024-06-03", 2.0),
        ("mood", "*", "2024-06-04", 3.0),
        ("mood", "ACME", "2024-06-03", 1.0),
        ("mood", "ACME", "2024-06-04", 4.0),
    ]
    # A date alone is its last moment, an offset is taken off, no offset is UTC
    assert found.rows["announced_at"].astype("str").fillna("NaT").tolist() == [
        "2024-06-04 23:59:59.999999",
        "NaT",
        "2024-06-04 07:00:00.000000",
        "2024-06-04 22:00:00.000000",
    ]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("vix,2024-06-06,14", "the session is after 2024-06-05; what is known ahead goes into --events"),
        ("vix,2024-06-05,inf", "the value is missing or infinite"),
        ("vix,2024-06-05,", "the value is missing or infinite"),
        ("vix,2024-06-05,high", "the value is no number"),
        ("vix,yesterday,14", "the session is no day"),
        ("^VIX,2024-06-05,14", "the name is that of a ticker; rename it, or see --covariate-tickers"),
        ("ACME,2024-06-05,14", "the name is that of a ticker; rename it, or see --covariate-tickers"),
        ("a/b,2024-06-05,14", "the name is empty, longer than 60 or has a /"),
        (",2024-06-05,14", "the name is empty, longer than 60 or has a /"),
    ],
)
def test_a_row_that_cannot_be_used_is_left_out_with_its_place(tmp_path, row, why):
    found = covariates(tmp_path, *GOOD, row)
    assert [value for *_, value in read(found)] == [13.1, 13.2]
    assert found.left_out == (f"covariates.csv: 1 row left out, first line 4: {why}",)


def test_two_values_for_a_day_are_both_left_out_and_the_same_value_twice_is_one(tmp_path):
    found = covariates(tmp_path, *GOOD, GOOD[1], "vix,2024-06-05,14", "vix,2024-06-05,15")
    assert [value for *_, value in read(found)] == [13.1, 13.2]
    assert found.left_out == ("covariates.csv: 2 rows left out, first line 5: two values for one day",)


def test_of_a_value_that_was_corrected_the_first_one_known_counts(tmp_path):
    rows = ("gdp,2024-06-03,1.0,2024-06-05", "gdp,2024-06-03,2.0,2024-06-04", "gdp,2024-06-04,3.0,2024-06-05")
    found = covariates(tmp_path, *rows, header="name,session,value,known_at")
    assert [value for *_, value in read(found)] == [2.0, 3.0]
    assert found.left_out == (
        "covariates.csv: 1 row left out, first line 2: the day has a value that was known earlier",
    )


def test_known_before_its_session_is_left_out(tmp_path):
    header = "name,session,value,known_at"
    found = covariates(tmp_path, "x,2024-06-04,1,2024-06-03", "x,2024-06-03,2,2024-06-04", header=header)
    assert [value for *_, value in read(found)] == [2.0]
    assert found.left_out == (
        "covariates.csv: 1 row left out, first line 2: known_at lies before the session",
    )


def test_a_series_that_never_changes_is_left_out(tmp_path):
    found = covariates(tmp_path, *GOOD, "flat,2024-06-03,1", "flat,2024-06-04,1")
    assert {name for name, *_ in read(found)} == {"vix"}
    assert found.left_out == ("covariates.csv: 'flat' never changes: left out",)


def test_a_value_of_a_ticker_that_is_not_asked_for_is_left_out(tmp_path):
    found = covariates(
        tmp_path, "x,2024-06-03,1,ACME", "x,2024-06-03,1,NOSUCH", header="name,session,value,ticker"
    )
    assert len(found.rows) == 1
    assert found.left_out == (
        "covariates.csv: 1 row left out, first line 3: the ticker is not one of the run, for example NOSUCH",
    )


def test_a_parquet_file_says_the_same(tmp_path):
    frame = pd.DataFrame(
        {
            "name": ["vix"] * 2,
            "session": pd.to_datetime(["2024-06-03", "2024-06-04"]).date,
            "value": [13.1, 13.2],
        }
    )
    path = tmp_path / "covariates.parquet"
    duckdb.from_df(frame).write_parquet(str(path))
    found = read_covariates(path, AS_OF, TICKERS, TAKEN, ParquetFiles())
    assert read(found) == read(covariates(tmp_path, *GOOD))


@pytest.mark.parametrize(
    ("kind", "cell", "text"),
    [
        ("DATE", "2024-06-01", "2024-06-01"),
        ("TIMESTAMP", "2024-06-01", "2024-06-01"),
        ("VARCHAR", "20240601", "2024-06-01"),
        ("TIMESTAMP", "2024-06-01 18:30:00", "2024-06-01T18:30:00"),
        ("TIMESTAMP_MS", "2024-06-01 18:30:00", "2024-06-01T18:30:00"),
        ("TIMESTAMPTZ", "2024-06-01 14:30:00-04", "2024-06-01T14:30:00-04:00"),
    ],
)
def test_when_something_became_known_is_the_same_of_a_parquet_file(tmp_path, kind, cell, text):
    path = tmp_path / "events.parquet"
    duckdb.sql(
        f"""
        SELECT session, 'earnings' AS kind, CAST(known AS {kind}) AS known_at
        FROM (VALUES (DATE '2024-07-25', '{cell}'), (DATE '2024-10-24', NULL)) AS t (session, known)
        """
    ).write_parquet(str(path))
    found = read_events(path, AS_OF, TICKERS, ParquetFiles())
    header = "session,kind,known_at"
    said = events(tmp_path, f"2024-07-25,earnings,{text}", "2024-10-24,earnings,", header=header)
    assert said.rows["announced_at"].notna().tolist() == [True, False]
    pd.testing.assert_frame_equal(found.rows, said.rows)


def test_events_past_and_to_come(tmp_path):
    found = events(
        tmp_path,
        "2024-05-01,fomc,,2023-08-01",
        "2024-06-12,fomc,,",
        "2024-07-25,earnings,ACME,2024-06-01T12:00:00Z",
        "2024-07-25,earnings,NOSUCH,",
        "2031-01-01,fomc,,",
        header="session,kind,ticker,known_at",
    )
    assert found.rows[["kind", "ticker"]].to_numpy().tolist() == [
        ["earnings", "ACME"],
        ["fomc", "*"],
        ["fomc", "*"],
    ]
    assert found.rows["session"].astype("str").tolist() == ["2024-07-25", "2024-05-01", "2024-06-12"]
    assert found.rows["announced_at"].astype("str").fillna("NaT").tolist() == [
        "2024-06-01 12:00:00.000000",
        "2023-08-01 23:59:59.999999",
        "NaT",
    ]
    assert found.left_out == (
        "events.csv: 1 row left out, first line 5: the ticker is not one of the run, for example NOSUCH",
        "events.csv: 1 row left out, first line 6: the session is more than three years away",
    )


def test_dividends_and_splits_come_with_a_value(tmp_path):
    found = events(
        tmp_path,
        "2024-06-12,ex_dividend,ACME,0.55",
        "2024-06-14,split,ACME,4",
        "2024-06-14,ex_dividend,BOLT,",
        "2024-06-20,earnings,ACME,1.2",
        header="session,kind,ticker,amount",
    )
    rows = [(row.kind, row.ticker, row.value) for row in found.rows.fillna({"value": -1.0}).itertuples()]
    assert found.left_out == ()
    assert sorted(rows) == [
        ("earnings", "ACME", -1.0),  # what this kind comes with is not read
        ("ex_dividend", "ACME", 0.55),
        ("ex_dividend", "BOLT", -1.0),  # a day without an amount
        ("split", "ACME", 4.0),
    ]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (
            "2024-06-12,ex_dividend,ACME,-1",
            "the value of ex_dividend cannot be: expected cash for a share, above 0",
        ),
        (
            "2024-06-12,ex_dividend,ACME,much",
            "the value of ex_dividend cannot be: expected cash for a share, above 0",
        ),
        ("2024-06-12,ex_dividend,,0.5", "ex_dividend with a value is of one ticker: name it"),
        (
            "2024-06-12,split,ACME,0",
            "the value of split cannot be: expected new shares for an old one, as 4 or 0.1",
        ),
        (
            "2024-06-12,split,ACME,1",
            "the value of split cannot be: expected new shares for an old one, as 4 or 0.1",
        ),
        (
            "2024-06-12,split,ACME,inf",
            "the value of split cannot be: expected new shares for an old one, as 4 or 0.1",
        ),
    ],
)
def test_a_value_that_cannot_be_leaves_its_row_out(tmp_path, row, why):
    found = events(tmp_path, "2024-06-20,earnings,ACME,", row, header="session,kind,ticker,value")
    assert found.rows["kind"].tolist() == ["earnings"]
    assert found.left_out == (f"events.csv: 1 row left out, first line 3: {why}",)


def test_two_amounts_for_a_day_are_both_left_out(tmp_path):
    lines = ("2024-06-12,ex_dividend,ACME,0.5", "2024-06-12,ex_dividend,ACME,0.6")
    found = events(tmp_path, *lines, "2024-06-20,earnings,ACME,", header="session,kind,ticker,value")
    assert found.rows["kind"].tolist() == ["earnings"]
    assert found.left_out == ("events.csv: 2 rows left out, first line 2: two values for one day",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "name,session\nvix,2024-06-03\n",
            "no column 'value': expected a header with name, session and value",
        ),
        ("", "is empty: expected a header and rows"),
        (None, "cannot be opened"),
    ],
)
def test_a_file_without_what_is_needed_is_refused(tmp_path, text, message):
    path = tmp_path / "covariates.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(FileRefused, match=message):
        check_file(path, "covariates", ParquetFiles())


def test_dates_that_mean_two_days_are_refused(tmp_path):
    with pytest.raises(FileRefused, match="is 2024-01-02 \\(M/D/Y\\) or 2024-02-01"):
        covariates(tmp_path, "vix,1/2/2024,13", "vix,1/3/2024,14")


def test_numbers_of_a_spreadsheet_with_decimal_commas(tmp_path):
    found = covariates(tmp_path, "vix;2024-06-03;13,1", "vix;2024-06-04;13,2", header="name;session;value")
    assert np.isclose(found.rows["value"], [13.1, 13.2]).all()
