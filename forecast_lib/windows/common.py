"""What the volatilities of a market's tickers have in common: one figure a session for all of them.

Volatilities rise and fall together, and what is common to them forecasts each better than its own past alone
(Bollerslev, Hood, Huss and Pedersen 2018, "Risk Everywhere", Review of Financial Studies 31). The common part
is the mean over the tickers of how far their variance of the last 1 and 5 sessions stands above that of the
last 22, and that of the last 22 above that of the last 66, in log units. A session's figure uses that session
and earlier ones only.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast_lib.covariates.inputs import AtClose, Inputs
from forecast_lib.windows.features import WARM_UP, rises, session_features
from forecast_lib.windows.series import Array, TickerSeries

__all__ = ["COMMON", "FEWEST_TICKERS", "common_volatility", "sharing"]

COMMON = ("common_1_22", "common_5_22", "common_22_66")
"""The names of the inputs."""

FEWEST_TICKERS = 5
"""Sessions on which fewer have a price have no common part: zero, which is its usual value."""


@dataclass(frozen=True)
class _Part:
    sessions: NDArray[np.datetime64]
    rises: Array


def _part(series: TickerSeries) -> _Part:
    logs = session_features(series).log_variances[WARM_UP:]
    return _Part(series.sessions[WARM_UP:], rises(logs))


def common_volatility(members: Sequence[TickerSeries]) -> AtClose | None:
    """The common part of these tickers' volatilities; None where they are too few to have one.

    Args:
        members: of one exchange, so that a session is over for all of them when it is over for one; in any
            order.
    """
    if len(members) < FEWEST_TICKERS:
        return None
    # In whatever order they came, the same sums.
    parts = [_part(series) for series in sorted(members, key=lambda each: each.ticker)]
    sessions, place = np.unique(np.concatenate([part.sessions for part in parts]), return_inverse=True)
    every = np.concatenate([part.rises for part in parts])
    count = np.bincount(place, minlength=len(sessions))
    sums = np.stack(
        [np.bincount(place, weights=column, minlength=len(sessions)) for column in every.T], axis=1
    )
    return AtClose(
        COMMON,
        sessions,
        np.where(count[:, None] >= FEWEST_TICKERS, sums / np.maximum(count, 1)[:, None], 0.0),
    )


def sharing(series: Sequence[TickerSeries], common: AtClose | None) -> list[TickerSeries]:
    """The same series with this common part, and nothing else beside their prices."""
    inputs = None if common is None else Inputs((common,))
    return [dataclasses.replace(each, inputs=inputs) for each in series]
