"""Models of one's own beside ours over the same past cutoffs: each answers from what was known there."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import pandas as pd

from forecast_lib.api.forecasting import refuse_unknown
from forecast_lib.api.frames import like
from forecast_lib.api.long import OURS, long_columns
from forecast_lib.api.panel import frame_of, market_of, series_in
from forecast_lib.backtest.rows import backtest_rows
from forecast_lib.backtest.splits import Fold, fold_days, folds_of, known_at
from forecast_lib.config import BacktestConfig, ModelConfig, TrainConfig
from forecast_lib.domain import QUANTILES
from forecast_lib.errors import TooFewSessions, UsageError
from forecast_lib.forecast import COMBINED, Forecasts, forecast_with_baseline
from forecast_lib.jobs.evaluate.backtests import backtest_pool
from forecast_lib.models.baselines import BASELINES
from forecast_lib.windows.features import session_features
from forecast_lib.windows.series import Array, TickerSeries

__all__ = ["Forecaster", "Trainable", "backtest_long"]

Forecaster = Callable[[TickerSeries, int], Array]
"""A series up to its cutoff and the horizon -> (horizon, len(QUANTILES)) prices.

The series has `sessions`, `open`, `high`, `low`, `close` and `volume`, oldest first.
"""
_MEDIAN = QUANTILES.index(0.5)
_MARKS = ["ticker", "cutoff", "step"]


class Trainable(Protocol):
    """A model that learns first: from the long frame as known at a fold's first cutoff."""

    def fit(self, known: Any, /) -> Forecaster:
        """What has learned from it, and forecasts from then on."""


def backtest_long(
    frame: Any,
    own: Mapping[str, Forecaster | Trainable] = MappingProxyType({}),
    *,
    beside: Sequence[str] = (OURS, "garch", "har", "naive"),
    model: ModelConfig = ModelConfig(),
    training: TrainConfig = TrainConfig(),
    config: BacktestConfig = BacktestConfig(),
    seed: int = 0,
) -> Any:
    """Forecasts of the last part of every series by models of one's own and by ours, beside what came.

    Nobody sees beyond a cutoff: a function gets the series up to it, a `Trainable` and our networks learn
    from what was known at the first cutoff of each fold.

    Args:
        frame: as for `train_long`.
        own: by name, functions that answer (horizon, len(QUANTILES)) prices, ascending by `QUANTILES`, or
            objects with `fit`.
        beside: ours: `tickercast` (networks and baselines together, as a night answers), the network alone by
            the name of its variant, and baselines. Networks are trained only where one of these names asks
            for them.
        model: our network; its `horizon` holds for all.
        training: how much our networks are trained.
        config: which part is tested (the last fifth), in how many folds.
        seed: of our networks.

    Returns:
        `unique_id`, `ds`, `cutoff`, `y` and each model's columns, a frame of the kind of `frame`;
        `score_long` sums it up.

    Raises:
        UsageError: the frame or a name is not as expected, a series is too short, or a model answered
            something else.
    """
    for name in beside:
        refuse_unknown(name, (OURS, model.variant, *BASELINES))
    if doubles := sorted({*own} & {OURS, COMBINED, model.variant, *BASELINES}):
        raise UsageError(f"model {doubles[0]!r} is one of ours: give yours another name")
    if not own and not beside:
        raise UsageError(
            "there is nothing to test: expected a model of your own, or the name of one of ours in beside"
        )
    if config.arms:
        raise UsageError(
            f"arms {','.join(config.arms)} are for tickercast backtest: expected a config without them"
        )
    named = series_in(frame)
    market = market_of(named, model, training)
    tested = [market.series[each.ticker] for each in named.values()]
    try:
        folds = {each.ticker: folds_of(each, config) for each in tested}
        rows = _ours(tested, folds, beside, model, training, config, seed)
    except TooFewSessions as error:
        raise UsageError(f"{error}; give a longer history, or a smaller test_share") from error
    for name, each in own.items():
        rows += _own(name, each, named, tested, folds, model.horizon, config, frame)
    return like(_wide(pd.concat(rows, ignore_index=True), named, [*own, *beside]), frame)


def _ours(
    tested: Sequence[TickerSeries],
    folds: Mapping[str, tuple[Fold, ...]],
    beside: Sequence[str],
    model: ModelConfig,
    training: TrainConfig,
    config: BacktestConfig,
    seed: int,
) -> list[pd.DataFrame]:
    baselines = [name for name in beside if name in BASELINES]
    if {OURS, model.variant} & {*beside}:
        results = backtest_pool(tested, (model,), training, config, seed=seed, baselines=baselines)
        if not any(split["trained"] for result in results for split in result.splits):
            raise UsageError(
                f"no network could be trained: {results[0].splits[0]['reason']}; leave {OURS} out of beside"
            )
        ours = [result.forecasts["model"].cat.rename_categories({COMBINED: OURS}) for result in results]
        return [each.forecasts.assign(model=model) for each, model in zip(results, ours, strict=True)]
    rows = []
    for each in tested:
        span = _span(folds[each.ticker])
        rows += [
            _rows(name, forecast_with_baseline(name, each, model.horizon, span), each) for name in baselines
        ]
    return rows


