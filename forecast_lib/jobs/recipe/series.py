"""The series of a recipe, read as it stands: what the night's checks would refuse is counted and said, but
used.

A walkthrough takes one column of one file, and knows no checks; refusing its rows would answer another
question.
"""

import datetime as dt
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.config import RunConfig, SourceConfig
from forecast_lib.domain import Ticker
from forecast_lib.errors import UsageError
from forecast_lib.jobs.workspace import price_source
from forecast_lib.prices.checks import check, nothing_before
from forecast_lib.prices.rules.view import bars_of
from forecast_lib.prices.source import Offered
from forecast_lib.recipes.catalogue import Recipe
from forecast_lib.recipes.series import RecipeSeries, sine_series
from forecast_lib.windows.histories import FIGURES, splits_of
from forecast_lib.windows.series import series_of

__all__ = ["ReadSeries", "read_series", "refuse_without_prices"]

_TRAIN_FILE, _TEST_FILE = "Google_Stock_Price_Train.csv", "Google_Stock_Price_Test.csv"
# The two files' days, for other sources.
_FIRST, _SPLIT, _LAST = (dt.date(2012, 1, 1), dt.date(2017, 1, 1), dt.date(2017, 1, 31))


@dataclass(frozen=True)
class ReadSeries:
    """A recipe's series and where it is from.

    Attributes:
        origin: in words, for the page.
        rows: how many rows were read.
        refused: how many of them the night's checks would set aside, by rule.
        held: why the night would not forecast from this history at all; None where it would.
    """

    series: RecipeSeries
    origin: str
    rows: int = 0
    refused: tuple[tuple[str, int], ...] = ()
    held: str | None = None


def refuse_without_prices(recipe: Recipe, source: SourceConfig) -> None:
    """Raises:
    UsageError: the recipe needs real prices, and no file or source of them was given.
    """
    if recipe.ticker is None or source.name != "simulated":
        return
    file = (
        f"the folder of {_TRAIN_FILE} and {_TEST_FILE}" if recipe.split == "files" else f"{recipe.ticker}.csv"
    )
    what = "opens" if recipe.column == "open" else "closes"
    raise UsageError(
        f"recipe {recipe.name} needs the daily {what} of {recipe.ticker}: give --files PATH ({file}), or"
        " --source yahoo"
    )


def _ticker(recipe: Recipe, config: RunConfig) -> Ticker:
    own = Ticker(recipe.ticker or "")
    if len(config.tickers) > 1 and own not in config.tickers:
        raise UsageError(
            f"recipe {recipe.name} takes one ticker, {len(config.tickers)} are set: give --tickers NAME"
        )
    return own if own in config.tickers else config.tickers[0]


def _fetch(
    config: RunConfig, ticker: Ticker, path: Path | None, first: dt.date | None, last: dt.date
) -> Offered:
    source = price_source(replace(config.source, path=path), config.as_of, config.workspace, (ticker,))
    return source.fetch({ticker: first}, last)


def _column(answer: Offered, ticker: Ticker, column: str) -> pd.DataFrame:
    """Split-adjusted rows, oldest first, the recipe's column usable in each."""
    if problem := answer.told[ticker].problem:
        raise problem
    bars = bars_of(answer.rows, splits_of(answer.actions).get(ticker))
    values: NDArray[np.float64] = getattr(bars, column)
    bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if len(bad):
        raise UsageError(
            f"{answer.origins(bad[:1])[0]}: {column} is {values[bad[0]]:g}: expected a positive price;"
            " correct the row"
        )
    twice = np.flatnonzero(bars.sessions[1:] == bars.sessions[:-1]) + 1
    if len(twice):
        raise UsageError(
            f"{answer.origins(twice[:1])[0]}: session {bars.sessions[twice[0]]} comes twice: expected it"
            " once; remove one"
        )
    return pd.DataFrame(
        {"session": bars.sessions.astype("datetime64[us]"), **{name: getattr(bars, name) for name in FIGURES}}
    )


