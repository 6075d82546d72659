"""What can be observed about moves of a close: those of many tickers together, a line each."""

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecast_lib.prices.odd import (
    ABS_TO_STD,
    CLIPPED,
    FEWEST,
    ODD,
    SMALLEST_SCALE,
    WINDOW,
    Days,
    Flags,
    Values,
    usual_moves,
)

__all__ = ["DECIDED_WITHIN", "Bars", "Places", "Rows", "Seen", "look"]

Places = NDArray[np.intp]

DECIDED_WITHIN = 3
"""Sessions after an odd one; what they say decides, whatever is left open."""

_NIGHT = 0.45
"""Of a usual day's move the part before the open."""

_STIR = 0.25
"""On days on which the market moves by k usual days of a share, its range and volume are (1 + k**2) ** 0.25
times the usual: 2006 to 2013, times 1.1 at k = 1.25, 1.6 at 3.5, 2.2 at 5 and 3.0 at 8.
"""


@dataclass(frozen=True)
class Bars:
    """One ticker's rows, oldest first, one a session, on one share basis; NaN where a value is missing."""

    sessions: Days
    open: Values
    high: Values
    low: Values
    close: Values
    adj_close: Values
    volume: Values

    def __len__(self) -> int:
        return len(self.sessions)


class Rows:
    """The bars of many tickers, one after the other, in logs; NaN where a value is missing.

    Attributes:
        bars: as they came.
        ends: (tickers + 1,) where the rows of each begin and end.
        close: on the basis of the newest split and unit found so far; `volume` too, of that split.
        day: from open to close.
        span: highest by lowest.
        unlike_adjusted: close by `adj_close`.
        market: what the other tickers of the exchange did; 0 where unknown.
        usual: what is usual for the ticker at each row, by its own rows alone (`usual_moves`).
        odd: the rows that follow an odd move.
    """

    def __init__(self, parts: Sequence[Bars], market_moves: Sequence[Values | None]) -> None:
        columns = (field.name for field in dataclasses.fields(Bars))
        bars = Bars(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))
        self.bars, self.ends = bars, np.cumsum([0, *map(len, parts)])
        self.close = np.log(bars.close)
        self.volume = np.log(np.where(bars.volume > 0, bars.volume, np.nan))
        self.day = np.log(bars.close / bars.open)
        self.span = np.log(bars.high / bars.low)
        self.span[~(self.span > 0)] = np.nan
        self.unlike_adjusted = np.log(bars.close / bars.adj_close)
        self.market, self.usual = np.zeros(len(bars)), np.empty(len(bars))
        moves = np.diff(self.close, prepend=np.nan)
        for (low, high), market in zip(itertools.pairwise(self.ends.tolist()), market_moves, strict=True):
            moves[low : min(low + 1, high)] = np.nan
            if market is not None:
                self.market[low:high] = np.nan_to_num(market)
            alone, rows = np.zeros(high - low, dtype=np.intp), np.arange(high - low)
            self.usual[low:high] = usual_moves(alone, moves[low:high], rows)
        self.odd = np.flatnonzero(np.abs(moves) > ODD * self.usual)


class Seen(NamedTuple):
    """What can be observed about moves, in logs: (moves,) of each; NaN where it cannot."""

    move: Values
    beyond_market: Values
    scale: Values
    """Of a usual day's move, over the time between the two rows."""
    night: Values
    """From the close before to the open."""
    night_scale: Values
    range: Values
    """Highest by lowest."""
    at_edge: Flags
    """Whether the close is the highest or the lowest price of its day."""
    span: Values
    """Range by the usual one, the market's part taken out, as of the other figures that are by the usual one.
    """
    span_spread: Values
    """Standard deviation of `span` on the days before: that of a thin share varies more; of `volume_spread`
    likewise.
    """
    volume: Values
    """By the usual one."""
    volume_spread: Values
    unlike_adjusted: Values
    """Move of the close less that of `adj_close`."""
    after: Values
    """(moves, DECIDED_WITHIN) closes of the next sessions by the close after the move, less what the market
    did; of those that are there.
    """
    sessions_after: Places
    """How many of them are."""
    open_after: Values
    """The first open after it, likewise."""
    span_after: Values
    """Mean log range of the next sessions, by the usual one."""

    def of(self, place: int) -> "Seen":
        """What was seen of one move."""
        return Seen(*(values[place] for values in self))

    @property
    def decided(self) -> Flags:
        """Whether all sessions that decide are there."""
        return self.sessions_after == DECIDED_WITHIN

    @property
    def has_stayed(self) -> Flags:
        """Whether they have all closed nearer to the new level than to the old one."""
        return self.decided & (self.after / self.move[:, None] > -0.5).all(axis=1)


