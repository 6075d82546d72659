"""What a market's tickers have in common: a few figures a session for all of them.

Volatilities rise and fall together, and what is common to them forecasts each better than its own past alone
(Bollerslev, Hood, Huss and Pedersen 2018, "Risk Everywhere", Review of Financial Studies 31). The common part
is the mean over the tickers of how far their variance of the last 1 and 5 sessions stands above that of the
last 22, and that of the last 22 above that of the last 66, in log units.

And they rise after the whole market fell, more than after a fall of one (Black 1976; Bouchaud, Matacz and
Potters 2001, "Leverage Effect in Financial Markets", Physical Review Letters 87): the mean of the tickers'
returns, summed so that each session counts half as much as one 16 sessions later. A session's figures use
that session and earlier ones only.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast_lib.covariates.inputs import AtClose, Inputs
from forecast_lib.windows.features import WARM_UP, SessionFeatures, rises, session_features
from forecast_lib.windows.series import Array, TickerSeries

__all__ = ["COMMON", "FEWEST_TICKERS", "common_volatility", "sharing"]

COMMON = ("common_1_22", "common_5_22", "common_22_66", "common_return")
"""The names of the inputs; the return in tenths of log units."""

FEWEST_TICKERS = 5
"""Sessions on which fewer have a price have no common part: zero, which is its usual value."""

_HALF_LIFE = 16.0  # sessions; chosen on 2006 to 2012, where 11 to 22 hardly differ
_LARGEST_MOVE = 6.0  # times the volatility before it: one ticker's own news is not the market's


@dataclass(frozen=True)
class _Part:
    sessions: NDArray[np.datetime64]
    values: Array


def _moves(features: SessionFeatures) -> Array:
    """(sessions,): each session's return in tenths, none larger than what a market may do in one."""
    sigma = features.ewma_sigma
    largest = _LARGEST_MOVE * np.concatenate([sigma[:1], sigma[:-1]])
    return 10 * np.clip(np.diff(features.log_close, prepend=features.log_close[:1]), -largest, largest)


def _part(series: TickerSeries) -> _Part:
    features = session_features(series)
    values = np.column_stack([rises(features.log_variances), _moves(features)])
    return _Part(series.sessions[WARM_UP:], values[WARM_UP:])


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
    every = np.concatenate([part.values for part in parts])
    count = np.bincount(place, minlength=len(sessions))
    sums = np.stack(
        [np.bincount(place, weights=column, minlength=len(sessions)) for column in every.T], axis=1
    )
    values = np.where(count[:, None] >= FEWEST_TICKERS, sums / np.maximum(count, 1)[:, None], 0.0)
    keeps = 0.5 ** (1 / _HALF_LIFE)
    values[:, -1] = list(
        itertools.accumulate(values[:, -1].tolist(), lambda before, new: keeps * before + new)
    )
    return AtClose(COMMON, sessions, values)


def sharing(series: Sequence[TickerSeries], common: AtClose | None) -> list[TickerSeries]:
    """The same series with this common part, and nothing else beside their prices."""
    inputs = None if common is None else Inputs((common,))
    return [dataclasses.replace(each, inputs=inputs) for each in series]
