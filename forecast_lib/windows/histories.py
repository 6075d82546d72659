"""The price rows of many tickers as columns: one array a figure, not one frame a ticker."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.windows.series import Array, TickerSeries

__all__ = ["FIGURES", "Histories", "Splits", "key_of", "series_from", "shares_since", "splits_of"]

_Ratios = tuple[NDArray[np.datetime64], Array]

Splits = Mapping[str, _Ratios]
"""By ticker, the sessions of its splits, ascending, and how many new shares each gave for one old. Changes of
unit likewise, with what prices before them are divided by.
"""


FIGURES = ("open", "high", "low", "close", "volume")
_DAY_BITS = 32
_ROWS_A_RUN = 100


@dataclass(frozen=True)
class Histories:
    """Rows of several tickers, by ticker in the order of `tickers`, and by session; one row a session.

    Attributes:
        tickers: their names; one without rows may be among them.
        of: (rows,) place of the row's ticker in `tickers`, int32, ascending.
        sessions: (rows,) datetime64[D].
        figures: by name (rows,), NaN where there is none; FIGURES, and `adj_close` where it was asked for.
        currencies: the codes that occur.
        currency: (rows,) place of the row's currency in `currencies`, -1 where the source gave none.
    """

    tickers: tuple[str, ...]
    of: NDArray[np.int32]
    sessions: NDArray[np.datetime64]
    figures: Mapping[str, Array]
    currencies: tuple[str, ...]
    currency: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.of)

    @classmethod
    def none(cls, tickers: Sequence[str] = (), *more: str) -> "Histories":
        """No rows; `more` figures than usual."""
        figures = {name: np.empty(0) for name in (*FIGURES, *more)}
        return cls(
            tuple(tickers),
            np.empty(0, np.int32),
            np.empty(0, "datetime64[D]"),
            figures,
            (),
            np.empty(0, np.int16),
        )

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, tickers: Sequence[str]) -> "Histories":
        """From rows with `ticker`, `session`, figures and maybe `currency`; tickers that are not named are
        left out.

        >>> days = pd.to_datetime(["2024-06-03", "2024-06-03"])
        >>> rows = pd.DataFrame({"ticker": ["B", "A"], "session": days, **dict.fromkeys(FIGURES, [1.0, 2.0])})
        >>> Histories.from_frame(rows, ["A", "B"]).figures["close"].tolist()
        [2.0, 1.0]
        """
        of = pd.Index(tickers).get_indexer(frame["ticker"]).astype(np.int32)
        known = of >= 0
        if not known.all():
            frame, of = frame[known], of[known]
        figures = {
            name: frame[name].to_numpy(np.float64, na_value=np.nan)
            for name in (*FIGURES, "adj_close")
            if name in frame
        }
        codes, names = pd.factorize(frame["currency"]) if "currency" in frame else (None, [])
        currency = None if codes is None else codes.astype(np.int16)
        return cls.ordered(
            tickers,
            of,
            frame["session"].to_numpy("datetime64[D]"),
            figures,
            [str(name) for name in names],
            currency,
        )

    @classmethod
    def ordered(
        cls,
        tickers: Sequence[str],
        of: NDArray[np.int32],
        sessions: NDArray[np.datetime64],
        figures: Mapping[str, Array],
        currencies: Sequence[str] = (),
        currency: NDArray[np.int16] | None = None,
    ) -> "Histories":
        """From rows in any order; rows of the same ticker and session stay in the order in which they
        came.
        """
        codes = np.full(len(of), -1, dtype=np.int16) if currency is None else currency
        days = sessions.astype("datetime64[D]")
        keys = key_of(of, days)
        if (keys[1:] < keys[:-1]).any():
            order = np.argsort(keys, kind="stable")
            of, days, codes = of[order], days[order], codes[order]
            figures = {name: values[order] for name, values in figures.items()}
        return cls(tuple(tickers), of, days, figures, tuple(currencies), codes)

    @classmethod
    def side_by_side(
        cls, parts: Sequence["Histories"], tickers: Sequence[str]
    ) -> tuple["Histories", NDArray[np.intp]]:
        """The rows of all parts under one list of names, and where each was in the parts one after the other;
        rows of the same ticker and session stay in the order of the parts. Figures that only some have are
        missing in the others.
        """
        parts = [part for part in parts if len(part)] or parts[:1]
        if len(parts) == 1:
            return parts[0].placed(tickers), np.arange(len(parts[0]))
        names = tuple(dict.fromkeys(code for part in parts for code in part.currencies))
        figures = tuple(dict.fromkeys(name for part in parts for name in part.figures))
        columns = [
            np.concatenate([part.figures.get(name, np.full(len(part), np.nan)) for part in parts])
            for name in figures
        ]
        index = pd.Index(tickers)
        of = np.concatenate([index.get_indexer(part.tickers).astype(np.int32)[part.of] for part in parts])
        days = np.concatenate([part.sessions for part in parts])
        codes = [
            np.array([*(names.index(code) for code in part.currencies), -1], dtype=np.int16)[part.currency]
            for part in parts
        ]
        keys = key_of(of, days)
        order = np.arange(len(of)) if (keys[1:] >= keys[:-1]).all() else np.argsort(keys, kind="stable")
        picked = {name: values[order] for name, values in zip(figures, columns, strict=True)}
        return cls(tuple(tickers), of[order], days[order], picked, names, np.concatenate(codes)[order]), order

    def part(self, place: int) -> "Histories":
        """One ticker's rows, by themselves."""
        # with numbers of another kind NumPy would copy the whole column first
        low, high = np.searchsorted(self.of, np.array([place, place + 1], dtype=self.of.dtype)).tolist()
        rows = self.rows(slice(low, high))
        return dataclasses.replace(
            rows, tickers=(self.tickers[place],), of=np.zeros(len(rows), dtype=np.int32)
        )

    def spans(self) -> Iterator[tuple[str, int, int]]:
        """Each ticker, and where its rows begin and end."""
        bounds = self.bounds().tolist()
        return zip(self.tickers, bounds[:-1], bounds[1:], strict=True)

    def last_of_each(self) -> "Histories":
        """One row a ticker and session: of several the last."""
        last = self.is_last()
        return self if last.all() else self.rows(last)

    def is_last(self) -> NDArray[np.bool_]:
        """(rows,) whether it is the last of its ticker and session."""
        keys = self.keys()
        return np.append(keys[1:] != keys[:-1], True)[: len(keys)]

    def placed(self, tickers: Sequence[str]) -> "Histories":
        """The same rows, their places counted in a longer list of tickers; both lists are in the order of
        their names.
        """
        if self.tickers == tuple(tickers):
            return self
        places = np.searchsorted(np.array(tickers, dtype=str), np.array(self.tickers, dtype=str)).astype(
            np.int32
        )
        return dataclasses.replace(self, tickers=tuple(tickers), of=places[self.of] if len(self) else self.of)

    def is_among(self, others: "Histories") -> NDArray[np.bool_]:
        """(rows,) whether the others, of the same tickers, have a row of this ticker and session."""
        if not len(others):
            return np.zeros(len(self), dtype=bool)
        mine, theirs = self.keys(), others.keys()
        found: NDArray[np.bool_] = theirs[np.minimum(np.searchsorted(theirs, mine), len(theirs) - 1)] == mine
        return found

    def among(self, others: "Histories") -> "Histories":
        """The rows of which the others, of the same tickers and fewer, have the ticker and session too."""
        if not len(self) or not len(others):
            return self.rows(slice(0))
        mine, theirs = self.keys(), others.keys()
        at = np.minimum(np.searchsorted(mine, theirs), len(mine) - 1)
        return self.rows(at[mine[at] == theirs])

    def frame(self) -> pd.DataFrame:
        """The rows as a frame: ticker, session, figures and currency."""
        names, codes = (
            pd.array(list(words), dtype="str") for words in (self.tickers, (*self.currencies, None))
        )
        sessions = self.sessions.astype("datetime64[us]")
        return pd.DataFrame(
            {"ticker": names[self.of], "session": sessions, **self.figures, "currency": codes[self.currency]}
        )

    def bounds(self) -> NDArray[np.intp]:
        """(tickers + 1,): the rows of ticker `i` are `bounds[i]` to `bounds[i + 1]`, the latter exclusive."""
        return np.searchsorted(self.of, np.arange(len(self.tickers) + 1, dtype=np.int32))

    def keys(self) -> NDArray[np.int64]:
        """(rows,) one number for ticker and session, ascending."""
        return key_of(self.of, self.sessions)

    def newest_currencies(self) -> dict[str, str]:
        """By ticker, the currency of its newest row that has one."""
        has = np.flatnonzero(self.currency >= 0)
        of = self.of[has]
        last = has[np.append(of[1:] != of[:-1], True)[: len(of)]]
        return {
            self.tickers[place]: self.currencies[code]
            for place, code in zip(self.of[last], self.currency[last], strict=True)
        }

    def with_currencies_of(self, stored: "Histories") -> "Histories":
        """Rows without a currency in the newest one that is stored of their ticker."""
        if not len(self) or (self.currency >= 0).all() or not stored.currencies:
            return self
        known = stored.newest_currencies()
        names = tuple(dict.fromkeys([*self.currencies, *known.values()]))
        codes = np.array(
            [names.index(known[ticker]) if ticker in known else -1 for ticker in self.tickers], dtype=np.int16
        )
        return dataclasses.replace(
            self, currencies=names, currency=np.where(self.currency < 0, codes[self.of], self.currency)
        )

    def overlaid(self, later: "Histories", *more: str) -> "Histories":
        """These rows and the later ones of the same tickers, which take the place of those of the same
        session.

        Args:
            more: figures beside FIGURES that both are to keep, missing where they have none.
        """
        if not len(later) and not more:
            return self
        if not len(self):
            return dataclasses.replace(
                later, figures={name: later.figures[name] for name in (*FIGURES, *more)}
            )
        names = tuple(dict.fromkeys([*self.currencies, *later.currencies]))
        renamed = np.array([*(names.index(code) for code in later.currencies), -1], dtype=np.int16)
        mine, theirs = self.keys(), later.keys()
        at = np.searchsorted(mine, theirs)
        again = mine[np.minimum(at, len(mine) - 1)] == theirs

        before, new = at[~again], theirs.size - np.count_nonzero(again)
        replaced = at[again] + np.searchsorted(before, at[again], side="right")
        stays = np.ones(len(mine) + new, dtype=bool)
        stays[before + np.arange(new)] = False
        runs = _runs(stays)

        def joined(now: NDArray[Any], then: NDArray[Any]) -> NDArray[Any]:
            both = np.empty(len(stays), dtype=now.dtype)
            _put(both, stays, runs, now)
            both[before + np.arange(new)] = then[~again]
            both[replaced] = then[again]
            return both

        def figure(rows: "Histories", name: str) -> Array:
            return rows.figures[name] if name in rows.figures else np.full(len(rows), np.nan)

        figures = {name: joined(figure(self, name), figure(later, name)) for name in (*FIGURES, *more)}
        of, days = joined(self.of, later.of), joined(self.sessions, later.sessions)
        return Histories(
            self.tickers, of, days, figures, names, joined(self.currency, renamed[later.currency])
        )

    def rows(self, chosen: NDArray[np.bool_] | NDArray[np.intp] | slice) -> "Histories":
        """Some of the rows, in their order."""
        runs = _runs(chosen) if isinstance(chosen, np.ndarray) and chosen.dtype == bool else None

        def picked(values: NDArray[Any]) -> NDArray[Any]:
            if runs is None:
                return values[chosen]
            return values[runs[0]] if len(runs) == 1 else np.concatenate([values[run] for run in runs])

        figures = {name: picked(values) for name, values in self.figures.items()}
        return Histories(
            self.tickers,
            picked(self.of),
            picked(self.sessions),
            figures,
            self.currencies,
            picked(self.currency),
        )


