"""What covariates and calendar events are worth on real prices: `python -m tests.bench.covariates`.

Prices: as of `goals`. VIX (closes, 2014 to 2018) and the S&P 500 (1999 to 2018) come with the package arch.
Each candidate is added to the volatility scale as a night has it (panel regression, common and seasonal
inputs, each ticker's own slopes drawn to the panel's), fitted anew each year on what is known before it.
Printed for each period, of the candidate against without: QLIKE and pinball loss at one and five sessions
(quantiles of each from its own standard scores), geometric means over tickers, with how many tickers are
better and the p-value of the test of all tickers by date (two-sided, neighbouring losses of a month alike).

`--served` (minutes): the same of what is served, network and combination, one backtest each.

`--names IXIC,OWN`: of other series on the same shares, without events: the Nasdaq composite, and an index
made of the shares themselves, as any market has one. `--elsewhere`: the S&P 500 beside the few shares and the
one index of other exchanges among the wild tickers, each known on its own evenings, 2014 to 2018.
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

from forecast_lib.backtest.selection import Selection, select
from forecast_lib.backtest.significance import compare_losses
from forecast_lib.calibration import multipliers
from forecast_lib.config import BacktestConfig, ModelConfig, TrainConfig
from forecast_lib.covariates.calendar import ALWAYS, NEVER, calendar_events
from forecast_lib.covariates.inputs import Ahead, Inputs, candidates, is_ahead
from forecast_lib.covariates.series import Covariate, as_known, level_of
from forecast_lib.distribution import pinball
from forecast_lib.jobs.evaluate import backtests
from forecast_lib.models.training import first_cutoff
from forecast_lib.sessions import TickerCalendar, calendar_for
from forecast_lib.tables import QUANTILE_COLUMNS
from forecast_lib.windows.beside import range_of
from forecast_lib.windows.features import session_features
from forecast_lib.windows.scaling import Sample, fit_volatility_scale, future_log_returns, panel_slopes
from forecast_lib.windows.series import TickerSeries, series_of
from forecast_lib.windows.volatility_inputs import VOLATILITY_INPUTS, scale_inputs
from tests.bench.goals import DATA, geometric, series_until
from tests.whole_parquet import read_parquet

ACTIONS = DATA.with_name("dev_actions.parquet")
WILD = DATA.with_name("wild_prices.parquet")
ELSEWHERE = ("005930.KS", "1301.T", "HDFCBANK.NS", "PETR4.SA", "TATAMOTORS.NS", "VALE3.SA", "^WIG20")
"""The wild tickers whose exchange is not New York's."""
MODEL = ModelConfig()
STEPS = (1, 5)
PERIODS = {
    "2008-2013": (2008, 2013, ("GSPC",)),
    "2014-2021": (2014, 2021, ()),
    "2014-2018": (2014, 2018, ("GSPC",)),
    "2017-2018": (2017, 2018, ("GSPC", "VIX")),
}
"""Years that are forecast, and what beside the calendar's events is known in all of them."""
CALENDAR = TickerCalendar("XNYS")
FEWEST_TRAINED = 500
ALIKE = 22  # sessions


Years = tuple[int, int]
Added = tuple[str, ...] | None
"""Inputs by name; None: those that the selection keeps."""
Losses = Callable[[Sequence[TickerSeries], Any, Years], dict[str, pd.DataFrame]]


# --- what is known beside


def _index(name: str, last: str, series: Sequence[TickerSeries]) -> pd.DataFrame:
    from arch.data import nasdaq, sp500, vix

    if name == "OWN":
        return _own_index(series)
    # Holidays are among their days.
    found = {"GSPC": sp500, "VIX": vix, "IXIC": nasdaq}[name].load().dropna()
    return found[found.index <= pd.Timestamp(last)]


