"""What a person should look at: tickers that are not fresh, closes that surprised, odd prices, intervals that
do not hold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forecast_lib.report.frames import Past
from forecast_lib.report.sections.coverage import Coverage
from forecast_lib.report.sections.tickers import TickerState
from forecast_lib.report.words import severity

__all__ = ["Attention", "Surprise", "attention", "surprises"]


@dataclass(frozen=True)
class Surprise:
    """A close of the ticker's last session that came outside its 95 % interval."""

    ticker: str
    session: str
    actual: float
    low95: float
    high95: float

    @property
    def above(self) -> bool:
        """Whether it came above the interval."""
        return self.actual > self.high95


@dataclass(frozen=True)
class Attention:
    """What needs a look.

    Attributes:
        degraded: tickers that are neither fresh nor ended, the worst first.
        ended: tickers that there is nothing to forecast of any more; in the first such night with a reason.
        flagged: fresh tickers in whose prices something odd was found.
        behind: tickers whose last session is not the exchange's, the furthest behind first.
        surprises: the last session's closes outside their 95 % interval; `settled` of how many.
        uncovered: tickers whose intervals do not hold over their last 250 forecasts, at some step; `covered`
            of how many.
    """

    degraded: tuple[TickerState, ...]
    ended: tuple[TickerState, ...]
    flagged: tuple[TickerState, ...]
    behind: tuple[TickerState, ...]
    surprises: tuple[Surprise, ...]
    settled: int
    uncovered: tuple[Coverage, ...]
    covered: int

    @property
    def worst_behind(self) -> int:
        """Sessions that the ticker furthest behind lacks."""
        return max((state.sessions_behind or 0 for state in self.behind), default=0)

    @property
    def calm(self) -> bool:
        """Whether there is nothing to look at."""
        return not (
            self.degraded or self.ended or self.flagged or self.behind or self.surprises or self.uncovered
        )


def surprises(past: Mapping[str, Mapping[int, Past]]) -> tuple[tuple[Surprise, ...], int]:
    """The newest outcomes one session ahead that came outside the 95 % interval, and how many newest outcomes
    there are.

    Newest: of the last session that any ticker has an outcome of.
    """
    one_ahead = {ticker: own[1] for ticker, own in past.items() if 1 in own and len(own[1].known)}
    if not one_ahead:
        return (), 0
    newest = max(own.sessions[own.known[-1]] for own in one_ahead.values())
    found, count = [], 0
    for ticker, own in one_ahead.items():
        at = own.known[-1]
        if own.sessions[at] != newest:
            continue
        count += 1
        if not own.held[95][at]:
            low, high = own.bounds[0, :, at].tolist()
            found.append(Surprise(ticker, str(newest), own.actual[at].item(), low, high))
    return tuple(sorted(found, key=lambda each: each.ticker)), count


def attention(
    states: Sequence[TickerState], past: Mapping[str, Mapping[int, Past]], coverage: Sequence[Coverage]
) -> Attention:
    """What needs a look, the worst first in each part. `coverage`: of all tickers."""
    surprised, settled = surprises(past)
    return Attention(
        degraded=tuple(
            sorted(
                (s for s in states if s.status not in ("fresh", "ended")),
                key=lambda s: (-severity(s.status), s.ticker),
            )
        ),
        ended=tuple(s for s in states if s.status == "ended"),
        flagged=tuple(s for s in states if s.flags and s.status == "fresh"),
        behind=tuple(
            sorted(
                (s for s in states if s.sessions_behind and s.status != "ended"),
                key=lambda s: -(s.sessions_behind or 0),
            )
        ),
        surprises=surprised,
        settled=settled,
        uncovered=tuple(row for row in coverage if row.state != "held"),
        covered=len({row.of for row in coverage}),
    )
