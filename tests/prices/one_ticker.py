"""One ticker at a time: a source asked for it, and its made-up rows put through the checks."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast_lib.domain import AsOf, Ticker
from forecast_lib.prices.checks import Before, Checked, Hold, check, nothing_before
from forecast_lib.prices.source import VALUES, Offered, OfferedTicker, PriceSource, Told
from forecast_lib.sessions import TickerCalendar
from forecast_lib.windows.histories import Histories

__all__ = ["One", "ask", "before", "offered", "one"]

FAR = dt.date(2030, 1, 1)


def ask(source: PriceSource, ticker: str, first: dt.date | None = None, last: dt.date = FAR) -> OfferedTicker:
    """What a source says of one ticker; raises what stands in the way."""
    return source.fetch({Ticker(ticker): first}, last).of(Ticker(ticker))


def offered(
    ticker: str,
    prices: pd.DataFrame,
    actions: pd.DataFrame,
    *,
    currency: str | None = None,
    refused: pd.DataFrame | None = None,
    **told: Any,
) -> Offered:
    """An answer of RAW_COLUMNS and ACTION_COLUMNS."""
    origins = prices["origin"].to_numpy()
    figures = {name: prices[name].to_numpy(float) for name in VALUES}
    days = prices["session"].to_numpy("datetime64[D]")
    return Offered.of_one(
        Ticker(ticker),
        days,
        figures,
        actions,
        lambda at: list(origins[at]),
        currency=currency,
        refused=refused,
        told=Told(**told),
    )


def before(
    ticker: str,
    prices: pd.DataFrame | None,
    actions: pd.DataFrame | None = None,
    released: pd.DataFrame | None = None,
) -> Before:
    """What is stored of one ticker: rows with `session`, figures and maybe `currency`."""
    nothing = nothing_before((ticker,))
    rows = nothing.rows if prices is None else Histories.from_frame(prices.assign(ticker=ticker), (ticker,))
    known = nothing.actions if actions is None else actions.assign(ticker=ticker, source="files")
    mine = nothing.released if released is None else released.assign(ticker=ticker)
    return Before(rows, known, mine, nothing.verdicts)


@dataclass(frozen=True)
class One:
    """What the checks made of one ticker's answer; frames without the ticker."""

    checked: Checked
    good: pd.DataFrame
    quarantined: pd.DataFrame
    actions: pd.DataFrame
    findings: pd.DataFrame
    hold: Hold | None
    verdicts: list[str]
    rows: int


def one(
    answer: Offered,
    calendar: TickerCalendar,
    as_of: AsOf,
    known: Before | None = None,
    *,
    severities: Mapping[str, str] | None = None,
) -> One:
    """The checks over one ticker's answer."""
    (ticker,) = answer.rows.tickers
    more = {} if severities is None else {"severities": severities}
    result = check(answer, known or nothing_before((ticker,)), as_of, calendars={ticker: calendar}, **more)
    rows = result.good
    good = pd.DataFrame(
        {"session": rows.sessions.astype("datetime64[us]"), **{name: rows.figures[name] for name in VALUES}}
    )
    frames = [
        frame.drop(columns="ticker").reset_index(drop=True)
        for frame in (result.quarantined, result.actions, result.findings)
    ]
    verdicts = [each.verdict for each in result.judged.verdicts.get(ticker, ())]
    came = len(answer.rows) + len(answer.refused)
    assert np.isfinite(good["close"]).all()
    return One(result, good, *frames, result.holds.get(ticker), verdicts, came)