def _own_index(series: Sequence[TickerSeries]) -> pd.DataFrame:
    """Each session's mean log return and mean log distances from the close before, of all shares."""
    moves = []
    for each in series:
        before = np.log(each.close[:-1])
        figures = {"Open": each.open, "High": each.high, "Low": each.low, "Close": each.close}
        made = {name: np.log(values[1:]) - before for name, values in figures.items()}
        moves.append(pd.DataFrame(made, index=pd.DatetimeIndex(each.sessions[1:])))
    mean = pd.concat(moves).groupby(level=0).mean()
    level = mean["Close"].cumsum()
    return np.exp(mean.add(level.shift(1).fillna(0.0), axis=0) + np.log(100)).assign(Volume=np.nan)


def known_beside(
    series: Sequence[TickerSeries],
    names: Sequence[str],
    last: str,
    calendar: TickerCalendar = CALENDAR,
) -> list[TickerSeries]:
    """The series of an exchange knowing its calendar's events and these indices."""
    sessions = np.unique(np.concatenate([each.sessions for each in series]))
    evenings, parts = calendar.evenings(sessions), []
    for name in names:
        frame = _index(name, last, series)
        days = frame.index.to_numpy("datetime64[D]")
        known = CALENDAR.evenings(days)
        if "Close" in frame:
            prices = frame.rename(columns=str.lower).rename_axis("session").reset_index()
            parts.append(as_known(range_of(series_of(name, prices), known), sessions, evenings))
        closes = frame["Close" if "Close" in frame else "vix"].to_numpy(float)
        parts.append(as_known(level_of(Covariate(name, None, days, closes, known)), sessions, evenings))
    planned = calendar_events(calendar, pd.Timestamp(sessions[0]).date(), pd.Timestamp(last).date())
    actions = read_parquet(ACTIONS, ("ticker", "date", "dividend"))
    found = []
    for each in series:
        shared = () if each.inputs is None else each.inputs.at_close
        paid = actions[(actions["ticker"] == each.ticker) & (actions["dividend"] > 0)]
        ahead = (planned, _always_known("event ex_dividend", paid["date"], planned.days))
        found.append(dataclasses.replace(each, inputs=Inputs((*shared, *parts), ahead)))
    return found


def _always_known(name: str, dates: pd.Series, days: np.ndarray) -> Ahead:
    """As if each date had been announced in time, as ex-dividend days of these companies mostly are."""
    on = dates.to_numpy("datetime64[D]")
    return Ahead((name,), days, np.zeros(len(on), int), on, np.full(len(on), ALWAYS), np.full(len(on), NEVER))


def sets_of(series: Sequence[TickerSeries]) -> dict[str, tuple[str, ...]]:
    """What is added, by label: each candidate alone, levels also with their year, and levels and ranges
    together.
    """
    found = candidates(name for each in series if each.inputs is not None for name in each.inputs.names)
    for label in [each for each in found if each.endswith(", its year")]:
        owner = label.removesuffix(", its year")
        found[f"{owner} and its year"] = (*found[owner], *found.pop(label))
    together = [
        name
        for label, inputs in found.items()
        for name in inputs
        if not is_ahead(name) and not label.endswith("year")
    ]
    return {**found, **({"all without years": tuple(together)} if together else {})}


# --- the scale alone


