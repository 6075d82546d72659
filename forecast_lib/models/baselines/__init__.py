"""The baselines that stand beside every figure, in the same form as a network's prediction: a centre and a
scale of the log return.

Each is causal: what it says at a cutoff comes from sessions up to it, and what it says at one cutoff does not
depend on which others are asked for. Some bring quantiles of their own; the intervals of the others are
calibrated like a network's.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from forecast_lib.models.baselines.autoregression import ar1
from forecast_lib.models.baselines.garch_t import garch
from forecast_lib.models.baselines.har_ranges import har
from forecast_lib.models.baselines.historical import empirical
from forecast_lib.models.baselines.prediction import Prediction
from forecast_lib.models.baselines.random_walk import drift, naive
from forecast_lib.models.baselines.riskmetrics import ewma
from forecast_lib.models.baselines.smoothing import ets
from forecast_lib.windows.features import SessionFeatures

__all__ = ["BASELINES", "BESIDE_A_NETWORK", "PARTS", "WITH_OWN_QUANTILES", "Prediction", "predict"]


class _Maker(NamedTuple):
    """`own_quantiles`: its prediction has `returns`."""

    predict: Callable[[SessionFeatures, np.ndarray, int], Prediction]
    own_quantiles: bool = False


_MAKERS = {
    "naive": _Maker(naive),
    "drift": _Maker(drift),
    "ar1": _Maker(ar1),
    "ewma": _Maker(ewma, own_quantiles=True),
    "garch": _Maker(garch, own_quantiles=True),
    "har": _Maker(har),
    "ets": _Maker(ets),
    "empirical": _Maker(empirical, own_quantiles=True),
}
BASELINES = tuple(_MAKERS)
"""Their names, as in `made_by` and in the tables of backtests."""
PARTS = ("har", "ewma", "naive")
"""Those that answer together, one of each kind of volatility. GARCH, which takes longer than these three,
made the combination worse.
"""
BESIDE_A_NETWORK = ("ewma", "naive")
"""Those that answer beside a network, whose own volatility is a regression like `har`, and more: with it the
loss was the same.
"""
WITH_OWN_QUANTILES = frozenset(name for name, maker in _MAKERS.items() if maker.own_quantiles)
"""They need no earlier cutoffs for calibration."""


def predict(name: str, features: SessionFeatures, cutoffs: np.ndarray, horizon: int) -> Prediction:
    """What the baseline says at each cutoff (ascending indices into the series) about the log return to each
    step up to `horizon`.

    Raises:
        ValueError: there is no baseline of that name.
    """
    if name not in _MAKERS:
        raise ValueError(f"baseline {name!r} is not known: expected one of {', '.join(BASELINES)}")
    return _MAKERS[name].predict(features, cutoffs, horizon)