def _span(folds: Sequence[Fold]) -> tuple[int, int]:
    return folds[0].cutoffs[0], folds[-1].cutoffs[1]


def _rows(name: str, made: Forecasts, series: TickerSeries) -> pd.DataFrame:
    return backtest_rows([(name, made)], series, session_features(series))


def _own(
    name: str,
    model: Forecaster | Trainable,
    named: Mapping[Hashable, TickerSeries],
    tested: Sequence[TickerSeries],
    folds: Mapping[str, tuple[Fold, ...]],
    horizon: int,
    config: BacktestConfig,
    frame: Any,
) -> list[pd.DataFrame]:
    """The rows of a model of one's own: fold by fold, each series cutoff by cutoff."""
    answers: dict[str, list[Array]] = {series.ticker: [] for series in tested}
    for place, day in enumerate(fold_days(tested, config)):
        forecaster = model.fit(like(_known(named, day, config), frame)) if hasattr(model, "fit") else model
        if not callable(forecaster):
            came = type(forecaster).__name__
            raise UsageError(
                f"model {name!r} is no function, nor is what its fit returned: expected one, came {came}"
            )
        for series in tested:
            own = folds[series.ticker][place].cutoffs
            answers[series.ticker] += [
                _answer(name, forecaster, series, cutoff, horizon) for cutoff in range(*own)
            ]
    return [
        _rows(name, _as_forecasts(np.stack(answers[each.ticker]), _span(folds[each.ticker])), each)
        for each in tested
    ]


def _known(
    named: Mapping[Hashable, TickerSeries], day: np.datetime64, config: BacktestConfig
) -> pd.DataFrame:
    """What the evening of the day knows of each series that has begun by then."""
    counts = {name: int(np.searchsorted(each.sessions, day, side="right")) for name, each in named.items()}
    return frame_of(
        {name: known_at(each, counts[name], config)[0] for name, each in named.items() if counts[name]}
    )


def _answer(name: str, forecaster: Any, series: TickerSeries, cutoff: int, horizon: int) -> Array:
    answer = np.asarray(forecaster(_copied(series, cutoff), horizon), float)
    if (
        answer.shape != (horizon, len(QUANTILES))
        or not np.isfinite(answer).all()
        or (np.diff(answer, axis=1) < 0).any()
    ):
        raise UsageError(
            f"model {name!r} answered an array of shape {answer.shape} for {series.ticker}:"
            f" expected {(horizon, len(QUANTILES))}, finite and ascending along the quantiles"
        )
    return answer


def _copied(series: TickerSeries, cutoff: int) -> TickerSeries:
    """The series up to the cutoff; its own arrays lead to no later session, and may be written to."""
    columns = {
        name: getattr(series, name)[: cutoff + 1].copy()
        for name in ("sessions", "open", "high", "low", "close", "volume")
    }
    return TickerSeries(series.ticker, **columns)


def _as_forecasts(quantiles: Array, cutoffs: tuple[int, int]) -> Forecasts:
    point = quantiles[..., _MEDIAN]
    return Forecasts(np.arange(*cutoffs), point, np.full_like(point, np.nan), quantiles)


def _wide(rows: pd.DataFrame, named: Mapping[Hashable, TickerSeries], shown: Sequence[str]) -> pd.DataFrame:
    """One row a series, cutoff and step, a few columns a model."""
    by_model = dict(iter(rows.set_index(_MARKS).groupby("model")))
    keys = rows.drop_duplicates(_MARKS).sort_values(_MARKS).set_index(_MARKS)
    columns: dict[str, Any] = {}
    for name in shown:
        own = (
            by_model[name].reindex(keys.index)
            if name in by_model
            else pd.DataFrame(index=keys.index, columns=keys.columns, dtype=float)
        )
        columns |= long_columns(name, own["point"], own)
    ids = {each.ticker: name for name, each in named.items()}
    marks = {
        "unique_id": [ids[ticker] for ticker in keys.index.get_level_values("ticker")],
        "ds": keys["target_session"].to_numpy(),
        "cutoff": keys.index.get_level_values("cutoff").to_numpy(),
        "y": keys["actual"].to_numpy(),
    }
    return pd.DataFrame({**marks, **{name: column.to_numpy() for name, column in columns.items()}})
