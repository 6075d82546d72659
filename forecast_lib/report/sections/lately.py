"""The one picture of a ticker: its closes over the bands that had been forecast for them, then the fan of
tonight's forecast.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from forecast_lib.report.drawing import Drawing
from forecast_lib.report.frames import BANDS, PAST_BANDS, Closes, Past, Record, day_of
from forecast_lib.report.plots import ForecastPath, PastBands, draw_forecast
from forecast_lib.report.sections.tickers import TickerState

__all__ = ["CARD", "LARGE", "Picture", "Size", "chosen", "forecast_path", "past_bands", "pictures"]

_CARDS = 24
"""Drawings on the first page; every ticker has its own on its page."""


class Size(NamedTuple):
    """Of a drawing: the last closes that it shows, and its lengths."""

    closes: int
    width: int
    height: int


CARD, LARGE = Size(60, 360, 190), Size(250, 1080, 340)


@dataclass(frozen=True)
class Picture:
    """One ticker's drawing with what its caption says."""

    state: TickerState
    currency: str | None
    last_close: float
    last_session: dt.date
    drawing: Drawing


def chosen(states: Sequence[TickerState], missed: Sequence[str]) -> tuple[TickerState, ...]:
    """The tickers that are drawn on the first page: all of few; of many first those that are not fresh or
    that surprised, by name.

    Args:
        missed: tickers whose last close came outside the 95 % interval.
    """
    surprised = {*missed}
    ordered = sorted(states, key=lambda state: state.status == "fresh" and state.ticker not in surprised)
    return tuple(sorted(ordered[:_CARDS], key=lambda state: state.ticker))


def pictures(
    state: TickerState,
    closes: Closes,
    steps: Sequence[Record],
    past: Mapping[int, Past],
    sizes: Sequence[Size],
    *,
    simulated: bool,
) -> tuple[Picture, ...]:
    """The drawing of the last closes in each of the sizes; none where there are neither closes nor a
    forecast.
    """
    path = forecast_path(steps) if steps else None
    if path:
        closes = closes[: closes.sessions.searchsorted(np.datetime64(path.cutoff), "right")]
    elif not closes:
        return ()
    last_session, last_close = (
        (path.cutoff, path.last_close) if path else (closes.sessions[-1].item(), closes.prices[-1].item())
    )
    title = _title(state.ticker, last_session, path, simulated)
    said = past_bands(past[1], closes) if 1 in past else None
    currency = steps[0].get("currency") if steps else None
    made = []
    for size in sizes:
        left_out = max(len(closes) - size.closes, 0)
        drawing = draw_forecast(
            title,
            closes.sessions[left_out:],
            closes.prices[left_out:],
            path,
            said and said.without(left_out),
            width=size.width,
            height=size.height,
        )
        made.append(Picture(state, currency, last_close, last_session, drawing))
    return tuple(made)


def past_bands(past: Past, closes: Closes) -> PastBands:
    """The intervals of earlier forecasts whose close came, on the share basis of `closes`.

    A split since then is undone by the close itself: it is known on both bases.
    """
    sessions = past.sessions[past.known]
    at = closes.sessions.searchsorted(sessions)
    there = at < closes.sessions.searchsorted(sessions, "right")
    at, came = at[there], past.known[there]
    basis = closes.prices[at] / past.actual[came]
    return PastBands(at, tuple(percent for percent, *_ in PAST_BANDS), past.bounds[:, :, came] * basis)


def forecast_path(steps: Sequence[Record]) -> ForecastPath:
    """The forecast of one ticker as it is drawn; its rows by step."""

    def of_each(name: str) -> tuple[float, ...]:
        return tuple([row[name] for row in steps])

    return ForecastPath(
        cutoff=day_of(steps[0]["cutoff"]) or dt.date.min,
        last_close=steps[0]["last_close"],
        targets=tuple(day_of(row["target_session"]) or dt.date.min for row in steps),
        median=of_each("q50"),
        bands=tuple((percent, of_each(low), of_each(high)) for percent, low, high in BANDS),
    )


def _title(ticker: str, last_session: dt.date, path: ForecastPath | None, simulated: bool) -> str:
    kind = "simulated closes" if simulated else "closes"
    if path is None:
        return f"{ticker}: {kind} up to {last_session}, no forecast"
    low, high = next((low[-1], high[-1]) for percent, low, high in path.bands if percent == 80)
    return (
        f"{ticker}: {kind} up to {last_session} over what had been forecast for them, then the forecast to"
        f" {path.targets[-1]}: median {path.median[-1]:,.6g}, 80 % interval {low:,.6g} to {high:,.6g}"
    )
