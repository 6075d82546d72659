"""What it is worth to know of dividends and splits ahead: `python -m tests.bench announced`.

Prices and dividends: those of `goals`, each dividend as if it had been announced in time, as those of large
companies mostly are. What answers where there is no network (`har`, `ewma` and `naive` combined) forecasts
every session of a period with and without them; the networks' forecasts are moved in the same way. Printed:
the pinball loss with to that without, geometric means over tickers, with how many tickers are better and the
p-value of the test of all tickers by date, of the forecasts that an ex-dividend day lies in, and of all.

Splits that no source lists, of usual ratios, are planted into the same prices at random places: how many are
named on their own evening, without and with an announcement, and how many days without one are taken for one
because a split was announced for them.
"""

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from forecast_lib.covariates.calendar import ALWAYS, NEVER
from forecast_lib.covariates.inputs import Dividends, Inputs
from forecast_lib.forecast import combined_at, relative_losses
from forecast_lib.prices.evidence import Case, judge_moves
from forecast_lib.prices.seen import Bars
from forecast_lib.windows.series import Array, TickerSeries
from tests.bench._plants import BEFORE, FIGURES, PRICES, RATIOS, unsplit
from tests.bench.covariates import ACTIONS, CALENDAR, STEPS, compared
from tests.bench.goals import DATA, series_until
from tests.whole_parquet import read_parquet

HORIZON = 5
PLANTED = 600
PERIODS = {"2006-2013": (2006, 2013), "2014-2021": (2014, 2021)}


def paying(series: Sequence[TickerSeries]) -> list[TickerSeries]:
    """The series knowing their dividends, with nothing else beside their prices."""
    actions = read_parquet(ACTIONS, ("ticker", "date", "dividend"))
    found = []
    for each in series:
        paid = actions[(actions["ticker"] == each.ticker) & (actions["dividend"] > 0)]
        on = paid["date"].to_numpy("datetime64[D]")
        days = CALENDAR.sessions(
            pd.Timestamp(each.sessions[0]).date(), pd.Timestamp(each.sessions[-1]).date()
        )
        known = np.full(len(on), ALWAYS), np.full(len(on), NEVER)
        dividends = Dividends(days.to_numpy("datetime64[D]"), on, *known, paid["dividend"].to_numpy(float))
        found.append(dataclasses.replace(each, inputs=Inputs(dividends=dividends)))
    return found


def losses(series: TickerSeries, first: int) -> Array:
    """(cutoffs, HORIZON) from `first` on."""
    made = combined_at(None, series, HORIZON, (first, len(series) - HORIZON))
    return relative_losses(made.forecasts, series)


def named(rows: pd.DataFrame, announced: Mapping[np.datetime64, float]) -> float | None:
    """The ratio of the split that the last row is taken for."""
    figures = {name: rows[name].to_numpy(float) for name in (*FIGURES, "volume")}
    bars = Bars(rows["session"].to_numpy("datetime64[D]"), **figures)
    (found,) = judge_moves([Case(bars, can_split=True, announced=announced)])
    return next((each.ratio for each in found if each.session == bars.sessions[-1] and each.ratio != 1), None)


def splits(begin: int, end: int) -> None:
    """Print how many planted splits are named on their own evening."""
    prices = read_parquet(DATA, ("ticker", "date", *PRICES, "adjclose", "volume"))
    prices = prices.rename(columns={"date": "session"}).sort_values(["ticker", "session"])
    figures = dict.fromkeys((*FIGURES, "volume"), float)
    histories = [rows.reset_index(drop=True).astype(figures) for _, rows in prices.groupby("ticker")]
    random, told = np.random.default_rng(0), {"alone": 0, "announced": 0, "announced and put off": 0}
    for _ in range(PLANTED):
        places = np.zeros(0, int)
        while not len(places):
            rows = histories[random.integers(len(histories))]
            places = np.flatnonzero(rows["session"].dt.year.between(begin, end) & (rows.index >= BEFORE))
        at, ratio = int(random.choice(places)), float(random.choice(RATIOS))
        real = rows.iloc[at - BEFORE : at + 1].reset_index(drop=True)
        planted = unsplit(real, BEFORE, ratio, aware=False)
        announced = {real["session"].to_numpy("datetime64[D]")[-1]: ratio}
        told["alone"] += _is(named(planted, {}), ratio)
        told["announced"] += _is(named(planted, announced), ratio)
        told["announced and put off"] += named(real, announced) is not None
    print(", ".join(f"{name}: {count / PLANTED:.1%}" for name, count in told.items()))


def _is(found: float | None, ratio: float) -> bool:
    return found is not None and bool(np.isclose(found, ratio, rtol=0.01))


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--periods", default=",".join(PERIODS))
    asked = parser.parse_args(list(arguments))
    for period in asked.periods.split(","):
        begin, end = PERIODS[period]
        print(f"\n{period}: of {PLANTED} splits named the same evening,", end=" ", flush=True)
        splits(begin, end)
        tables: dict[str, dict[str, pd.Series]] = {}
        for each in paying(series_until(f"{end}-12-31", ())):
            first = int(np.searchsorted(each.sessions, np.datetime64(f"{begin}-01-01")))
            if len(each) - first < 250 or each.inputs is None or each.inputs.dividends is None:
                continue
            both = {
                "with": losses(each, first),
                "without": losses(dataclasses.replace(each, inputs=None), first),
            }
            days = each.sessions[first : first + len(both["with"])]
            ahead = each.inputs.dividends.at(days, HORIZON) > 0
            for step in STEPS:
                for which, chosen in {
                    "ex-dividend": ahead[:, step - 1],
                    "all": np.ones(len(days), bool),
                }.items():
                    for name, table in both.items():
                        own = pd.Series(table[chosen, step - 1], pd.DatetimeIndex(days[chosen]))
                        tables.setdefault(f"{which}, {step}, {name}", {})[each.ticker] = own
        for step in STEPS:
            for which in ("ex-dividend", "all"):
                with_it, without = (
                    pd.DataFrame(tables[f"{which}, {step}, {name}"]) for name in ("with", "without")
                )
                count = int(without.notna().sum().sum())
                print(
                    f"  pinball {step}, {which} ({count} forecasts): {compared(with_it, without)}", flush=True
                )


if __name__ == "__main__":
    main(sys.argv[1:])