def scale_losses(
    series: Sequence[TickerSeries], names: tuple[str, ...], years: Years
) -> dict[str, pd.DataFrame]:
    """By loss and step, (dates, tickers); each year by a scale fitted before it."""
    found: dict[str, dict[str, pd.Series]] = {
        f"{loss} {step}": {} for loss in ("QLIKE", "pinball") for step in STEPS
    }
    sigmas = {each.ticker: np.full((len(each), MODEL.horizon), np.nan) for each in series}
    first = first_cutoff(MODEL.lookback)
    for year in range(years[0], years[1] + 1):
        samples = {}
        for each in series:
            begin = int(np.searchsorted(each.sessions, np.datetime64(f"{year}-01-01")))
            inputs, ahead = scale_inputs(each, names, MODEL.horizon)
            if begin - MODEL.horizon - first >= FEWEST_TRAINED:
                last = begin - MODEL.horizon
                samples[each.ticker] = Sample(inputs, session_features(each), first, last, ahead)
        panel = panel_slopes(list(samples.values()), MODEL.horizon, len(VOLATILITY_INPUTS))
        for ticker, sample in samples.items():
            scale = fit_volatility_scale(sample, MODEL.horizon, panel, len(VOLATILITY_INPUTS))
            # The sessions before the year's first cutoff too, in the first year: they calibrate it.
            since = 0 if year == years[0] else sample.last + MODEL.horizon
            sigmas[ticker][since:] = scale.sigma(sample.inputs, sample.ahead)[since:]
    for each in series:
        begin = int(np.searchsorted(each.sessions, np.datetime64(f"{years[0]}-01-01")))
        if np.isfinite(sigmas[each.ticker][begin:]).all() and len(each) - begin > 250:
            for name, losses in _losses(each, sigmas[each.ticker], max(begin, first)).items():
                found[name][each.ticker] = losses
    return {name: pd.DataFrame(by_ticker) for name, by_ticker in found.items()}


def _losses(series: TickerSeries, sigma: np.ndarray, begin: int) -> dict[str, pd.Series]:
    features, count = session_features(series), len(series) - MODEL.horizon
    returns = future_log_returns(features.log_close, MODEL.horizon)[:count]
    scores = np.abs(returns) / sigma[:count]
    reach = multipliers(scores, count - begin)
    total = np.concatenate([[0.0], np.cumsum(features.variance)])
    made = {}
    days = pd.DatetimeIndex(series.sessions[begin:count])
    for step in STEPS:
        at, scale = np.arange(begin, count), sigma[begin:count, step - 1]
        ratio = (total[at + 1 + step] - total[at + 1]) / scale**2
        # Its level from the year before, as of a night: else the level would decide.
        past = (total[step + 1 :][:count] - total[1:][:count]) / sigma[:count, step - 1] ** 2
        before = pd.Series(past).shift(step).rolling(250, min_periods=100).mean().to_numpy()[begin:count]
        ratio = ratio / before
        made[f"QLIKE {step}"] = pd.Series(ratio - np.log(ratio) - 1, days)
        half = reach[:, step - 1] * scale[:, None]
        quantiles = np.concatenate([-half[:, ::-1], np.zeros((len(half), 1)), half], axis=1)
        made[f"pinball {step}"] = pd.Series(
            pinball(np.exp(returns[begin:, step - 1]), np.exp(quantiles)), days
        )
    return made


# --- what is served


def served_losses(series: Sequence[TickerSeries], names: Added, years: Years) -> dict[str, pd.DataFrame]:
    """The same of the combination, the network fitted anew each year.

    Args:
        names: what enters; None: what the selection keeps at each fit.
    """
    longest = max(series, key=len)
    tested = len(longest) - int(np.searchsorted(longest.sessions, np.datetime64(f"{years[0]}-01-01")))
    config = BacktestConfig(test_share=tested / len(longest), folds=years[1] - years[0] + 1)

    def chosen(known: Sequence[TickerSeries], model: ModelConfig) -> Selection:
        if names is not None:
            return Selection(names)
        found = select(known, model)
        print(f"  kept up to {known[0].sessions[-1]}: {', '.join(found.inputs) or 'nothing'}", flush=True)
        return found

    with mock.patch.object(backtests, "select", chosen):
        results = backtests.backtest_pool(
            series, (MODEL,), TrainConfig(), config, seed=0, baselines=("naive",)
        )
    found: dict[str, dict[str, pd.Series]] = {}
    for result in results:
        rows = result.forecasts[(result.forecasts["cutoff"] >= pd.Timestamp(f"{years[0]}-01-01"))]
        for step in STEPS:
            own = rows[(rows["step"] == step) & (rows["model"] == backtests.COMBINED)].set_index("cutoff")
            losses = pinball(own["actual"].to_numpy(), own[list(QUANTILE_COLUMNS)].to_numpy())
            found.setdefault(f"pinball {step}", {})[result.ticker] = pd.Series(
                losses / own["naive"].to_numpy(), own.index
            )
            ratio = own["realised_variance"] / own["sigma"] ** 2
            found.setdefault(f"QLIKE {step}", {})[result.ticker] = ratio - np.log(ratio) - 1
    return {name: pd.DataFrame(by_ticker) for name, by_ticker in found.items()}


