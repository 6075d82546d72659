"""Odd moves of tonight's rows, judged by the evidence: which rows wait, and which splits are inferred.

The judge (`prices.evidence`) has no memory: it sees the same rows each night, those that wait among them, and
says of each odd move what it is by now. So a row that waited is let in by itself once what follows speaks for
it.
"""

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.prices.actions import INFERRED, WITHDRAWN, among, standing
from forecast_lib.prices.evidence import Case, Verdict, judge_moves, sentence
from forecast_lib.prices.odd import market_moves, odd_rows
from forecast_lib.prices.rules.rule import ROW
from forecast_lib.prices.rules.view import Exchanges, bars_of, split_adjusted
from forecast_lib.prices.screen import Strike, portions
from forecast_lib.prices.source import actions_frame
from forecast_lib.tables import typed
from forecast_lib.windows.histories import Histories, Splits, key_of

__all__ = ["Judged", "can_split", "judged", "set_aside", "word_of_person"]

_STILL_OPEN = 30
"""Sessions: what is judged anew each night, besides all that is new."""

_NO_SPLITS = frozenset({"24/7", "24/5", "us_futures"})

Days = NDArray[np.datetime64]


@dataclass(frozen=True)
class Judged:
    """What the evidence says of tickers with odd moves.

    Attributes:
        verdicts: by ticker, those on moves that are open or new tonight, oldest first.
        since: by ticker, the first session that was judged.
        strikes: offered rows that wait.
    """

    verdicts: Mapping[str, tuple[Verdict, ...]]
    since: Mapping[str, np.datetime64]
    strikes: tuple[Strike, ...]

    def inferred(self, known: pd.DataFrame, listed: pd.DataFrame) -> pd.DataFrame:
        """Ticker, session, kind, value and source: splits and changes of unit that the prices show and no
        source lists; known ones that they no longer show are taken back.

        Args:
            known: actions, with their `source`.
            listed: tonight by the source: ticker, session, kind and value.
        """
        found = [
            (ticker, verdict.session, verdict.verdict, verdict.ratio)
            for ticker, verdicts in self.verdicts.items()
            for verdict in verdicts
            if verdict.ratio != 1
        ]
        shown = actions_frame([pd.DataFrame(found, columns=list(listed))])
        before = standing(known[known["source"] == INFERRED])
        before = before[~among(before, shown) & ~among(before, listed)]
        judged = [self._judged(row.ticker, row.session) for row in before.itertuples()]
        gone = before[np.array(judged, dtype=bool)]
        gone = gone.assign(value=gone["kind"].map(WITHDRAWN))
        return actions_frame([shown, gone]).assign(source=INFERRED)

    def _judged(self, ticker: str, session: Any) -> bool:
        return ticker in self.since and bool(np.datetime64(session, "D") >= self.since[ticker])

    def changed(self, known: pd.DataFrame) -> pd.DataFrame:
        """Ticker, session, verdict and evidence (JSON) of what is judged otherwise than before.

        Args:
            known: `price_verdicts` as they were known; what a person said stays.
        """
        before = {(row.ticker, np.datetime64(row.session, "D")): row for row in known.itertuples()}
        tonight = {
            (ticker, each.session.astype("M8[D]")): each
            for ticker, verdicts in self.verdicts.items()
            for each in verdicts
        }
        rows = []
        for (ticker, session), each in tonight.items():
            waits = [str(day) for day in each.rows.astype("M8[D]")]
            evidence = {**each.evidence, "ratio": each.ratio, "rows": waits, "sentence": sentence(each)}
            old = before.get((ticker, session))
            then = {} if old is None else {"verdict": old.verdict, **json.loads(old.evidence)}
            now = {"verdict": each.verdict, **evidence}
            same = all(then.get(name) == now[name] for name in ("verdict", "ratio", "rows"))
            if then.get("by") != "person" and not same:
                rows.append((ticker, session, each.verdict, json.dumps(evidence)))
        for (ticker, session), old in before.items():
            gone = self._judged(ticker, session) and (ticker, session) not in tonight
            if gone and (waiting(old) or old.verdict == "unit") and not _by_person(old.evidence):
                evidence = {"ratio": 1.0, "rows": [], "sentence": "nothing odd is left of it"}
                rows.append((ticker, session, "real", json.dumps(evidence)))
        return typed(
            "price_verdicts", pd.DataFrame(rows, columns=["ticker", "session", "verdict", "evidence"])
        )


def waiting(verdict: Any) -> list[str]:
    """The sessions of a row of `price_verdicts` whose rows wait."""
    evidence = json.loads(verdict.evidence)
    let_in = evidence.get("by") == "person" and verdict.verdict == "real"
    return [] if let_in else [str(day) for day in evidence.get("rows", [])]


def _by_person(evidence: str) -> bool:
    return json.loads(evidence).get("by") == "person"


def word_of_person(verdicts: pd.DataFrame, released: pd.DataFrame) -> dict[str, dict[np.datetime64, str]]:
    """By ticker and session, what a person said of a move: `real` or `bad_print`; a row released from the
    quarantine is real too.
    """
    said: dict[str, dict[np.datetime64, str]] = {}
    for row in released.dropna(subset=["session"]).itertuples():
        said.setdefault(row.ticker, {})[np.datetime64(row.session, "D")] = "real"
    for row in verdicts.itertuples():
        if _by_person(row.evidence):
            said.setdefault(row.ticker, {})[np.datetime64(row.session, "D")] = row.verdict
    return said


