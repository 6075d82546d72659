"""One ticker at a time: a source asked for it, and its made-up rows put through the checks."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast_lib.domain import AsOf, Ticker
from forecast_lib.prices.checks import Before, Checked, Hold, check, nothing_before
from forecast_lib.prices.source import ACTION_COLUMNS, REFUSED_COLUMNS, VALUES, Offered, PriceSource, Told
from forecast_lib.sessions import TickerCalendar
from forecast_lib.windows.histories import Histories

__all__ = [
    "RAW_COLUMNS",
    "OfferedTicker",
    "One",
    "ask",
    "before",
    "offered",
    "one",
    "part_of",
    "split_adjusted",
]

FAR = dt.date(2030, 1, 1)
RAW_COLUMNS = ("session", *VALUES, "origin")


@dataclass(frozen=True)
class OfferedTicker:
    """One ticker's part of an answer: prices as RAW_COLUMNS, actions as ACTION_COLUMNS, refused rows as
    REFUSED_COLUMNS.
    """

    prices: pd.DataFrame
    actions: pd.DataFrame
    refused: pd.DataFrame
    currency: str | None
    told: Told


def part_of(answer: Offered, ticker: str) -> OfferedTicker:
    """One ticker's part, as frames; raises its problem."""
    told = answer.told[Ticker(ticker)]
    if told.problem is not None:
        raise told.problem
    place = answer.rows.tickers.index(ticker)
    low, high = answer.rows.bounds()[place : place + 2].tolist()
    rows = answer.rows.rows(slice(low, high))
    figures = {name: rows.figures[name].copy() for name in VALUES}
    origins = pd.array(list(answer.origins(np.arange(low, high))), dtype="str")
    prices = pd.DataFrame({"session": rows.sessions.astype("datetime64[us]"), **figures, "origin": origins})
    actions, refused = (
        frame.loc[frame["ticker"] == ticker, list(columns)].reset_index(drop=True)
        for frame, columns in ((answer.actions, ACTION_COLUMNS), (answer.refused, REFUSED_COLUMNS))
    )
    codes = rows.currency[rows.currency >= 0]
    return OfferedTicker(prices, actions, refused, rows.currencies[codes[-1]] if len(codes) else None, told)


def ask(source: PriceSource, ticker: str, first: dt.date | None = None, last: dt.date = FAR) -> OfferedTicker:
    """What a source says of one ticker; raises what stands in the way."""
    return part_of(source.fetch({Ticker(ticker): first}, last), ticker)


def split_adjusted(prices: pd.DataFrame, actions: pd.DataFrame) -> pd.DataFrame:
    """Prices on the share basis of the newest split, from their definition: divided by every later split,
    volumes times it.
    """
    splits = actions[actions["kind"] == "split"]
    days, ratios = splits["session"].to_numpy(), splits["value"].to_numpy()
    shares = np.array([ratios[days > session].prod() for session in prices["session"].to_numpy()])
    divided = {name: prices[name] / shares for name in ("open", "high", "low", "close") if name in prices}
    return prices.assign(**divided, **({"volume": prices["volume"] * shares} if "volume" in prices else {}))


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
