"""The run's log: one line a ticker a stage, as `key=value` pairs that a person reads and a program splits.

run_id=20240502-1a2b3c4d stage=models ticker=SIM1 status=retrain seconds=1.250 reason=no_model
"""

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd

from forecast_lib.backtest.run import TickerBacktest
from forecast_lib.jobs.ingest.new_prices import Market, Problem
from forecast_lib.jobs.refresh.models import Refreshed

__all__ = ["line_of", "lines_of_prices", "lines_of_statuses", "log_line"]


def log_line(**fields: Any) -> str:
    """The fields in their order, without those that are None; text with anything but plain characters in
    quotes, on one line.

    >>> log_line(stage="ingest", ticker="SIM1", seconds=0.5, reason='no "close"', note=None)
    'stage=ingest ticker=SIM1 seconds=0.500 reason="no \\\\"close\\\\""'
    """
    return " ".join(f"{name}={_value(value)}" for name, value in fields.items() if value is not None)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    text = str(value)
    plain = text and text.isascii() and text.isprintable() and not set(text) & set(' ="\\')
    return text if plain else json.dumps(text)


def line_of(run_id: str, stage: str, item: object) -> str | None:
    """What a stage made of one ticker: a model, or a backtest; None of what belongs to no ticker."""
    fields = _fields(item)
    return log_line(run_id=run_id, stage=stage, **fields) if fields else None


def lines_of_prices(run_id: str, market: Market) -> Iterator[str]:
    """What came of each ticker's prices."""
    for ticker in sorted({*market.calendars, *market.problems}):
        problem = market.problems.get(ticker)
        counts = {"rows": market.rows_new.get(ticker, 0), "refused": market.rows_refused.get(ticker, 0)}
        status = problem.rule if problem else "ok"
        yield log_line(run_id=run_id, stage="ingest", ticker=ticker, status=status, **counts, **_why(problem))


def lines_of_statuses(run_id: str, run_tickers: pd.DataFrame) -> Iterator[str]:
    """What came of each ticker in the end."""
    told = run_tickers[["ticker", "status", "made_by", "reason"]]
    for ticker, status, *more in told.itertuples(index=False, name=None):
        model, reason = (None if pd.isna(each) else each for each in more)
        yield log_line(
            run_id=run_id, stage="outcome", ticker=ticker, status=status, model=model, reason=reason
        )


def _fields(item: object) -> dict[str, Any]:
    if isinstance(item, Refreshed):
        trigger = {"reason": item.decision.trigger} if item.problem is None else _why(item.problem)
        return {"ticker": item.ticker, "status": item.decision.action, "seconds": item.seconds, **trigger}
    if isinstance(item, TickerBacktest):
        return {"ticker": item.ticker, "status": "ok", "seconds": _network_seconds(item)}
    match item:
        case (str(ticker), Problem() as problem):  # a backtest that could not be
            return {"ticker": ticker, "status": problem.rule, **_why(problem)}
    return {}


def _why(problem: Problem | None) -> dict[str, str]:
    return {} if problem is None else {"reason": problem.reason}


def _network_seconds(tested: TickerBacktest) -> float:
    """Training and forecasting of every network: each row of a model carries its seconds."""
    return float(tested.scores.groupby("model")["seconds"].first().sum())