# --- figures


def compared(with_it: pd.DataFrame, without: pd.DataFrame) -> str:
    """Ratio, tickers that are better, and the p-value of all by date."""
    both = with_it.notna() & without.notna()
    ours, theirs = with_it[both], without[both]
    ratios = (ours.mean() / theirs.mean()).dropna()
    unit = theirs.mean()
    dated = [(losses / unit).mean(axis=1).dropna().to_numpy() for losses in (ours, theirs)]
    _, pvalue = compare_losses(*dated, ALIKE)
    return f"{geometric(ratios):.4f} ({int((ratios < 1).sum())}/{len(ratios)}, p {pvalue:.2g})"


def printed(losses: Losses, series: Sequence[TickerSeries], sets: Mapping[str, Added], years: Years) -> None:
    """A table of the sets against without, row by row as they are done."""
    without = losses(series, (), years)
    columns = list(without)
    print(f"| added | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}", flush=True)
    for label, inputs in sets.items():
        made = losses(series, inputs, years)
        print(
            f"| {label} | {' | '.join(compared(made[name], without[name]) for name in columns)} |", flush=True
        )


def elsewhere() -> None:
    """The S&P 500 beside tickers of other exchanges, and what the selection would keep of it."""
    first, last = 2014, 2018
    prices = read_parquet(WILD, ("ticker", "date", "open", "high", "low", "close", "volume"))
    prices = prices[prices["ticker"].isin(ELSEWHERE) & prices["close"].notna()]
    series = []
    for ticker, rows in prices[prices["date"] <= pd.Timestamp(f"{last}-12-31")].groupby("ticker"):
        own = series_of(str(ticker), rows.rename(columns={"date": "session"}).sort_values("session"))
        if len(own) > first_cutoff(MODEL.lookback) + FEWEST_TRAINED + 250:
            series += known_beside([own], ("GSPC",), f"{last}-12-31", calendar_for(str(ticker)))
    print(f"\nScale, elsewhere, {first} to {last}: {', '.join(each.ticker for each in series)}", flush=True)
    sets = {label: inputs for label, inputs in sets_of(series).items() if not is_ahead(inputs[0])}
    printed(scale_losses, series, sets, (first, last))
    for tried in select(series, MODEL).tried:
        if tried.name.startswith("covariate"):
            print(f"  {tried.name}: p {tried.pvalue:.2g}, kept: {tried.kept}", flush=True)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--served", action="store_true")
    parser.add_argument("--elsewhere", action="store_true")
    parser.add_argument("--names", default="")
    parser.add_argument("--periods", default=",".join(PERIODS))
    asked = parser.parse_args(list(arguments))
    if asked.elsewhere:
        elsewhere()
        return
    for period in asked.periods.split(","):
        first, last, names = PERIODS[period]
        names = tuple(asked.names.split(",")) if asked.names else names
        series = known_beside(series_until(f"{last}-12-31", ()), names, f"{last}-12-31")
        sets = sets_of(series)
        if asked.names:
            sets = {label: inputs for label, inputs in sets.items() if not is_ahead(inputs[0])}
            kept = {each.name: each.kept for each in select(series, MODEL).tried}
            print(f"  the selection at the end keeps {[each for each in kept if kept[each]] or 'nothing'}")
        print(f"\n{'Served' if asked.served else 'Scale'}, {period}", flush=True)
        if asked.served:
            covariates = {
                label: inputs
                for label, inputs in reversed(sets.items())
                if not is_ahead(inputs[0]) and not label.endswith("year")
            }
            printed(served_losses, series, {"as selected": None, **covariates}, (first, last))
        else:
            printed(scale_losses, series, sets, (first, last))


if __name__ == "__main__":
    main(sys.argv[1:])