def _priced(recipe: Recipe, ticker: Ticker, rows: pd.DataFrame, first_file: int | None) -> RecipeSeries:
    seen = (
        rows
        if recipe.column == "close"
        else rows.assign(close=rows[recipe.column], open=np.nan, high=np.nan, low=np.nan, volume=np.nan)
    )
    labels = tuple(rows["session"].dt.strftime("%Y-%m-%d"))
    return RecipeSeries(
        ticker, rows[recipe.column].to_numpy(float), labels, first_file, series_of(ticker, seen)
    )


def _two_files(config: RunConfig, test_file: Path | None) -> tuple[Path | None, Path | None]:
    path = config.source.path
    if path is None:
        return None, None
    train = path / _TRAIN_FILE if path.is_dir() else path
    test = test_file or train.with_name(_TEST_FILE)
    for needed, option in ((train, "--files"), (test, "--test-file")):
        if not needed.is_file():
            raise UsageError(
                f"{needed.name} is not in {needed.parent}: expected a file of daily prices; give"
                f" {option} PATH"
            )
    return train, test


def _fetch_parts(recipe: Recipe, config: RunConfig, ticker: Ticker, test_file: Path | None) -> list[Offered]:
    if recipe.split != "files":
        if test_file is not None:
            raise UsageError(f"recipe {recipe.name} takes one file: leave out --test-file")
        return [_fetch(config, ticker, config.source.path, None, config.as_of.day)]
    train, test = _two_files(config, test_file)
    if train is not None:
        return [_fetch(config, ticker, path, None, config.as_of.day) for path in (train, test)]
    whole = _fetch(config, ticker, None, _FIRST, _LAST)
    early = whole.rows.sessions < np.datetime64(_SPLIT)
    return [_part(whole, np.flatnonzero(chosen)) for chosen in (early, ~early)]


def _part(whole: Offered, chosen: NDArray[np.intp]) -> Offered:
    return replace(whole, rows=whole.rows.rows(chosen), origins=lambda at: whole.origins(chosen[at]))


def _origin(config: RunConfig, parts: list[Offered]) -> str:
    if config.source.name != "files":
        return config.source.name
    return " and ".join(
        dict.fromkeys(part.origins(np.arange(1))[0].rpartition(" ")[0].rpartition(" ")[0] for part in parts)
    )


def _read_prices(recipe: Recipe, config: RunConfig, test_file: Path | None) -> ReadSeries:
    ticker = _ticker(recipe, config)
    answers = _fetch_parts(recipe, config, ticker, test_file)
    rows = pd.concat([_column(answer, ticker, recipe.column) for answer in answers], ignore_index=True)
    if not rows["session"].is_monotonic_increasing:
        raise UsageError(
            f"recipe {recipe.name}: the test file begins before the training file ends: expected one after"
            " the other"
        )
    series = _priced(recipe, ticker, rows, len(answers[0].rows) if len(answers) > 1 else None)
    checked = [check(answer, nothing_before((ticker,)), config.as_of) for answer in answers]
    rules = Counter(rule for part in checked for rule in part.quarantined["rule"])
    held = next((hold.reason for part in checked for hold in part.holds.values()), None)
    came = sum(len(answer.rows) + len(answer.refused) for answer in answers)
    return ReadSeries(series, _origin(config, answers), came, tuple(rules.most_common()), held)


def read_series(recipe: Recipe, config: RunConfig, test_file: Path | None = None) -> ReadSeries:
    """The recipe's series, from the source of the settings or from the sine itself.

    Args:
        test_file: second file of a recipe that takes two.

    Raises:
        UsageError: there is no source of prices, a needed file is missing, or a price is no positive number.
        TickerError, TransientError: the source has no answer.
    """
    if recipe.ticker is None:
        return ReadSeries(sine_series(recipe), "computed")
    refuse_without_prices(recipe, config.source)
    return _read_prices(recipe, config, test_file)
