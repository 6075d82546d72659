"""What a price source is: it answers one question, and does not store or repair.

*Given tickers, and of each a first session, which rows do you have up to a last one?* The answer is one value
of columns for all of them (`Offered`), as the source has the rows, only renamed to our columns and as they
were traded; `prices.screen` decides which are good. What is wrong with one ticker is said in its part of the
answer (`Told`) and concerns no other.
"""

import datetime as dt
import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.domain import Ticker
from forecast_lib.errors import FatalError, TickercastError
from forecast_lib.windows.histories import FIGURES, Histories

__all__ = [
    "ACTION_COLUMNS",
    "REFUSED_COLUMNS",
    "VALUES",
    "Asked",
    "Listed",
    "Offered",
    "PriceSource",
    "Told",
    "actions_frame",
    "as_json",
    "dates_frame",
    "listed_actions",
    "nobody",
    "one_by_one",
    "refused_frame",
]

VALUES = (*FIGURES[:4], "adj_close", "volume")
"""Figures of a row: prices as traded, `adj_close` the source's own adjusted close, untouched."""

ACTION_COLUMNS = ("session", "kind", "value")
"""kind is `dividend` (cash per share, on the share's basis of that day) or `split` (new shares per old)."""
REFUSED_COLUMNS = ("session", "row", "origin", "rule", "reason")

Asked = Mapping[Ticker, dt.date | None]
"""By ticker the first session that is wanted; None for all."""


@dataclass(frozen=True)
class Told:
    """What a source says of one ticker beside its rows.

    Attributes:
        problem: why it has no rows.
        timezone: IANA name of the exchange's, where the source knows it.
        action_kinds: the kinds of action that it would have listed if there were any.
        actions_from: the first session whose actions it would have listed; that of the first row where not
            given.
        assumption: what it took for granted about splits for lack of evidence, in words.
        torn: what its prices and splits contradict each other in, in words, where rows were left out for it.
    """

    problem: TickercastError | None = None
    timezone: str | None = None
    action_kinds: frozenset[str] = frozenset({"dividend", "split"})
    actions_from: np.datetime64 | None = None
    assumption: str | None = None
    torn: str | None = None


@dataclass(frozen=True)
class Offered:
    """A source's answer for many tickers.

    Attributes:
        rows: with `adj_close`, as traded as far as the source's actions allow; of one session several may
            come, in the source's order.
        actions: ticker and ACTION_COLUMNS, maybe also of sessions before the first that was asked for.
        refused: ticker and REFUSED_COLUMNS: what could not be made a row at all; session NaT where
            unreadable, `row` the row's text.
        told: of every ticker that was asked for.
        origins: where rows stand in the source, from their places in `rows`.
    """

    rows: Histories
    actions: pd.DataFrame
    refused: pd.DataFrame
    told: Mapping[Ticker, Told]
    origins: Callable[[NDArray[np.intp]], Sequence[str]]

    @classmethod
    def of_one(
        cls,
        ticker: Ticker,
        sessions: NDArray[np.datetime64],
        figures: Mapping[str, NDArray[np.float64]],
        actions: pd.DataFrame,
        origins: Callable[[NDArray[np.intp]], Sequence[str]],
        *,
        currency: str | None = None,
        refused: pd.DataFrame | None = None,
        told: Told = Told(),
    ) -> "Offered":
        """One ticker's answer, rows in any order.

        Args:
            figures: VALUES.
            actions: ACTION_COLUMNS.
            origins: of rows in the order in which they came.
            refused: REFUSED_COLUMNS.
        """
        days = sessions.astype("datetime64[D]")
        order = np.argsort(days, kind="stable")
        codes = np.full(len(days), -1 if currency is None else 0, dtype=np.int16)
        picked = {name: np.asarray(figures[name], dtype=float)[order] for name in VALUES}
        currencies = () if currency is None else (currency,)
        rows = Histories(
            (str(ticker),), np.zeros(len(days), np.int32), days[order], picked, currencies, codes
        )
        unread = () if refused is None else (refused.assign(ticker=str(ticker)),)
        listed = actions_frame([actions.assign(ticker=str(ticker))])
        return cls(rows, listed, refused_frame(unread), {ticker: told}, lambda at: origins(order[at]))

    @classmethod
    def joined(cls, parts: Sequence["Offered"]) -> "Offered":
        """The answers for several tickers each as one; no ticker is in two of them."""
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls.nothing({})
        names = sorted({name for part in parts for name in part.rows.tickers})
        rows, came_from = Histories.side_by_side([part.rows for part in parts], names)
        starts = np.cumsum([0, *(len(part.rows) for part in parts)])

        def origins(at: NDArray[np.intp]) -> list[str]:
            where = came_from[at]
            owner = np.searchsorted(starts, where, side="right") - 1
            places = zip(owner, where - starts[owner], strict=True)
            return [str(parts[part].origins(np.array([place]))[0]) for part, place in places]

        actions = actions_frame(part.actions for part in parts)
        refused = refused_frame(part.refused for part in parts)
        told = {ticker: said for part in parts for ticker, said in part.told.items()}
        return cls(rows, actions, refused, told, origins)

    @classmethod
    def nothing(cls, told: Mapping[Ticker, Told]) -> "Offered":
        """No rows, and why."""
        rows = Histories.none(tuple(sorted(told)), "adj_close")
        return cls(rows, actions_frame(()), refused_frame(()), told, lambda at: [""] * len(at))


def nobody(_: Ticker) -> None:
    """Tells nobody that a ticker is done."""