def set_aside(verdicts: pd.DataFrame, tickers: Sequence[str]) -> NDArray[np.int64]:
    """Keys (`Histories.keys`) of the stored rows that count for nothing by the newest verdicts on them."""
    listed = [(row.ticker, day) for row in verdicts.itertuples() for day in waiting(row)]
    rows = pd.DataFrame(listed, columns=["ticker", "session"])
    of = pd.Index(tickers).get_indexer(rows["ticker"]).astype(np.int32)
    return np.sort(key_of(of, rows["session"].to_numpy("datetime64[D]"))[of >= 0])


def can_split(ticker: str, calendar: str) -> bool:
    """Whether tickers of this kind split; coins, currency pairs, futures and indices do not.

    >>> can_split("AAPL", "XNYS"), can_split("BTC-USD", "24/7"), can_split("^GSPC", "XNYS")
    (True, False, False)
    """
    return calendar not in _NO_SPLITS and not ticker.startswith("^")


def judged(
    good: Histories,
    places: NDArray[np.intp],
    stored: Histories,
    splits: Splits,
    exchanges: Exchanges,
    said: Mapping[str, Mapping[np.datetime64, str]],
    announced: Splits,
    remembered: Collection[str],
) -> Judged:
    """The odd moves among the rows that the rules left, beside the stored ones.

    Args:
        good: with the places of its rows among all that were offered.
        stored: of the same tickers, without what a person refused.
        splits: by ticker, those that the source or a person has recorded.
        said: what persons said of moves.
        announced: splits that were announced, whether or not they came.
        remembered: tickers of which a verdict or an inferred action stands that tonight's rows may take back,
            though nothing odd be left.
    """
    verdicts: dict[str, tuple[Verdict, ...]] = {}
    since: dict[str, np.datetime64] = {}
    strikes: list[Strike] = []
    mine, theirs = good.bounds(), stored.bounds()
    answered = np.flatnonzero(np.diff(mine))
    recalled = [place for place, ticker in enumerate(good.tickers) if ticker in remembered]
    for low, high in portions(mine + theirs):
        offered = good.rows(slice(mine[low], mine[high]))
        beside = stored.rows(slice(theirs[low], theirs[high]))
        if not len(offered):
            continue
        rows = beside.overlaid(offered, "adj_close") if len(beside) else offered
        with np.errstate(all="ignore"):
            close = split_adjusted(rows, rows.figures["close"], splits)
            odd = odd_rows(rows.of, close)
        bounds, ends = rows.bounds(), beside.bounds()
        market = market_moves(exchanges.of[rows.of], rows.of, rows.sessions, close) if odd.any() else close
        looked_at = answered[np.isin(answered, [*recalled, *np.unique(rows.of[odd])])]
        cases, kept = dict[int, Case](), dict[int, Days]()
        for place in looked_at[(looked_at >= low) & (looked_at < high)].tolist():
            ticker, part = rows.tickers[place], rows.rows(slice(bounds[place], bounds[place + 1]))
            kept[place] = _otherwise_stored(part, beside, place)
            begin = _open_since(part, beside.sessions[ends[place] : ends[place + 1]], kept[place])
            since[ticker] = begin
            if not (part.sessions[odd[bounds[place] : bounds[place + 1]]] >= begin).any():
                continue
            calendar = exchanges.calendars[exchanges.of[place]].name
            cases[place] = Case(
                bars_of(part, splits.get(ticker)),
                can_split(ticker, calendar),
                market[bounds[place] : bounds[place + 1]],
                {day: verdict for day, verdict in said.get(ticker, {}).items() if verdict == "real"},
                dict(zip(*announced.get(ticker, ((), ())), strict=True)),
            )
        for place, found in zip(cases, judge_moves(list(cases.values())), strict=True):
            ticker = rows.tickers[place]
            open_ones = [each for each in found if each.session >= since[ticker]]
            strikes += _waiting(open_ones, good, places, slice(mine[place], mine[place + 1]))
            verdicts[ticker] = tuple(
                dataclasses.replace(each, rows=each.rows[~np.isin(each.rows, kept[place])])
                for each in open_ones
            )
    return Judged(verdicts, since, tuple(strikes))


def _open_since(rows: Histories, stored: Days, otherwise: Days) -> np.datetime64:
    """From which session on moves are judged: the newest _STILL_OPEN, and all from the first on that is not
    stored yet, or with another close.
    """
    new = rows.sessions[~np.isin(rows.sessions, stored)]
    return np.concatenate([rows.sessions[-_STILL_OPEN:][:1], new[:1], otherwise[:1]]).min()


def _otherwise_stored(rows: Histories, stored: Histories, place: int) -> Days:
    """Sessions that are stored with another close than the one that was judged: a revision that waits leaves
    the stored row as it is.
    """
    mine = stored.part(place)
    both = rows.sessions[np.isin(rows.sessions, mine.sessions)]
    now, then = (part.figures["close"][np.searchsorted(part.sessions, both)] for part in (rows, mine))
    return both[~np.isclose(now, then, rtol=1e-6, atol=0.0)]


def _waiting(
    verdicts: Sequence[Verdict], good: Histories, places: NDArray[np.intp], mine: slice
) -> list[Strike]:
    waits = [places[mine][np.isin(good.sessions[mine], verdict.rows.astype("M8[D]"))] for verdict in verdicts]
    return [
        Strike(verdict.verdict, ROW, at, sentence(verdict))
        for verdict, at in zip(verdicts, waits, strict=True)
        if len(at)
    ]
