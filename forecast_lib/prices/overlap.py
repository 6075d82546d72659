"""A source's past beside the stored one: has it been put on another basis as a whole, and which?

Both are prices as traded, every split that is known undone, so that they should be the same. A factor that
most sessions share is no revision of theirs: the source has divided its past by a split that it does not
list, changed its unit, begun to take dividends out of its prices, or delivers something else.
"""

import dataclasses
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.prices.actions import INFERRED
from forecast_lib.prices.checks import Before, Checked, Hold
from forecast_lib.prices.hypotheses import LEVELS
from forecast_lib.prices.moves import can_split
from forecast_lib.prices.seen import DECIDED_WITHIN
from forecast_lib.tables import typed

__all__ = ["Factor", "beside_the_past", "judge_factor"]

Values = NDArray[np.float64]
Days = NDArray[np.datetime64]

_FEWEST = 3
"""Common sessions; below, what differs is a revision."""

_SHARE = 0.5
"""Of the common sessions must differ for the whole past to be in question."""

_SAME = 2e-4
"""In logs, of medians: rounding to cents leaves less."""

_ALIKE = 5e-4
"""In logs: how far factors of one basis lie apart; farther where prices are so low that _CENT is more."""

_CENT = 0.005
"""What rounding takes from a price."""

_LARGEST_DIVIDEND = 0.2

_CHANGED = {
    "dividends": "begun to adjust its past for dividends",
    "unexplained": "changed its past, and not its newest prices",
}
"""By the kind of a factor what a source has done whose newest prices are as they are stored."""

_STAYS = {"unit": DECIDED_WITHIN + 1, "split": 10, "unexplained": 10}
"""Sessions by the kind of the factor: a past on another scale is taken for what it is once so many new rows
have come with it (a split of what cannot split is no sooner).
"""


@dataclass(frozen=True)
class Factor:
    """How an offered past goes with the stored one.

    Attributes:
        kind: `none` (they agree, but for single sessions), `split`, `unit`, `dividends`, or `unexplained`.
        ratio: what the offered prices are smaller by: of a split, the new shares for one old; 1 for `none`
            and `dividends`.
        since: the first common session that agrees again; None where the newest does not.
    """

    kind: str
    ratio: float = 1.0
    since: np.datetime64 | None = None


def beside_the_past(
    checked: Checked, before: Before, tickers: Collection[str], severities: Mapping[str, str]
) -> Checked:
    """Without the rows of tickers whose whole past comes on another scale that neither a split, a change of
    unit nor time explains; of those whose past has become dividend-adjusted only the new rows. What such a
    past says of moves counts for nothing.

    Args:
        before: of the same tickers and maybe more.
        tickers: those that are looked at, of which whole histories came.
    """
    holds, flags, stays = dict(checked.holds), dict(checked.flags), np.ones(len(checked.good), dtype=bool)
    struck, unbelieved = list[str](), list[str]()
    actions = before.about(list(tickers)).actions
    known = dict(iter(actions.groupby("ticker")))
    past = {ticker: at for at, (ticker, begin, end) in enumerate(before.rows.spans()) if end > begin}
    for place, (ticker, low, high) in enumerate(checked.good.spans()):
        if ticker not in tickers or ticker not in past:
            continue
        rows, stored = checked.good.part(place), before.rows.part(past[ticker])
        common, mine = rows.is_among(stored), known.get(ticker, actions[:0])
        at = np.searchsorted(stored.sessions, rows.sessions[common])
        then, now = stored.figures["close"][at], rows.figures["close"][common]
        paid = mine.loc[mine["kind"] == "dividend", "value"].to_numpy(float)
        found = judge_factor(rows.sessions[common], then, now, (_days_of(mine, "dividend"), paid))
        new = rows.sessions > stored.sessions[-1]
        times = f"its whole past comes {1 / found.ratio:g} times as high as"
        if found.kind == "none":
            continue
        if found.kind == "split" and can_split(ticker, checked.calendars[ticker].name):
            says = f"the source has divided its past by {found.ratio:g} and lists no such split"
        elif found.kind == "unit" and found.since in _days_of(mine, "unit"):
            says = f"the source has brought its past to the unit that it quotes since {found.since}"
        elif found.kind == "dividends" or (found.kind == "unexplained" and found.since is not None):
            stays[low:high] = new
            unbelieved.append(ticker)
            says = f"the source has {_CHANGED[found.kind]}; what is stored stays"
        elif np.count_nonzero(new) >= (least := _STAYS[found.kind]):
            says = f"{times} before, for {least} sessions already"
        else:
            struck.append(ticker)
            says = f"{times} it is stored, and neither a split nor a dividend explains it"
            if severities["rescaled"] == "hold_ticker":
                stays[low:high] = False
                unbelieved.append(ticker)
                todo = f"look at the source (it is believed if it stays so for {least} sessions)"
                holds.setdefault(ticker, Hold("rescaled", f"{says}: nothing of it is taken; {todo}"))
                continue
        flags[ticker] = (*flags.get(ticker, ()), says)
    more = {"rule": "rescaled", "severity": severities["rescaled"], "rows": 1, "session": pd.NaT}
    findings = typed("quality_counts", pd.DataFrame({"ticker": struck, **more}))
    actions, verdicts = checked.actions, checked.verdicts
    return dataclasses.replace(
        checked,
        good=checked.good.rows(stays),
        actions=actions[~(actions["ticker"].isin(unbelieved) & (actions["source"] == INFERRED))],
        verdicts=verdicts[~verdicts["ticker"].isin(unbelieved)],
        holds=holds,
        flags=flags,
        findings=pd.concat([checked.findings, findings], ignore_index=True),
    )


