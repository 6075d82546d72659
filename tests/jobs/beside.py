"""Evenings of two simulated tickers with covariates and events from files beside them."""

import datetime as dt
from pathlib import Path

from flows.settings.layers import gather, utc_now
from flows.settings.run_config import resolve
from forecast_lib.config import RunConfig
from forecast_lib.jobs import night
from forecast_lib.jobs.results import Night
from forecast_lib.jobs.stages import InOrder
from forecast_lib.sessions import TickerCalendar
from forecast_lib.store.working.store import Store
from tests import reading

SESSIONS = TickerCalendar("XNYS").sessions(dt.date(2024, 1, 2), dt.date(2024, 6, 28))
SMALL = {"units": "4", "lookback": "10", "horizon": "2", "epochs": "1", "test_share": "0.01"}


def day(place: int) -> str:
    return str(SESSIONS[place].date())


def config(folder: Path, place: int, minutes: int = 0, **given: str) -> RunConfig:
    """A run on the evening of one of SESSIONS."""
    now = dt.datetime.combine(SESSIONS[place].date(), dt.time(22, 30), dt.UTC) + dt.timedelta(minutes=minutes)
    same = {"workspace": str(folder / "workspace"), "as_of": day(place), "tickers": "SIM1,SIM2"}
    return resolve(gather({**same, **given}, environ={}), now=now)


def rows(folder: Path, sql: str) -> list[tuple]:
    return reading.published(folder / "workspace", sql)


def written(path: Path, header: str, *lines: str) -> str:
    path.write_text("\n".join([header, *lines]) + "\n")
    return str(path)


def values(folder: Path, *lines: str) -> str:
    return written(folder / "covariates.csv", "name,session,value", *lines)


def dates(folder: Path, *lines: str) -> str:
    return written(folder / "events.csv", "session,kind,ticker", *lines)


def made(config: RunConfig) -> Night:
    """A night that is not stored."""
    with Store(config.workspace, config.as_of.now) as store:
        return night.made(store, config, InOrder(config, utc_now))
