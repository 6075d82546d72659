"""Copies of good files with something broken in each: no error but ours, nobody else's rows change, and what
was not touched is stored.
"""

import datetime as dt
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from forecast_lib.domain import AsOf, Ticker
from forecast_lib.prices.checks import Checked, check, nothing_before
from forecast_lib.prices.source import VALUES
from forecast_lib.prices.sources.files import FilesSource
from forecast_lib.sessions import TickerCalendar
from forecast_lib.store.parquet import ParquetFiles
from tests.made_up import noisy

SESSIONS = TickerCalendar("XNYS").sessions(dt.date(2022, 9, 1), dt.date(2024, 6, 18))[-420:]
NOW = dt.datetime(2024, 6, 18, 22, 30, tzinfo=dt.UTC)
EVENING = AsOf(NOW.date(), NOW, NOW)
FIGURES = ["open", "high", "low", "close", "volume"]
COPIES = 120


def good(seed: int) -> pd.DataFrame:
    made = noisy(len(SESSIONS), seed)
    return pd.DataFrame(
        {"date": SESSIONS.date.astype(object), **{name: getattr(made, name) for name in FIGURES}}
    )


def mutated(rows: pd.DataFrame, random: np.random.Generator) -> tuple[pd.DataFrame, set[int]]:
    """A copy with one to three things broken, and the rows that were touched."""
    rows, touched = rows.copy(), set()
    for _ in range(random.integers(1, 4)):
        at = int(random.integers(30, len(rows) - 30))
        figure = str(random.choice(FIGURES[:4]))
        match random.integers(0, 9):
            case 0:
                rows.loc[at, figure] = random.choice([0.0, -1.0, np.nan, np.inf, 1e12])
            case 1:
                rows.loc[at, FIGURES[:4]] *= random.choice([0.01, 100.0, 1.5, 0.4])
            case 2:
                rows.loc[at, FIGURES] = np.nan
            case 3:
                rows.loc[at, "date"] = random.choice(
                    [dt.date(1700, 1, 1), dt.date(2150, 1, 5), dt.date(2023, 12, 25), dt.date(2023, 10, 21)]
                )
            case 4:
                rows.loc[at, ["open", "high", "low"]] *= 1.2
            case 5:
                rows.loc[at, "volume"] = random.choice([-5.0, 0.0, np.inf])
            case 6:
                rows.loc[at, FIGURES] = rows.loc[at - 1, FIGURES].to_numpy()
            case 7:
                rows.loc[at, "low"], rows.loc[at, "high"] = rows.loc[at, "high"], rows.loc[at, "low"]
            case _:
                rows.loc[at, "close"] *= 1 + random.choice([-1, 1]) * random.uniform(0.05, 0.9)
        touched.add(at)
    return rows, touched


def checked(path: Path, names: list[str]) -> Checked:
    answer = FilesSource(path, parquet=ParquetFiles()).fetch(
        {Ticker(name): None for name in names}, EVENING.day
    )
    return check(answer, nothing_before(answer.rows.tickers), EVENING)


def stored(found: Checked, ticker: str) -> pd.DataFrame:
    rows = found.good.part(found.good.tickers.index(ticker))
    return pd.DataFrame(
        {"date": rows.sessions, **{name: rows.figures[name] for name in VALUES if name != "adj_close"}}
    ).set_index("date")


def write(path: Path, parts: dict[str, pd.DataFrame]) -> Path:
    joined = pd.concat([rows.assign(ticker=name) for name, rows in parts.items()], ignore_index=True)
    duckdb.from_df(joined.assign(date=joined["date"].astype(str))).project(
        "* REPLACE (date::DATE AS date)"
    ).write_parquet(str(path))
    return path


@pytest.mark.slow
def test_what_a_mutation_did_not_touch_is_stored_exactly_and_other_tickers_are_as_without_it(
    tmp_path: Path,
) -> None:
    random = np.random.default_rng(11)
    originals = {f"M{number}": good(number) for number in range(COPIES)}
    copies = {name: mutated(rows, random) for name, rows in originals.items()}
    bystander = good(999)
    found = checked(
        write(
            tmp_path / "all.parquet",
            {"GOOD": bystander, **{name: rows for name, (rows, _) in copies.items()}},
        ),
        ["GOOD", *copies],
    )
    alone = checked(write(tmp_path / "alone.parquet", {"GOOD": bystander}), ["GOOD"])
    pd.testing.assert_frame_equal(stored(found, "GOOD"), stored(alone, "GOOD"))
    assert found.holds == {}
    lost = 0
    for name, (rows, touched) in copies.items():
        kept = stored(found, name)
        whole = (
            originals[name]
            .drop(index=sorted(touched))
            .assign(date=lambda each: each["date"].to_numpy("datetime64[D]"))
            .set_index("date")
        )
        there = whole.index.isin(kept.index)
        lost += int((~there).sum())
        pd.testing.assert_frame_equal(
            kept.loc[whole.index[there], FIGURES], whole.loc[there, FIGURES], check_index_type=False
        )
        assert len(rows) >= len(kept)
    assert lost <= COPIES * len(SESSIONS) / 10_000, "rows that wait though nothing was done to them"


@pytest.mark.parametrize("year", ["0044-03-15 (BC)", "0023-01-03", "1599-01-03", "2150-01-03"])
def test_a_row_of_an_impossible_year_leaves_a_line_in_the_quarantine(tmp_path: Path, year: str) -> None:
    path = write(tmp_path / "good.parquet", {"AAA": good(1), "BBB": good(2)})
    odd = tmp_path / "odd.parquet"
    when = (
        f"CASE WHEN ticker = 'AAA' AND date = DATE '{SESSIONS[100].date()}' THEN DATE '{year}' ELSE date END"
    )
    duckdb.read_parquet(str(path)).project(f"* REPLACE ({when} AS date)").write_parquet(str(odd))
    found = checked(odd, ["AAA", "BBB"])
    lines = found.quarantined[found.quarantined["ticker"] == "AAA"]
    if year != "2150-01-03":  # later than the evening: not asked for
        assert lines["rule"].tolist() == ["unknown_session"] or lines["rule"].tolist() == ["weekend_session"]
        assert lines["origin"].tolist() == ["odd.parquet row 101"]
    assert found.quarantined["ticker"].isin(["AAA"]).all()
    assert len(stored(found, "AAA")) == len(SESSIONS) - 1
