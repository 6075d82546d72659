"""Evenings of the simulated market, made in this process and without Prefect, for notebooks to read."""

import datetime as dt
from pathlib import Path

from flows.settings.layers import gather
from flows.settings.run_config import resolve
from forecast_lib.sessions import TickerCalendar
from tests import plain_runs

__all__ = ["NETWORK", "NEW_YORK", "TRAINING", "make"]

NEW_YORK = TickerCalendar("XNYS")
NETWORK = {"variant": "lstm", "units": 4, "lookback": 10, "horizon": 5}
TRAINING = {"epochs": 1}
_LAST = dt.date(2012, 5, 4)


def make(workspace: Path, count: int, tickers: int) -> None:
    """A night for SIM1, SIM2, ... on each of the last evenings up to 4 May 2012, all trained on the first."""
    for session in NEW_YORK.sessions(_LAST - dt.timedelta(days=60), _LAST)[-count:]:
        given = {"source": "simulated", "tickers": ",".join(f"SIM{number + 1}" for number in range(tickers))}
        settings = {
            "model": NETWORK["variant"],
            **{name: str(NETWORK[name]) for name in ("units", "lookback", "horizon")},
            "epochs": "1",
        }
        evening = dt.datetime.combine(session.date(), dt.time(22, 30), dt.UTC)
        config = resolve(
            gather(
                {**given, **settings, "workspace": str(workspace), "as_of": str(session.date())}, environ={}
            ),
            now=evening,
        )
        with plain_runs.without_pages():  # they have tests of their own, and take their time
            plain_runs.night(config)
