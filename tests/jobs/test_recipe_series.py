"""The series of a recipe from files: read as it stands, two files joined, flaws counted, nonsense refused."""

import dataclasses
import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast_lib.config import SourceConfig
from forecast_lib.domain import AsOf
from forecast_lib.errors import FileRefused, UsageError
from forecast_lib.jobs.recipe import series
from forecast_lib.jobs.recipe.series import read_series
from forecast_lib.recipes.catalogue import recipe_named
from tests import made_up
from tests.prices.one_ticker import offered

CLASSICS = Path(__file__).resolve().parents[3] / "shared" / "data" / "classics"
real = pytest.mark.skipif(not CLASSICS.is_dir(), reason="the real price files are not beside this checkout")
TSLA, AAPL, GOOGLE = (recipe_named(name) for name in ("tsla-stacked", "aapl-stacked", "google-deep"))
NOW = dt.datetime(2026, 1, 5, 22, tzinfo=dt.UTC)
HEADER = "Date,Open,High,Low,Close,Volume\n"


def config(path: Path | None, *tickers: str, name="files", **source):
    asked = SourceConfig(name=name, path=path, **source)
    return dataclasses.replace(made_up.run_config(*tickers), as_of=AsOf(NOW.date(), NOW, NOW), source=asked)


def written(path: Path, first: str, closes) -> Path:
    days = np.busday_offset(np.datetime64(first), np.arange(len(closes)), roll="forward")
    rows = (
        f"{day},{close - 0.5},{close + 1},{close - 1},{close},1000\n"
        for day, close in zip(days, closes, strict=True)
    )
    path.write_text(HEADER + "".join(rows))
    return path


@real
def test_tesla_closes_first_and_last():
    series = read_series(TSLA, config(CLASSICS / "TSLA.csv", "TSLA")).series
    assert len(series.values) == 3447  # the data's own README
    assert (series.labels[0], series.values[0]) == ("2010-06-29", 1.592667)
    assert series.labels[-1] == "2024-03-08"


@real
def test_split_adjusted_whether_the_file_lists_its_splits_or_not():
    listed = read_series(TSLA, config(CLASSICS / "TSLA_history.csv", "TSLA")).series
    silent = read_series(TSLA, config(CLASSICS / "TSLA.csv", "TSLA")).series
    np.testing.assert_allclose(listed.values[: len(silent.values)], silent.values, rtol=1e-5)


@real
def test_raw_prices_newest_first_are_turned_and_adjusted():
    raw = read_series(AAPL, config(CLASSICS / "AAPL_daily_adjusted.csv", "AAPL")).series
    # 2020-08-28 closed at 499.23 before the split 4:1 of the 31st; 499.23 / 4 = 124.8075
    assert raw.values[raw.labels.index("2020-08-28")] == pytest.approx(124.8075, abs=1e-3)
    assert raw.labels[0] == "1999-11-01"


@real
def test_google_takes_two_files_and_counts_the_rows_that_the_checks_refuse():
    read = read_series(GOOGLE, config(CLASSICS, "GOOGL"))
    assert (len(read.series.values), read.series.first_file) == (1278, 1258)
    # The opens in line 2 of each file.
    assert (read.series.values[0], read.series.values[1258]) == (325.25, 778.81)
    # Close > high up to 2014-03-26: the data's own README.
    assert sum(count for _, count in read.refused) == 560
    assert read.held is None


@real
def test_mixed_dates_are_refused_by_line_or_read_as_the_clean_file():
    mangled = CLASSICS / "Google_Stock_Price_Train_mixed_dates.csv"
    with pytest.raises(
        FileRefused, match="line 2 .'01-03-2012'. and N/N/YYYY at line 10 .'1/13/2012'.*--mixed-dates"
    ):
        read_series(GOOGLE, config(mangled, "GOOGL"))
    lenient = read_series(GOOGLE, config(mangled, "GOOGL", mixed_dates=True)).series
    clean = read_series(GOOGLE, config(CLASSICS, "GOOGL")).series
    assert lenient.labels == clean.labels
    assert lenient.values.tolist() == clean.values.tolist()


def test_recipe_without_its_prices_says_what_to_give():
    with pytest.raises(
        UsageError,
        match="recipe tsla-stacked needs the daily closes of TSLA: give --files PATH .TSLA.csv., or --source",
    ):
        read_series(TSLA, config(None, "TSLA", name="simulated"))


