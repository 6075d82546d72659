"""A ticker as what is known beside others: how wide it moves, as for an index.

Its own variance of the last 1 and 5 sessions against the last 22, that of 22 against 66, in log units, and
its last return in tenths.
"""

import numpy as np

from forecast_lib.covariates.inputs import COVARIATE
from forecast_lib.covariates.series import Described
from forecast_lib.windows.features import WARM_UP, rises, session_features
from forecast_lib.windows.series import TickerSeries

__all__ = ["range_of"]

_CLIP = 6.0


def range_of(series: TickerSeries, known: np.ndarray) -> Described:
    """Args:
    known: (sessions,) datetime64[us] UTC, from when on each session was known.
    """
    features = session_features(series)
    change = 10 * np.diff(features.log_close, prepend=np.nan)
    values = np.column_stack([rises(features.log_variances), change])
    names = ("range_1_22", "range_5_22", "range_22_66", "return")
    return Described(
        tuple(f"{COVARIATE}{series.ticker}/{name}" for name in names),
        series.sessions[WARM_UP:],
        np.clip(values[WARM_UP:], -_CLIP, _CLIP),
        known[WARM_UP:],
    )
