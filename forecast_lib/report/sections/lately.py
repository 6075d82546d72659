"""The one picture of a ticker: its closes over the bands that had been forecast for them, then the fan of
tonight's forecast.
"""

import bisect
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forecast_lib.domain import quantile_column
from forecast_lib.report.frames import BANDS, Past, Record, day_of
from forecast_lib.report.plots import Drawing, ForecastPath, PastBands, draw_forecast
from forecast_lib.report.sections.tickers import Closes, TickerState

__all__ = ["CARD_CLOSES", "Picture", "chosen", "forecast_path", "past_bands", "picture"]

CARD_CLOSES = 60
"""Closes of a small drawing."""
_CARDS = 24
"""Drawings on the first page; every ticker has its own on its page."""


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


def picture(
    state: TickerState,
    closes: Closes,
    steps: Sequence[Record],
    past: Mapping[int, Past],
    *,
    simulated: bool,
    shown: int = CARD_CLOSES,
    width: int = 360,
    height: int = 190,
) -> Picture | None:
    """The drawing of the last closes; None where there are neither closes nor a forecast."""
    if not closes and not steps:
        return None
    path = forecast_path(steps) if steps else None
    end = bisect.bisect(closes, path.cutoff, key=lambda pair: pair[0]) if path else len(closes)
    known = closes[max(end - shown, 0) : end]
    last_session, last_close = (path.cutoff, path.last_close) if path else known[-1]
    title = _title(state.ticker, last_session, path, simulated)
    bands = past_bands(past.get(1), dict(known))
    drawing = draw_forecast(title, known, path, bands, width=width, height=height)
    return Picture(state, steps[0].get("currency") if steps else None, last_close, last_session, drawing)


def past_bands(past: Past | None, closes: Mapping[dt.date, float]) -> PastBands | None:
    """The 95 % and 80 % intervals of earlier forecasts whose close came, on the share basis of `closes`.

    A split since then is undone by the close itself: it is known on both bases.
    """
    if past is None:
        return None
    known = past.known.tolist()
    came = [(at, day) for at, day in enumerate(past.sessions.tolist()) if known[at] and day in closes]
    places = np.array([at for at, _ in came], int)
    basis = np.array([closes[day] for _, day in came]) / past.actual[places]
    bands = [
        (percent, past.quantiles[low][places] * basis, past.quantiles[high][places] * basis)
        for percent, low, high in BANDS[:2]
    ]
    return PastBands([day for _, day in came], bands)


def forecast_path(steps: Sequence[Record]) -> ForecastPath:
    """The forecast of one ticker as it is drawn."""
    steps = sorted(steps, key=lambda row: row["step"])

    def quantile(level: float) -> tuple[float, ...]:
        return tuple(row[quantile_column(level)] for row in steps)

    return ForecastPath(
        cutoff=day_of(steps[0]["cutoff"]) or dt.date.min,
        last_close=steps[0]["last_close"],
        targets=tuple(day_of(row["target_session"]) or dt.date.min for row in steps),
        median=quantile(0.5),
        bands=tuple((percent, quantile(low), quantile(high)) for percent, low, high in BANDS),
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