def test_sine_needs_nothing():
    assert (
        len(read_series(recipe_named("sine-small"), config(None, "SINE", name="simulated")).series.values)
        == 1000
    )


def test_google_without_its_second_file_names_it(tmp_path):
    train = written(tmp_path / "GOOGL.csv", "2016-01-04", np.full(80, 700.0))
    with pytest.raises(
        UsageError,
        match=(
            "Google_Stock_Price_Test.csv is not in .*: expected a file of daily prices; give --test-file PATH"
        ),
    ):
        read_series(GOOGLE, config(train, "GOOGL"))


def test_second_file_may_be_named_and_must_follow_the_first(tmp_path):
    train = written(tmp_path / "GOOGL.csv", "2016-01-04", 700.0 + np.arange(80))
    test = written(tmp_path / "Later_days.csv", "2017-01-02", 800.0 + np.arange(5))
    read = read_series(GOOGLE, config(train, "GOOGL"), test)
    assert read.series.values[79:81].tolist() == [778.5, 799.5]  # opens lie half below the closes
    assert read.origin == "GOOGL.csv and Later_days.csv"
    with pytest.raises(UsageError, match="the test file begins before the training file ends"):
        read_series(GOOGLE, config(test, "GOOGL"), train)


def test_second_file_for_a_recipe_of_one_is_refused(tmp_path):
    path = written(tmp_path / "TSLA.csv", "2016-01-04", np.full(80, 700.0))
    with pytest.raises(UsageError, match="recipe tsla-stacked takes one file: leave out --test-file"):
        read_series(TSLA, config(path, "TSLA"), path)


def test_price_that_is_no_positive_number_is_refused_by_line(tmp_path):
    path = written(tmp_path / "TSLA.csv", "2016-01-04", np.array([10.0] * 80))
    path.write_text(path.read_text().replace("10.0,1000\n", "-1,1000\n", 1))
    with pytest.raises(UsageError, match="TSLA.csv line 2: close is -1: expected a positive price"):
        read_series(TSLA, config(path, "TSLA"))


def test_another_ticker_may_be_named(tmp_path):
    path = written(tmp_path / "MSFT.csv", "2016-01-04", 10.0 + np.arange(80))
    assert read_series(TSLA, config(path, "MSFT")).series.name == "MSFT"


def test_several_tickers_are_refused_unless_the_recipes_own_is_among_them(tmp_path):
    path = written(tmp_path / "TSLA.csv", "2016-01-04", 10.0 + np.arange(80))
    assert read_series(TSLA, config(path, "MSFT", "TSLA")).series.name == "TSLA"
    with pytest.raises(
        UsageError, match="recipe tsla-stacked takes one ticker, 2 are set: give --tickers NAME"
    ):
        read_series(TSLA, config(path, "MSFT", "AAPL"))


class Listed:
    """A source that lists a split 2:1 on 27 March 2014, and gives prices as traded, as sources do."""

    name = "yahoo"

    def default_tickers(self):
        return ()

    def passed_over(self):
        return ()

    def fetch(self, asked, last, done=None):
        ((ticker, first),) = asked.items()
        days = pd.bdate_range(first, last)
        traded = np.where(days < "2014-03-27", 1000.0, 500.0)
        prices = pd.DataFrame(
            {
                "session": days.astype("datetime64[us]"),
                **dict.fromkeys(("open", "high", "low", "close", "adj_close"), traded),
            }
        )
        prices["volume"], prices["origin"] = 1000.0, "listed"
        split = pd.DataFrame({"session": [pd.Timestamp("2014-03-27")], "kind": ["split"], "value": [2.0]})
        return offered(ticker, prices, split, timezone="America/New_York")


def test_google_from_a_source_is_cut_by_date_and_split_adjusted(monkeypatch):
    monkeypatch.setattr(series, "price_source", lambda *_: Listed())
    read = read_series(GOOGLE, config(None, "GOOGL", name="yahoo"))
    assert (read.series.labels[0], read.series.labels[-1]) == ("2012-01-02", "2017-01-31")
    assert read.series.labels[read.series.first_file] == "2017-01-02"
    assert set(read.series.values) == {500.0}
