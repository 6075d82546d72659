"""What a backtest makes of a ticker, and what its pooled networks may learn from.

Beside each network stand the baselines, and `combined`: what the night would have published. Where arms are
replayed, each arm's model is what the network would have said on its nights.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from forecast_lib.backtest.panels import NO_LOSSES, Losses
from forecast_lib.backtest.splits import known_at
from forecast_lib.config import BacktestConfig, ModelConfig, TrainConfig
from forecast_lib.models.training import poolable
from forecast_lib.windows.series import TickerSeries

__all__ = ["TickerBacktest", "fold_pool_series"]


@dataclass(frozen=True)
class TickerBacktest:
    """One ticker's part of a backtest.

    Attributes:
        forecasts: columns of `backtest_forecasts` without the id.
        scores: columns of `backtest_scores` without the id.
        losses: what the averages over all tickers are made of.
        splits: for each fold, or for each night of an arm that something was decided at: sessions known,
            first and last cutoff, whether a model was trained, whether it was better than the one before, and
            why there is none.
        trained_by: what did the arithmetic of its models' training, in words.
    """

    ticker: str
    forecasts: pd.DataFrame
    scores: pd.DataFrame
    losses: Losses = NO_LOSSES
    splits: list[dict[str, object]] = field(default_factory=list)
    trained_by: frozenset[str] = frozenset()


def fold_pool_series(
    series: Sequence[TickerSeries],
    day: np.datetime64,
    model: ModelConfig,
    train_config: TrainConfig,
    config: BacktestConfig,
) -> list[TickerSeries]:
    """What the pooled networks of that day learn from: each ticker's history up to it, where it is long
    enough.
    """
    known = [
        known_at(each, int(np.searchsorted(each.sessions, day, side="right")), config)[0] for each in series
    ]
    return [each for each in known if poolable(each, model, train_config)]
