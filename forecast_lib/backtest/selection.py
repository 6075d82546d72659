"""Which covariates and events enter the volatility scale: those that lower its loss by more than chance.

The past up to tonight is cut into half-years. Each is forecast by slopes fitted on all others: the panel
regression of the scale without and with a candidate, each ticker with a level of its own. The loss is QLIKE
(Patton 2011), mean over steps, dates and tickers; a one-sided t-test asks of the half-years whether it is
lower with the candidate: what dates within one have in common, and tickers on one date, cannot pass for
evidence (Ibragimov and Mueller 2010). One year of validation tells too little for that.

The best candidate is kept if its p-value times the number of candidates (Holm 1979), covariates and events
apart, is below 5 %; the others are then tried again beside it, until none is. So of two that say the same
only one is kept. What means nothing costs loss rather than gaining some, so the test errs on the side of
leaving out: of 200 such candidates on 2005 to 2013 none had a p-value below 6 %, uncorrected. Nothing later
than the newest session of the series is looked at: a backtest selects at each training what was worth it
then.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from forecast_lib.config import ModelConfig
from forecast_lib.covariates.inputs import candidates, is_ahead
from forecast_lib.models.training import drawn, first_cutoff
from forecast_lib.windows.features import session_features
from forecast_lib.windows.scaling import LAST_22, RIDGE, Sample, with_units
from forecast_lib.windows.series import Array, TickerSeries
from forecast_lib.windows.threads import use_one_thread
from forecast_lib.windows.volatility_inputs import VOLATILITY_INPUTS, scale_inputs

__all__ = ["Selection", "Tried", "select"]

_HALF_YEAR = 125  # sessions
_FEWEST_CUTOFFS = 20  # of a ticker in a half-year
_FEWEST = 6  # half-years in which a candidate is known
_DECIDED_BY = 64  # tickers: on a day they all say much the same
_MOST_STEPS = 5
_DRAW = 0  # the same tickers whatever the run's seed
_LEVEL = 0.05
_LOWEST, _HIGHEST = -6.0, 3.0  # log of realised over forecast variance: one crash must not decide alone
_USUAL = len(VOLATILITY_INPUTS)


@dataclass(frozen=True)
class Tried:
    """One candidate, tried beside those that were kept before it.

    Attributes:
        name: `covariate NAME` or `event KIND`.
        inputs: what it consists of.
        half_years: in which it is known, and that were forecast.
        tickers: that were.
        loss_without, loss_with: QLIKE, mean over these half-years and tickers.
        tickers_better: how many of them have a lower loss with it.
        pvalue: one-sided, of the difference; 1 where it cannot be tested.
        adjusted: p-value times the number of candidates of its kind, covariates or events, that could be
            tested, at most 1.
        kept: whether it enters the scale.
    """

    name: str
    inputs: tuple[str, ...]
    half_years: int
    tickers: int
    loss_without: float
    loss_with: float
    tickers_better: int
    pvalue: float
    adjusted: float
    kept: bool = False


@dataclass(frozen=True)
class Selection:
    """What is kept, by the name of its inputs, and everything that was tried."""

    inputs: tuple[str, ...] = ()
    tried: tuple[Tried, ...] = ()


def select(series: Sequence[TickerSeries], model: ModelConfig) -> Selection:
    """Try every candidate that any of the series has.

    Args:
        series: those that the pool learns from, up to tonight.
    """
    asked = candidates(name for each in series if each.inputs is not None for name in each.inputs.names)
    if not asked:
        return Selection()
    use_one_thread()
    names = sorted(
        (name for inputs in asked.values() for name in inputs), key=lambda each: (is_ahead(each), each)
    )
    past = _Past(drawn(series, _DRAW)[:_DECIDED_BY], tuple(names), model)
    kept: tuple[str, ...] = ()
    left, found = dict(asked), dict[str, Tried]()
    before = past.losses(kept)
    while left:
        losses = {label: past.losses((*kept, *inputs)) for label, inputs in left.items()}
        told = {label: past.known(inputs) & np.isfinite(before) for label, inputs in left.items()}
        testable = [_ahead(left[label]) for label, each in told.items() if each.any(axis=0).sum() >= _FEWEST]
        tried = {
            label: _compared(
                label, left[label], before, after, told[label], max(testable.count(_ahead(left[label])), 1)
            )
            for label, after in losses.items()
        }
        found |= tried
        best = min(tried, key=lambda label: (tried[label].adjusted, tried[label].pvalue, label))
        if tried[best].adjusted > _LEVEL:
            break
        found[best] = dataclasses.replace(tried[best], kept=True)
        kept, before = (*kept, *left.pop(best)), losses[best]
    return Selection(tuple(name for name in names if name in kept), tuple(found[label] for label in asked))


def _ahead(inputs: tuple[str, ...]) -> bool:
    """Whether a candidate is an event."""
    return is_ahead(inputs[0])


def _compared(
    name: str, inputs: tuple[str, ...], before: Array, after: Array, told: NDArray[np.bool_], among: int
) -> Tried:
    """Args:
    before, after: (tickers, half-years) losses, NaN where a ticker has none.
    told: (tickers, half-years) where there are some and the candidate is known.
    """
    gains = np.where(told, before - after, 0.0)
    count = told.sum(axis=0)
    by_date = gains.sum(axis=0)[count > 0] / count[count > 0]
    pvalue = 1.0
    if len(by_date) >= _FEWEST and np.ptp(by_date) > 0:
        statistic = by_date.mean() / (by_date.std(ddof=1) / np.sqrt(len(by_date)))
        pvalue = float(stdtr(len(by_date) - 1, -statistic))
    own = gains.sum(axis=1)[told.any(axis=1)]
    without, with_it = (float(each[told].mean()) if told.any() else np.nan for each in (before, after))
    return Tried(
        name,
        inputs,
        len(by_date),
        len(own),
        without,
        with_it,
        int((own > 0).sum()),
        pvalue,
        min(pvalue * among, 1.0),
    )


@dataclass(frozen=True)
class _Half:
    """A half-year of some tickers, and the sums of all their other ones.

    Attributes:
        tickers: (t,) places.
        owner: (n,) whose each cutoff is, a place among `tickers`.
        columns, realised: (n, columns), what is not known usual, and (n, steps) log variances that came.
        known: (t, columns) whether each is known on half of the cutoffs; of an event, whether it falls.
        counts, sums, products: of the other half-years, (t,), (t, c) and (t, c, c): cutoffs, sums and
            products of columns and, as the last ones, realised log variances.
    """

    tickers: NDArray[np.intp]
    owner: NDArray[np.intp]
    columns: Array
    realised: Array
    known: NDArray[np.bool_]
    counts: Array
    sums: Array
    products: Array

    def losses(self, chosen: list[int], step: int) -> Array:
        """(t,) mean QLIKE at a step of the panel regression on the chosen columns, fitted on all other
        half-years.
        """
        both = [*chosen, self.columns.shape[1] + step]
        means = self.sums[:, both] / self.counts[:, None]
        products = self.products[:, both][:, :, both]
        products = products - self.counts[:, None, None] * means[:, :, None] * means[:, None, :]
        gram, moments = products[:, :-1, :-1], products[:, :-1, -1]
        prior, whole = np.eye(len(chosen))[LAST_22], gram.sum(axis=0)
        ridged = with_units(whole + RIDGE * np.eye(len(chosen)), RIDGE, int(self.counts.sum()), _USUAL)
        slopes = prior + np.linalg.solve(ridged, moments.sum(axis=0) - whole @ prior)
        squares = products[:, -1, -1] - 2 * moments @ slopes + gram @ slopes @ slopes
        # The mean of a variance lies above the exponential of its logarithm's mean: of a log-normal one.
        level = means[:, -1] - means[:, :-1] @ slopes + squares / self.counts / 2
        said = self.columns[:, chosen] @ slopes + level[self.owner]
        ratio = np.clip(self.realised[:, step] - said, _LOWEST, _HIGHEST)
        total = np.bincount(self.owner, np.exp(ratio) - ratio - 1)
        return np.asarray(total / np.bincount(self.owner))


@dataclass(frozen=True)
class _Read:
    """One ticker: its cutoffs' columns, whether they are known, what came, and each one's half-year."""

    columns: Array
    known: NDArray[np.bool_]
    realised: Array
    halves: NDArray[np.intp]

    def moments(self, count: int) -> tuple[Array, Array, Array]:
        """Counts, sums and products of the cutoffs of each of so many half-years."""
        both = np.concatenate([self.columns, self.realised], axis=1)
        parts = [both[self.halves == half] for half in range(count)]
        return (
            np.array([float(len(part)) for part in parts]),
            np.stack([part.sum(axis=0) for part in parts]),
            np.stack([part.T @ part for part in parts]),
        )


def _read(
    series: TickerSeries,
    names: tuple[str, ...],
    horizon: int,
    steps: list[int],
    first: int,
    borders: NDArray[np.datetime64],
) -> _Read:
    """Without the last cutoffs of each half-year, whose outcomes reach into the next, and without half-years
    of few cutoffs.

    Args:
        steps: places of those that are tried.
    """
    last = len(series) - horizon
    inputs, ahead = scale_inputs(series, names, horizon)
    sample = Sample(inputs, session_features(series), first, last)
    columns, known = (
        np.where(np.isnan(inputs), sample.usual(), inputs)[first:last],
        ~np.isnan(inputs)[first:last],
    )
    if ahead is not None:
        falls = ahead[first:last][..., steps].reshape(last - first, -1)
        columns, known = np.concatenate([columns, falls], axis=1), np.concatenate([known, falls > 0], axis=1)
    halves = np.searchsorted(borders, series.sessions[first:last], side="right")
    apart = np.append(halves[horizon:], np.full(horizon, -1)) == halves
    apart &= np.bincount(halves[apart], minlength=len(borders) + 1)[halves] >= _FEWEST_CUTOFFS
    return _Read(columns[apart], known[apart], sample.realised(horizon)[apart][:, steps], halves[apart])


class _Past:
    """The past of some tickers, cut into half-years, with the columns of every candidate."""

    def __init__(self, series: Sequence[TickerSeries], names: tuple[str, ...], model: ModelConfig) -> None:
        horizon = model.horizon
        # Of a long horizon some steps: neighbours say much the same, and each has columns of its own.
        steps = np.unique(np.linspace(0, horizon - 1, min(horizon, _MOST_STEPS)).round().astype(int)).tolist()
        self._steps = len(steps)
        at_close = [name for name in names if not is_ahead(name)]
        first_ahead = _USUAL + len(at_close)
        self._places = {
            name: (
                [first_ahead + (place - len(at_close)) * len(steps) + step for step in range(len(steps))]
                if is_ahead(name)
                else [_USUAL + place] * len(steps)
            )
            for place, name in enumerate(names)
        }
        first = first_cutoff(model.lookback)
        days = np.unique(np.concatenate([each.sessions[first:-horizon] for each in series]))
        # The oldest half-year takes what is over.
        count = max(len(days) // _HALF_YEAR, 1)
        borders = days[[len(days) - place * _HALF_YEAR for place in range(count - 1, 0, -1)]]
        read = [_read(each, names, horizon, steps, first, borders) for each in series]
        self._shape = (len(series), count)
        moments = [each.moments(count) for each in read]
        self._halves = {
            half: made for half in range(count) if (made := _half(read, moments, half, first_ahead))
        }

    def known(self, inputs: Sequence[str]) -> NDArray[np.bool_]:
        """(tickers, half-years) in which any of the inputs is known."""
        found = np.zeros(self._shape, dtype=bool)
        places = sorted({place for name in inputs for place in self._places[name]})
        for half, part in self._halves.items():
            found[part.tickers, half] = part.known[:, places].any(axis=1)
        return found

    def losses(self, names: Sequence[str]) -> Array:
        """(tickers, half-years) QLIKE of the panel regression on the usual inputs and these, mean over steps
        and cutoffs; NaN where a ticker has none, or no other half-year.
        """
        found = np.full(self._shape, np.nan)
        for half, part in self._halves.items():
            by_step = [
                part.losses([*range(_USUAL), *(self._places[name][step] for name in names)], step)
                for step in range(self._steps)
            ]
            found[part.tickers, half] = np.mean(by_step, axis=0)
        return found


def _half(
    read: Sequence[_Read], moments: Sequence[tuple[Array, Array, Array]], half: int, first_ahead: int
) -> _Half | None:
    """Of the tickers that have cutoffs in it and elsewhere."""
    inside = [each.halves == half for each in read]
    tickers = [place for place, rows in enumerate(inside) if rows.any() and not rows.all()]
    if not tickers:
        return None
    own = [(read[place], inside[place]) for place in tickers]
    known = np.stack([each.known[rows].mean(axis=0) for each, rows in own])
    known[:, first_ahead:] = np.where(known[:, first_ahead:] > 0, 1.0, 0.0)
    others = [[part.sum(axis=0) - part[half] for part in moments[place]] for place in tickers]
    counts, sums, products = map(np.stack, zip(*others, strict=True))
    return _Half(
        np.array(tickers),
        np.repeat(np.arange(len(own)), [rows.sum() for _, rows in own]),
        np.concatenate([each.columns[rows] for each, rows in own]),
        np.concatenate([each.realised[rows] for each, rows in own]),
        known >= 0.5,
        counts,
        sums,
        products,
    )