def _runs(flags: NDArray[Any]) -> list[slice] | None:
    """Where the flags are set, from one place to another; None where that changes too often for whole runs to
    be copied faster.
    """
    edges = np.flatnonzero(flags[1:] != flags[:-1]) + 1
    if not len(flags) or not flags.any() or len(edges) * _ROWS_A_RUN > len(flags):
        return None
    ends = [0, *edges.tolist(), len(flags)]
    return [slice(low, high) for low, high in itertools.pairwise(ends) if flags[low]]


def _put(
    values: NDArray[Any], flags: NDArray[np.bool_], runs: list[slice] | None, given: NDArray[Any]
) -> None:
    """Fill the flagged places with the given values, in order."""
    if runs is None:
        values[flags] = given
        return
    at = 0
    for run in runs:
        values[run] = given[at : at + run.stop - run.start]
        at += run.stop - run.start


def key_of(of: NDArray[np.int32], days: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """One number for ticker and session, in their order."""
    keys = of.astype(np.int64)
    keys <<= _DAY_BITS
    keys += days.view(np.int64)  # before 1970 they are negative, by far less than a ticker's step
    return keys


def series_from(
    histories: Histories, splits: Splits, units: Splits = MappingProxyType({})
) -> dict[str, TickerSeries]:
    """The split-adjusted series of each ticker that has rows; without splits they are views, nothing is
    copied.

    Args:
        splits, units: of the tickers that have any. Volumes count shares: no change of unit moves them.

    Raises:
        ValueError: a close is not a positive number.
    """
    close = histories.figures["close"]
    if not (close.min(initial=1.0) > 0 and close.max(initial=1.0) < np.inf):  # NaN is neither
        raise ValueError("every close must be positive and finite")
    none = np.broadcast_to(1.0, len(histories))
    return {
        ticker: _series(histories, ticker, slice(low, high), none, splits.get(ticker), units.get(ticker))
        for ticker, low, high in histories.spans()
        if high > low
    }


def _series(
    histories: Histories,
    ticker: str,
    rows: slice,
    none: Array,
    splits: _Ratios | None,
    units: _Ratios | None,
) -> TickerSeries:
    sessions, none = histories.sessions[rows], none[rows]
    values = {name: histories.figures[name][rows] for name in FIGURES}
    shares = none if splits is None else shares_since(sessions, *splits)
    divided_by = shares if units is None else shares * shares_since(sessions, *units)
    if divided_by is not none:
        inverse = 1 / divided_by
        values = {
            name: each / (1 / shares) if name == "volume" else each * inverse for name, each in values.items()
        }
    return TickerSeries(
        ticker, sessions, **values, divided_by=divided_by, inputs=None, shape=None, missing=None
    )


def splits_of(actions: pd.DataFrame, kind: str = "split") -> Splits:
    """From `ticker`, `session`, `kind` and `value` in any order."""
    chosen = actions[actions["kind"] == kind].sort_values("session")
    return {
        str(ticker): (rows["session"].to_numpy("datetime64[D]"), rows["value"].to_numpy(float))
        for ticker, rows in chosen.groupby("ticker")
    }


def shares_since(sessions: NDArray[np.datetime64], days: NDArray[np.datetime64], ratios: Array) -> Array:
    """(n,) how many shares one share of each session has become by the splits after it; `days` ascend."""
    from_here_on: Array = np.append(ratios[::-1].cumprod()[::-1], 1.0)
    return from_here_on[np.searchsorted(days, sessions, side="right")]