def one_by_one(
    asked: Asked,
    answer: Callable[[Ticker, dt.date | None], Offered],
    done: Callable[[Ticker], None] = nobody,
    spread: Callable[..., Iterable[Offered]] = map,
) -> Offered:
    """The answer of a source that is asked for each ticker by itself; what stands in the way of one is its
    problem.

    Args:
        answer: to a ticker and its first session.
        spread: `map`, or one that calls from several threads.

    Raises:
        FatalError: as `answer` does.
    """

    def asked_for(ticker: Ticker) -> Offered:
        try:
            found = answer(ticker, asked[ticker])
        except FatalError:
            raise
        except TickercastError as problem:
            found = Offered.nothing({ticker: Told(problem)})
        done(ticker)
        return found

    return Offered.joined(list(spread(asked_for, asked)))


@dataclass(frozen=True)
class Listed:
    """Dates of events of some kinds that a source lists tonight.

    Attributes:
        rows: kind, ticker, session and value (NaN: it has none).
        kinds, tickers: that the list is of.
        until: the last day that it is complete to: a date up to it that it does not have is given up.
        left_out: what it could not say, in sentences.
    """

    rows: pd.DataFrame = field(default_factory=lambda: dates_frame(()))
    kinds: tuple[str, ...] = ()
    tickers: tuple[Ticker, ...] = ()
    until: dt.date = dt.date.min
    left_out: tuple[str, ...] = ()


def dates_frame(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Kind, ticker, session and value, typed, the parts one below the other."""
    return _joined_frame(parts, {"kind": str, "ticker": str, "session": "datetime64[us]", "value": float})


class PriceSource(Protocol):
    """A place where prices come from. New ones pass `tests/contracts/price_source.py`."""

    name: str
    """Stored in the column `source`; the simulated market's is `simulated`, so that nobody takes its rows for
    real.
    """

    near: ClassVar[bool] = False
    """It answers in moments, and asks nobody else: nobody needs to be shown how far it is."""

    def default_tickers(self) -> tuple[Ticker, ...]:
        """The tickers to take when the user names none; empty where the source has no list of its own."""
        return ()

    def passed_over(self) -> tuple[str, ...]:
        """What the source holds and cannot hand out, such as files whose names are no tickers: in sentences
        for people.
        """
        return ()

    def events(self, tickers: Sequence[Ticker], day: dt.date) -> tuple[Listed, ...]:
        """The dates that the source lists for these tickers, past and to come, on the evening of `day`, each
        kind in one list; it raises nothing. Nothing where it has no such list.
        """
        return (Listed(left_out=(f"source {self.name!r} has no calendar of events",)),)

    def fetch(self, asked: Asked, last: dt.date, done: Callable[[Ticker], None] = nobody) -> Offered:
        """Every row of each ticker from its first session (None: from the beginning) to `last`, both
        inclusive.

        What stands in the way of one ticker is its `Told.problem`: UnknownTicker or NoPrices (of the rule
        `no_rows`) where there is nothing, TransientError where it may come later, FileRefused and TickerHeld
        where it cannot be read without guessing.

        Args:
            done: hears of each ticker that is answered, from any thread.

        Raises:
            FatalError: nothing can be asked of this source.
        """
        ...


def listed_actions(
    ticker: str | pd.Categorical,
    days: NDArray[np.datetime64],
    dividends: NDArray[np.float64] | None,
    splits: NDArray[np.float64] | None,
) -> pd.DataFrame:
    """Ticker, session, kind and value of the actions that stand beside rows, 0 where there is no dividend, 0
    or 1 where there is no split.

    Args:
        ticker: one, or (rows,).
        days, dividends, splits: (rows,) in the order in which the actions are wanted; None where the source
            has none.
    """
    parts = []
    for kind, values, no in (("dividend", dividends, [0.0]), ("split", splits, [0.0, 1.0])):
        if values is not None:
            at = np.flatnonzero(~np.isnan(values) & ~np.isin(values, no))
            owner = ticker if isinstance(ticker, str) else ticker[at].astype(str)
            listed = {"ticker": owner, "session": days[at], "kind": kind, "value": values[at]}
            parts.append(pd.DataFrame(listed, index=at))
    return actions_frame([pd.concat(parts).sort_index(kind="stable")] if parts else ())


def actions_frame(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Ticker, session, kind and value, typed, the parts one below the other."""
    return _joined_frame(parts, {"ticker": str, "session": "datetime64[us]", "kind": str, "value": float})


def refused_frame(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Ticker and REFUSED_COLUMNS, typed, the parts one below the other."""
    return _joined_frame(
        parts, {"ticker": str, "session": "datetime64[us]", **dict.fromkeys(REFUSED_COLUMNS[1:], str)}
    )


def _joined_frame(parts: Iterable[pd.DataFrame], types: Mapping[str, Any]) -> pd.DataFrame:
    filled = [part[list(types)] for part in parts if len(part)]
    if not filled:
        return _empty_frame(tuple(types.items())).copy()
    joined = filled[0] if len(filled) == 1 else pd.concat(filled)
    return joined.astype(dict(types)).reset_index(drop=True)


@functools.cache
def _empty_frame(types: tuple[tuple[str, Any], ...]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in types})


def as_json(row: Mapping[str, object]) -> str:
    """One row as JSON: missing as null, the session as a date, infinities as text (JSON has none)."""
    return json.dumps({name: _plain(value) for name, value in row.items()})


def _plain(value: object) -> object:
    if isinstance(value, pd.Timestamp | np.datetime64):
        return str(value.astype("M8[D]") if isinstance(value, np.datetime64) else value.date())
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else str(value)
    return value