def look(rows: Rows, at: Places, trusted: Places) -> Seen:
    """What is seen of the moves into some rows, each from a row of the same ticker before it."""
    of = np.searchsorted(rows.ends, at, side="right") - 1
    first, end = rows.ends[of], rows.ends[of + 1]
    before, after = at[:, None] + np.arange(-WINDOW, 0), at[:, None] + np.arange(1, DECIDED_WITHIN + 1)

    def there(values: Values, places: Places) -> Values:
        own = (places >= first[:, None]) & (places < end[:, None])
        return np.where(own, values[np.where(own, places, 0)], np.nan)

    lately, next_one = before[:, -FEWEST:], after[:, :1]
    usual, market, day = rows.usual[at], rows.market[at], rows.day[at]
    move = rows.close[at] - rows.close[trusted]
    then, now = (rows.bars.sessions[each].astype("M8[D]") for each in (trusted, at))
    days = np.busday_count(then, now)
    longer = np.where(days > 2, np.sqrt(days), 1.0)  # a long weekend counts as a night
    spans, volumes = there(rows.span, lately), there(rows.volume, lately)
    usual_span, usual_volume = _medians(spans), _medians(volumes)
    nights = np.abs(np.diff(there(rows.close, before)) - there(rows.day, before)[:, 1:])
    enough = np.isfinite(nights).sum(axis=1) >= FEWEST
    night = np.where(enough, ABS_TO_STD * _means(np.minimum(nights, CLIPPED)), _NIGHT * usual)
    stir = _STIR * np.log1p((market / usual) ** 2)
    market_after = there(rows.market, after)
    stir_after = _STIR * np.log1p((market_after / usual[:, None]) ** 2)
    opens_at = (there(rows.close, next_one) - there(rows.day, next_one))[:, 0]
    bars = rows.bars
    return Seen(
        move=move,
        beyond_market=move - market,
        scale=np.hypot(usual * longer, market),
        night=move - day,
        night_scale=np.hypot(np.maximum(night, SMALLEST_SCALE / 2) * longer, market),
        range=rows.span[at],
        at_edge=(bars.close[at] >= bars.high[at]) | (bars.close[at] <= bars.low[at]),
        span=np.log(rows.span[at] / usual_span) - stir,
        span_spread=_spreads(np.log(spans / usual_span[:, None])),
        volume=rows.volume[at] - stir - usual_volume,
        volume_spread=_spreads(volumes - usual_volume[:, None]),
        unlike_adjusted=rows.unlike_adjusted[at] - rows.unlike_adjusted[trusted],
        after=there(rows.close, after) - rows.close[at][:, None] - market_after.cumsum(axis=1),
        sessions_after=np.minimum(end - at - 1, DECIDED_WITHIN),
        open_after=opens_at - rows.close[at],
        span_after=_means(np.log(there(rows.span, after) / usual_span[:, None]) - stir_after),
    )


# Of each line's finite values; NaN where there are none.


def _medians(values: Values) -> Values:
    known = np.isfinite(values)
    ordered = np.sort(np.where(known, values, np.nan), axis=1)  # NaN last
    lines, number = np.arange(len(values)), known.sum(axis=1)
    return (ordered[lines, (number - 1) // 2] + ordered[lines, number // 2]) / 2


def _spreads(values: Values) -> Values:
    """Standard deviation about zero, by the median of the sizes."""
    return 1.4826 * _medians(np.abs(values))


def _means(values: Values) -> Values:
    known = np.isfinite(values)
    return np.where(known, values, 0.0).sum(axis=1) / np.where(known.any(axis=1), known.sum(axis=1), np.nan)
