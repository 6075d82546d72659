"""What it is worth to know of dividends ahead: `python -m tests.bench dividends`.

Prices and dividends: those of `goals`, each dividend as if it had been announced in time, as those of large
companies mostly are. What answers where there is no network (`har`, `ewma` and `naive` combined) forecasts
every session of a period with and without them; the networks' forecasts are moved in the same way. Printed:
the pinball loss with to that without, geometric means over tickers, with how many tickers are better and the
p-value of the test of all tickers by date, of the forecasts that an ex-dividend day lies in, and of all.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence

import numpy as np
import pandas as pd

from forecast_lib.covariates.calendar import ALWAYS, NEVER
from forecast_lib.covariates.inputs import Dividends, Inputs
from forecast_lib.forecast import combined_at, relative_losses
from forecast_lib.store.parquet import read_parquet
from forecast_lib.windows.series import Array, TickerSeries
from tests.bench.covariates import ACTIONS, CALENDAR, STEPS, compared
from tests.bench.goals import series_until

HORIZON = 5
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


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--periods", default=",".join(PERIODS))
    asked = parser.parse_args(list(arguments))
    for period in asked.periods.split(","):
        begin, end = PERIODS[period]
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
        print(f"\n{period}", flush=True)
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
