"""What a notebook uses: a workspace's tables and pictures, and the engine on a data frame of one's own.

Frames in the long layout of Nixtla's libraries go in and come out: `unique_id`, `ds`, `y`, and for a model
called `har` the columns `har` (the point), `har-lo-80`, `har-hi-80`, `har-lo-95`, `har-hi-95` (the bounds of
its central intervals).
"""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from forecast_lib.backtest.metrics import inside
from forecast_lib.distribution import pinball
from forecast_lib.domain import QUANTILES, parse_tickers, quantile_column
from forecast_lib.errors import UsageError
from forecast_lib.forecast import COMBINED, Forecasts, combined_forecast, forecast_with_baseline
from forecast_lib.models.baselines import BASELINES
from forecast_lib.report import picture_of
from forecast_lib.store.published import reader
from forecast_lib.windows.series import Array, TickerSeries, series_of

__all__ = ["QUANTILES", "Picture", "Workspace", "backtest_long", "forecast_long", "score_long"]

LEVELS = (50, 80, 90, 95, 98, 99)
"""Per cent of the central intervals in long frames."""
MEASURE = "garch"
Forecaster = Callable[[Array, int], Array]
"""Closes up to the cutoff, oldest first, and the horizon -> (horizon, len(QUANTILES)) prices, ascending by
`QUANTILES`.
"""

_CLOSES = "(SELECT ticker, session, split_adjusted_close AS close FROM adjusted_prices)"
_LONG = ("unique_id", "ds", "y")
_FEWEST = 30


@dataclass(frozen=True)
class Picture:
    """An inline SVG; a notebook shows it by itself. `save` writes it as a page of its own."""

    title: str
    page: str

    def _repr_html_(self) -> str:
        size = 'width="100%" height="440" style="border:0"'
        return f'<iframe srcdoc="{html.escape(self.page)}" title="{html.escape(self.title)}" {size}></iframe>'

    def save(self, path: str | Path) -> Path:
        """Write the picture as an HTML file that needs nothing else."""
        Path(path).write_text(self.page, encoding="utf-8")
        return Path(path)


class Workspace:
    """The published tables of a workspace, as pandas frames. Each call sees the newest publication.

    Args:
        where: a workspace's folder, or a published file or snapshot itself.

    Raises:
        UsageError: nothing is published there.
    """

    def __init__(self, where: str | Path = "workspace") -> None:
        self.where = Path(where).expanduser()
        with reader.open_published(self.where):
            pass

    def sql(self, query: str) -> pd.DataFrame:
        """The answer to one SELECT on the published tables; `tickercast tables` lists them."""
        return reader.query(self.where, query)

    def forecasts(self, *tickers: str) -> pd.DataFrame:
        """`latest_forecasts`: the newest run's forecasts, one row a ticker and step; of all tickers where
        none is named.
        """
        return self._of("latest_forecasts", tickers, "ticker, step")

    def history(self, *tickers: str) -> pd.DataFrame:
        """Every forecast that counts, with its evening and, once it is known, what came:
        `forecast_history`.
        """
        return self._of(
            "(SELECT * FROM forecast_history WHERE NOT superseded)", tickers, "ticker, step, target_session"
        )

    def prices(self, *tickers: str, known_at: str | None = None) -> pd.DataFrame:
        """Prices, the newest revision, or as they were known at an instant (UTC where it has no offset)."""
        if known_at is None:
            return self._of("current_prices", tickers, "ticker, session")
        instant = pd.Timestamp(known_at)
        moment = instant.tz_localize("UTC") if instant.tz is None else instant.tz_convert("UTC")
        return self._of(
            f"prices_as_of(TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S.%f}')", tickers, "ticker, session"
        )

    def backtests(self, *tickers: str) -> pd.DataFrame:
        """Scores of the newest backtest by ticker, model and step: `latest_backtest_scores`; `*` is all
        tickers together.
        """
        return self._of("latest_backtest_scores", tickers, "ticker, model, step")

    def long(self, *tickers: str) -> pd.DataFrame:
        """The newest forecasts in the long layout, as the model `tickercast`."""
        return _as_long(self.forecasts(*tickers), "tickercast")

    def plot(self, ticker: str) -> Picture:
        """The ticker's closes over what had been forecast for them, and the fan of the newest forecast."""
        (name,) = parse_tickers([ticker])
        closes = self._of(_CLOSES, [name], "ticker, session").tail(250)
        page = picture_of(name, closes, self.history(name), self.forecasts(name))
        return Picture(f"{name}: forecasts and what came", page)

    def _of(self, table: str, tickers: Sequence[str], order: str) -> pd.DataFrame:
        names = parse_tickers(name for name in tickers if name != "*") + (("*",) if "*" in tickers else ())
        quoted = ", ".join(
            f"'{name}'" for name in names
        )  # one strict pattern lets only A-Z 0-9 . - = ^ through
        asked = f" WHERE ticker IN ({quoted})" if names else ""
        return reader.query(self.where, f"SELECT * FROM {table}{asked} ORDER BY {order}")