def _days_of(actions: pd.DataFrame, kind: str) -> Days:
    return actions.loc[actions["kind"] == kind, "session"].to_numpy("datetime64[D]")


def judge_factor(sessions: Days, stored: Values, offered: Values, dividends: tuple[Days, Values]) -> Factor:
    """What the factor between two pasts is explained by.

    Args:
        sessions: (n,) common ones, oldest first.
        stored: (n,) closes as traded.
        offered: (n,) likewise.
        dividends: ex-dates, oldest first, and cash per share.

    >>> days = np.arange("2024-01-01", "2024-01-11", dtype="datetime64[D]")
    >>> close, none = np.linspace(100, 109, 10), (days[:0], np.empty(0))
    >>> [judge_factor(days, close, close * factor, none).kind for factor in (1, 0.5, 100, 1.2, 0.999)]
    ['none', 'split', 'unit', 'unexplained', 'unexplained']
    """
    with np.errstate(all="ignore"):
        logs = np.log(offered / stored)
    known = np.isfinite(logs)
    sessions, logs, closes = sessions[known], logs[known], stored[known]
    differs = np.abs(logs) > _SAME
    if len(logs) < _FEWEST or differs.mean() <= _SHARE:
        return Factor("none")
    older = logs[: int(np.flatnonzero(differs)[-1]) + 1]
    since = sessions[len(older)] if len(older) < len(logs) else None
    level = float(np.median(older))
    apart = float(np.median(np.abs(older - level)))
    alike = max(_ALIKE, _CENT / float(np.median(np.minimum(closes, closes * np.exp(logs)))))
    if abs(level) <= max(_SAME, 2 * apart / np.sqrt(len(older))) and apart <= alike:
        return Factor("none")
    if _follows(logs, _paid(sessions, closes, *dividends)) or (since is not None and _rises_by_steps(older)):
        return Factor("dividends", since=since)
    for kind in ("split", "unit"):
        nearest = min(LEVELS[kind].move.tolist(), key=lambda each: abs(each - level))
        if apart <= alike and abs(nearest - level) <= alike:
            return Factor(kind, round(math.exp(-nearest), 6), since)
    return Factor("unexplained", float(np.exp(-level)), since)


def _paid(sessions: Days, closes: Values, days: Days, cash: Values) -> Values:
    """(n,) log factor that takes later dividends out of each close."""
    at = np.searchsorted(sessions, days)
    inside = (at > 0) & (at < len(sessions))
    shares = cash[inside] / closes[np.maximum(at[inside], 1) - 1]
    steps = np.zeros(len(sessions))
    with np.errstate(all="ignore"):
        np.add.at(steps, at[inside] - 1, np.log1p(-np.minimum(shares, _LARGEST_DIVIDEND)))
    return steps[::-1].cumsum()[::-1]


def _follows(logs: Values, expected: Values) -> bool:
    """Whether dividends that are known explain the factors; only where there is one to explain them."""
    apart, size = (float(np.median(np.abs(each))) for each in (logs - expected, expected))
    return bool(expected[0] < -_SAME) and apart <= _ALIKE + 0.05 * size


def _rises_by_steps(older: Values) -> bool:
    """Whether the factors grow towards 1 in few steps, each of the size of a dividend, as they do where none
    is known.
    """
    steps = np.diff(older, append=0.0)
    large = np.abs(steps) > _ALIKE
    few = 1 < large.sum() <= max(2, len(older) / 20)
    return bool(few and (steps[large] > 0).all() and (steps < _LARGEST_DIVIDEND).all())