def _as_long(rows: pd.DataFrame, model: str) -> pd.DataFrame:
    """Rows with `ticker`, `target_session`, `point` and the quantiles, in the long layout."""
    bounds: dict[str, pd.Series] = {}
    for level in LEVELS:
        low, high = (quantile_column(round(0.5 + side * level / 200, 4)) for side in (-1, 1))
        bounds |= {f"{model}-lo-{level}": rows[low], f"{model}-hi-{level}": rows[high]}
    return pd.DataFrame(
        {"unique_id": rows["ticker"], "ds": rows["target_session"], model: rows["point"], **bounds}
    )


def _series(frame: pd.DataFrame) -> dict[str, TickerSeries]:
    """Each series of a long frame; `open`, `high`, `low` and `volume` may be there beside `y`.

    Raises:
        UsageError: a column is missing, a date comes twice, a value is no positive number.
    """
    if missing := [name for name in _LONG if name not in frame.columns]:
        came = ", ".join(map(str, frame.columns))
        raise UsageError(
            f"the frame has no column {', '.join(missing)}: expected unique_id, ds and y, came {came}"
        )
    found = {}
    for name, rows in frame.groupby("unique_id", sort=True):
        own = rows.assign(session=pd.to_datetime(rows["ds"])).sort_values("session")
        prices = pd.DataFrame({"session": own["session"], "close": own["y"].astype(float)})
        for column in ("open", "high", "low", "volume"):
            prices[column] = own[column].astype(float) if column in own else np.nan
        try:
            found[str(name)] = series_of(str(name), prices)
        except ValueError as error:
            raise UsageError(f"{error}; unique_id {name!r} of the frame") from error
        if len(found[str(name)]) < _FEWEST:
            raise UsageError(
                f"unique_id {name!r} has {len(found[str(name)])} rows: expected {_FEWEST} or more"
            )
    return found


def _made(model: str, series: TickerSeries, horizon: int) -> Forecasts:
    if model == COMBINED:
        return combined_forecast(None, series, horizon).forecasts
    return forecast_with_baseline(model, series, horizon, (len(series) - 1, len(series)))


def _refuse_unknown(model: str, known: Sequence[str]) -> None:
    if model not in known:
        expected = ", ".join(known)
        raise UsageError(
            f"model {model!r} is not known here: expected one of {expected}; `tickercast nightly` trains"
            " networks"
        )


def _coming(series: TickerSeries, horizon: int) -> pd.DatetimeIndex:
    """The days after the last one: every day where weekends are among the last ones, weekdays otherwise."""
    lately = pd.DatetimeIndex(series.sessions[-30:])
    every_day = (lately.dayofweek >= 5).any()
    first = lately[-1] + pd.Timedelta(days=1)
    return pd.date_range(first, periods=horizon, freq="D" if every_day else "B")


def forecast_long(frame: pd.DataFrame, *, horizon: int = 5, model: str = COMBINED) -> pd.DataFrame:
    """Forecasts from the end of each series, by our baselines together or by one of them, calibrated by the
    series' own past.

    Args:
        frame: `unique_id`, `ds`, `y` (closes) and, where they are known, `open`, `high`, `low`, `volume`.
        horizon: steps ahead.
        model: combined (har, ewma and naive, weighed by their losses), naive, drift, ar1, ewma, garch, har,
            ets or empirical. `har`
            looks at ranges, so give it `high` and `low`.

    Returns:
        `unique_id`, `ds`, the point and the bounds of the central intervals, in the long layout.

    Raises:
        UsageError: the frame or the model is not as expected; says which.
    """
    _refuse_unknown(model, (COMBINED, *BASELINES))
    parts = []
    for name, series in _series(frame).items():
        made = _made(model, series, horizon)
        rows = pd.DataFrame(made.quantiles[0], columns=[quantile_column(level) for level in QUANTILES])
        rows = rows.assign(ticker=name, target_session=_coming(series, horizon), point=made.point[0])
        parts.append(_as_long(rows, model))
    return pd.concat(parts, ignore_index=True)


def score_long(frame: pd.DataFrame, model: str) -> pd.DataFrame:
    """How often a model's central intervals held, whoever made them: rows with `y` and columns `MODEL-lo-80`,
    `MODEL-hi-80` and so on.

    Returns:
        One row a level: `level` in per cent, `n`, `held` (the share inside, borders included) and `winkler`,
            the Winkler score divided by the mean of `y` of the series, lower is better.

    Raises:
        UsageError: `y` or the model's columns are missing.
    """
    levels = sorted(
        float(name.rpartition("-")[2]) for name in map(str, frame.columns) if name.startswith(f"{model}-lo-")
    )
    if "y" not in frame or not levels:
        raise UsageError(
            f"the frame has no y, or no column {model}-lo-80 or the like: came"
            f" {', '.join(map(str, frame.columns))}"
        )
    known = frame.dropna(subset=["y"])
    unit = known.groupby("unique_id")["y"].transform("mean")
    rows = []
    for level in levels:
        low, high = (known[f"{model}-{side}-{level:g}"] for side in ("lo", "hi"))
        miss = (low - known["y"]).clip(lower=0) + (known["y"] - high).clip(lower=0)
        loss = ((high - low) + 2 / (1 - level / 100) * miss) / unit
        rows.append(
            {
                "level": level,
                "n": len(known),
                "held": float(known["y"].between(low, high).mean()),
                "winkler": float(loss.mean()),
            }
        )
    return pd.DataFrame(rows)


def backtest_long(
    frame: pd.DataFrame,
    own: Mapping[str, Forecaster],
    *,
    horizon: int = 1,
    sessions: int = 250,
    beside: Sequence[str] = ("garch", "har", "naive"),
) -> pd.DataFrame:
    """Models of one's own against our baselines: a forecast from each of the last cutoffs, each from what was
    known there, and what came.

    A model of one's own is a function of the closes up to the cutoff; it never sees a later one.

    Args:
        frame: as for `forecast_long`.
        own: by name, functions that answer (horizon, len(QUANTILES)) prices, ascending.
        horizon: steps ahead that are scored.
        sessions: cutoffs at the end of each series, the last of them `horizon` before its end.
        beside: our baselines to compare with.

    Returns:
        One row a model and step, the best first: `n`, `pinball_per_garch` (mean pinball loss divided by that
            of GARCH(1,1)-t, geometric mean over the series; below 1 is better), `held80`, `held95`.

    Raises:
        UsageError: the frame is not as expected, a series is too short, or a model answered something else.
    """
    for name in beside:
        _refuse_unknown(name, BASELINES)
    losses = []
    for unique_id, series in _series(frame).items():
        cutoffs = (len(series) - horizon - sessions, len(series) - horizon)
        if cutoffs[0] < _FEWEST:
            needed = sessions + horizon + _FEWEST
            raise UsageError(
                f"unique_id {unique_id!r} has {len(series)} rows: expected {needed} or more, or fewer"
                " sessions"
            )
        actual = np.lib.stride_tricks.sliding_window_view(series.close, horizon)[
            cutoffs[0] + 1 : cutoffs[1] + 1
        ]
        made: dict[str, Array] = {
            name: forecast_with_baseline(name, series, horizon, cutoffs).quantiles
            for name in dict.fromkeys([*beside, MEASURE])
        }
        made |= {name: _asked(name, model, series, cutoffs, horizon) for name, model in own.items()}
        losses += [_losses(unique_id, name, actual, quantiles) for name, quantiles in made.items()]
    return _summed_up(pd.concat(losses, ignore_index=True), [*own, *beside])


def _asked(
    name: str, model: Forecaster, series: TickerSeries, cutoffs: tuple[int, int], horizon: int
) -> Array:
    answers = []
    for cutoff in range(*cutoffs):
        answer = np.asarray(model(series.close[: cutoff + 1].copy(), horizon), float)
        if (
            answer.shape != (horizon, len(QUANTILES))
            or not np.isfinite(answer).all()
            or (np.diff(answer, axis=1) < 0).any()
        ):
            raise UsageError(
                f"model {name!r} answered an array of shape {answer.shape} for {series.ticker}: expected"
                f" {(horizon, len(QUANTILES))}, finite and ascending along the quantiles"
            )
        answers.append(answer)
    return np.stack(answers)


def _losses(unique_id: str, model: str, actual: Array, quantiles: Array) -> pd.DataFrame:
    steps = np.broadcast_to(np.arange(1, actual.shape[1] + 1), actual.shape)
    held = {f"held{level}": inside(actual, quantiles, level / 100) for level in (80, 95)}
    values = {"step": steps, "loss": pinball(actual, quantiles), **held}
    return pd.DataFrame(
        {"unique_id": unique_id, "model": model, **{name: array.ravel() for name, array in values.items()}}
    )


def _summed_up(losses: pd.DataFrame, shown: Sequence[str]) -> pd.DataFrame:
    means = losses.groupby(["model", "step", "unique_id"])["loss"].mean().unstack("model")
    ratios = (
        np.exp(np.log(means.div(means[MEASURE], axis=0)).groupby("step").mean())
        .stack()
        .rename("pinball_per_garch")
    )
    held = losses.groupby(["model", "step"]).agg(
        n=("loss", "size"), held80=("held80", "mean"), held95=("held95", "mean")
    )
    found = held.join(ratios).reset_index()
    found = found[found["model"].isin(shown)].sort_values(["step", "pinball_per_garch"], ignore_index=True)
    return found[["model", "step", "n", "pinball_per_garch", "held80", "held95"]]
