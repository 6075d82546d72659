"""Which rows of a fetch are good, and whether the ticker may go on with them.

Two kinds of rule. A *row rule* refuses one row: it goes to the quarantine with the rule and the reason, the others stay. A
*table rule* looks at all rows together and holds the whole ticker back for this run.

A row that is merely early (today's unfinished bar) or a mere repetition is set aside too, but is no sign of bad data and does
not count against the ticker. Rules never repair. They are pandera checks, all evaluated at once, so that the reason names every
breach of a row.
"""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pandera.pandas as pa
from numpy.typing import NDArray

from forecast_lib.domain import AsOf, Ticker
from forecast_lib.errors import TickerHeld
from forecast_lib.prices.adjust import SPLIT_RANGE, split_adjusted
from forecast_lib.prices.source import ACTION_COLUMNS, RAW_COLUMNS, FetchedPrices
from forecast_lib.sessions import TickerCalendar
from forecast_lib.tables import PRICE_VALUES

__all__ = ["GOOD_COLUMNS", "HARMLESS_RULES", "QUARANTINE_COLUMNS", "CheckedPrices", "check_prices"]

GOOD_COLUMNS = ("session", *PRICE_VALUES)
QUARANTINE_COLUMNS = ("session", "row", "origin", "rule", "reason")

HARMLESS_RULES = frozenset({"future_session", "unfinished_session", "repeated_row"})
"""Set aside, but no sign of bad data: early, or said twice with the same figures."""

TOLERANCE = 1e-6
"""Relative; re-based prices carry single-precision noise of about 1e-7, real breaches are cents."""

LARGEST_PRICE = 1e9
"""The dearest share (Berkshire Hathaway A) costs under 1e6 dollars, indices and won prices stay under 1e7."""

REFUSED_SHARE, REFUSED_ROWS = 0.01, 3
"""More than this share *and* more than so many rows refused: then the table is bad. Three are forgiven in a short fetch."""

RECENT_SESSIONS = 250
"""About a year: what the windows and the volatility of tonight's forecast see. Older flaws are counted, and hold nobody."""

LONGEST_GAP = 10
"""Consecutive missing sessions, two weeks: longer than closures that a calendar may not know of."""

MISSING_SHARE = 0.05
"""Of the recent sessions; and never fewer than four, so that a young ticker is not held for one day."""

FRESH_SESSIONS = 10
"""Sources deliver a late split within days; a jump that stays unexplained for so long is a real move."""

JUMP = np.log(1.4)
"""A close up by 40 % or down by 29 % with no split to explain it, in the fresh sessions. None of 132,545 daily
moves of 32 large US companies, 2005-2021, is as large (the nearest: UNH, 2008-10-13, +35 %, 0.30); 3:2 is 0.41."""

SPLIT_LIKE_JUMP = np.log(1.9)
"""Nearly a 2:1 split; holds for all recent sessions, because such a step would rule the model's scale. Large companies hardly
ever halve in a day (AAPL did on 2000-09-29), splits are missed often."""

CRYPTO_JUMP = np.log(2.5)
"""Both limits for markets that never close: coins do not split, and do lose 40 % in a day (bitcoin on 2020-03-12); -60 % or
+150 %."""

_ALWAYS_OPEN = "24/7"


@dataclass(frozen=True)
class CheckedPrices:
    """What the rules left of a fetch.

    Attributes:
        good: GOOD_COLUMNS, oldest session first, one row a session, as traded.
        quarantined: QUARANTINE_COLUMNS; `row` is the row as it came, as JSON; with the rows that the source itself could not
            read.
        actions: ACTION_COLUMNS, oldest first, on sessions that are known at the as-of.
        hold: why the whole ticker must not go on tonight, or None.
        older_jumps: moves beyond the limit that lie too far back to hold the ticker.
        rows: how many rows came, readable or not.
    """

    ticker: Ticker
    good: pd.DataFrame
    quarantined: pd.DataFrame
    actions: pd.DataFrame
    hold: TickerHeld | None
    older_jumps: int
    rows: int
    currency: str | None = None
    exchange_timezone: str | None = None


def check_prices(
    fetched: FetchedPrices,
    calendar: TickerCalendar,
    as_of: AsOf,
    *,
    known: pd.DataFrame | None = None,
    known_actions: pd.DataFrame | None = None,
) -> CheckedPrices:
    """The good rows of a fetch, the refused ones with their reasons, and whether the ticker is held.

    Args:
        fetched: what a source answered.
        calendar: the ticker's own.
        as_of: rows later than its day, or of sessions not over at its now, are set aside.
        known: rows stored before, as traded: `session`, `close`, and `currency` if there is one. With them a fetch of the last
            few sessions is judged as the continuation it is. A fetched row takes the place of a known one.
        known_actions: ACTION_COLUMNS stored before.
    """
    prices = _with_plain_index(fetched.prices)
    breaches = _breaches(prices, calendar, as_of)
    good = prices.drop(index=breaches.index).sort_values("session", ignore_index=True)[list(GOOD_COLUMNS)]
    actions, bad_actions = _checked_actions(fetched.actions, calendar.last_known(as_of))
    own = fetched.refused[list(QUARANTINE_COLUMNS)] if len(fetched.refused) else None
    quarantined = _joined([own, _quarantine(prices, breaches), bad_actions], QUARANTINE_COLUMNS)
    whole = _history(known, good)
    all_actions = _joined([known_actions, actions], ACTION_COLUMNS).drop_duplicates(["session", "kind"], keep="last")
    jumps = _unexplained_jumps(whole, all_actions, calendar)
    rows = len(prices) + len(fetched.refused)
    hold = (
        _currency_changed(fetched, known)
        or _no_rows(fetched.ticker, good, quarantined, known)
        or _too_many_refused(fetched.ticker, quarantined, rows)
        or _gap(fetched.ticker, whole, calendar)
        or _jump(fetched.ticker, jumps)
    )
    older = int((~jumps["holds"]).sum())
    return CheckedPrices(
        fetched.ticker, good, quarantined, actions, hold, older, rows, fetched.currency, fetched.exchange_timezone
    )


# -- row rules ----------------------------------------------------------------------------------------------------------------

Passes = Callable[[pd.DataFrame], pd.Series]
_FIGURES = list(PRICE_VALUES)
_PRICES = ["open", "high", "low", "close", "adj_close"]


def _at_most(lower: str, upper: str) -> Passes:
    """Passes where `lower` is not above `upper`, or where either is missing."""
    return lambda rows: ~(rows[lower] > rows[upper] * (1 + TOLERANCE))


def _value_rules() -> dict[str, tuple[Passes, str]]:
    """Rule -> what a good row passes, and the reason for one that does not; in the order in which a row's rule is chosen."""
    return {
        "close_missing": (lambda rows: rows["close"].notna(), "no close"),
        "not_finite": (lambda rows: ~np.isinf(rows[_FIGURES]).any(axis=1), "an infinite value"),
        "not_positive": (lambda rows: ~(rows[_PRICES] <= 0).any(axis=1), "a price that is zero or negative"),
        "too_large": (
            lambda rows: ~((rows[_PRICES] > LARGEST_PRICE) & (rows[_PRICES] < np.inf)).any(axis=1),
            f"a price above {LARGEST_PRICE:g}",
        ),
        "low_above_open": (_at_most("low", "open"), "low {low:.10g} is above open {open:.10g}"),
        "low_above_close": (_at_most("low", "close"), "low {low:.10g} is above close {close:.10g}"),
        "low_above_high": (_at_most("low", "high"), "low {low:.10g} is above high {high:.10g}"),
        "open_above_high": (_at_most("open", "high"), "open {open:.10g} is above high {high:.10g}"),
        "close_above_high": (_at_most("close", "high"), "close {close:.10g} is above high {high:.10g}"),
        "negative_volume": (lambda rows: ~(rows["volume"] < 0), "volume {volume:.10g} is negative"),
    }


def _session_rules(calendar: TickerCalendar, as_of: AsOf) -> dict[str, tuple[Passes, str]]:
    day, closed = pd.Timestamp(as_of.day), calendar.last_closed(as_of.now)
    return {
        "future_session": (lambda rows: rows["session"] <= day, f"later than the as-of day {day.date()}"),
        "unknown_session": (lambda rows: _are_sessions(rows["session"], calendar), f"no session of {calendar.name}"),
        "unfinished_session": (
            lambda rows: (rows["session"] <= closed) | (rows["session"] > day),
            f"not over by {as_of.now:%Y-%m-%d %H:%M} UTC, settling time included",
        ),
        "repeated_row": (lambda rows: ~rows.duplicated(list(GOOD_COLUMNS)), "the same row stands above"),
        "duplicate_session": (_no_rival, "several rows of this session, with different figures"),
    }


def _are_sessions(days: pd.Series, calendar: TickerCalendar) -> pd.Series:
    if calendar.recorded_fallback or days.empty:  # Monday to Friday is only a stand-in: it can refuse nothing
        return pd.Series(True, index=days.index)
    return days.isin(calendar.sessions(days.min(), days.max()))


def _no_rival(rows: pd.DataFrame) -> pd.Series:
    """Passes where no row of the same session says something else."""
    distinct = rows.drop_duplicates(list(GOOD_COLUMNS))
    contested = distinct.loc[distinct.duplicated("session"), "session"]
    return ~rows["session"].isin(contested)


def _schema(rules: dict[str, tuple[Passes, str]]) -> pa.DataFrameSchema:
    checks = [pa.Check(passes, name=rule, error=rule, ignore_na=False) for rule, (passes, _) in rules.items()]
    types = {"session": pa.Column(nullable=False), **{figure: pa.Column(float, nullable=True) for figure in _FIGURES}}
    return pa.DataFrameSchema({**types, "origin": pa.Column(str)}, checks=checks, strict=True)


def _breaches(prices: pd.DataFrame, calendar: TickerCalendar, as_of: AsOf) -> pd.DataFrame:
    """Index of a refused row -> `rule` (the first in order) and `reason` (all of them).

    Raises:
        pandera.errors.SchemaErrors: a source that does not keep to RAW_COLUMNS; a fault of the program, not of the data.
    """
    rules = _value_rules() | _session_rules(calendar, as_of)
    try:
        _schema(rules).validate(prices, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        if not cases["check"].isin(rules).all():
            raise
        # pandera reports a breach once for each column of the row.
        found = cases[["index", "check"]].drop_duplicates().astype({"index": int})
        found["order"] = found["check"].map({rule: order for order, rule in enumerate(rules)})
        found = found.sort_values(["index", "order"])
        figures = prices.loc[found["index"]].to_dict("records")
        found["reason"] = [rules[rule][1].format(**row) for rule, row in zip(found["check"], figures, strict=True)]
        return found.groupby("index").agg(rule=("check", "first"), reason=("reason", "; ".join))
    return pd.DataFrame({"rule": [], "reason": []}, dtype=str)


def _quarantine(prices: pd.DataFrame, breaches: pd.DataFrame) -> pd.DataFrame | None:
    if breaches.empty:
        return None
    rows = prices.loc[breaches.index]
    texts = [_as_json(row) for row in rows.drop(columns="origin").to_dict("records")]
    return rows[["session", "origin"]].assign(row=texts, rule=breaches["rule"], reason=breaches["reason"])


def _as_json(row: dict[str, object]) -> str:
    """One row as JSON: missing as null, the session as a date, infinities as text (JSON has none)."""
    return json.dumps({str(name): _plain(value) for name, value in row.items()})


def _plain(value: object) -> object:
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat()
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else str(value)
    return value


def _checked_actions(actions: pd.DataFrame, last_known: pd.Timestamp) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Actions that are known and usable, oldest first; and the unusable ones as rows of the quarantine."""
    known = actions[actions["session"] <= last_known].drop_duplicates().sort_values(["session", "kind"], ignore_index=True)
    is_split = known["kind"] == "split"
    dividend_fits = known["value"].between(0, LARGEST_PRICE, inclusive="right")
    usable = dividend_fits.where(~is_split, known["value"].between(*SPLIT_RANGE))
    rivals = known.duplicated(["session", "kind"], keep=False) & is_split
    bad = known[~usable | rivals]
    if bad.empty:
        return known, None
    refused = bad[["session"]].assign(
        row=[_as_json(row) for row in bad.to_dict("records")],
        origin="corporate action",
        rule="bad_action",
        reason=np.where(usable[bad.index], "several splits of one session, with different ratios", "no possible value"),
    )
    return known.drop(index=bad.index).reset_index(drop=True), refused


# -- table rules --------------------------------------------------------------------------------------------------------------


def _currency_changed(fetched: FetchedPrices, known: pd.DataFrame | None) -> TickerHeld | None:
    if known is None or fetched.currency is None or "currency" not in known.columns:
        return None
    before = known["currency"].dropna()
    if before.empty or before.iloc[-1] == fetched.currency:
        return None
    reason = f"the currency came as {fetched.currency}, stored rows have {before.iloc[-1]}; check the listing"
    return TickerHeld(fetched.ticker, reason, rule="currency_changed")


def _no_rows(ticker: Ticker, good: pd.DataFrame, quarantined: pd.DataFrame, known: pd.DataFrame | None) -> TickerHeld | None:
    """An empty table breaks no row rule; it must not pass for that. Nothing new since the last run is no breach."""
    nothing_new = known is not None and len(known) > 0 and quarantined["rule"].isin(HARMLESS_RULES).any()
    if len(good) or nothing_new:
        return None
    rules = ", ".join(sorted(set(quarantined["rule"]))) or "none came"
    return TickerHeld(ticker, f"no usable row ({rules}); look at quarantined_prices", rule="no_rows")


def _too_many_refused(ticker: Ticker, quarantined: pd.DataFrame, rows: int) -> TickerHeld | None:
    bad = quarantined[~quarantined["rule"].isin(HARMLESS_RULES)]
    if len(bad) <= REFUSED_ROWS or len(bad) <= REFUSED_SHARE * rows:
        return None
    most, first = bad["rule"].value_counts(), bad.iloc[0]
    reason = (
        f"{len(bad)} of {rows} rows refused, {most.iloc[0]} by {most.index[0]}; first at {first['origin']}: {first['reason']}"
    )
    return TickerHeld(ticker, reason, rule="too_many_refused")


def _gap(ticker: Ticker, history: pd.DataFrame, calendar: TickerCalendar) -> TickerHeld | None:
    """Holes between the rows of the last year. Sessions after the last row are no hole: the data are then old, which is said
    elsewhere."""
    if history.empty:
        return None
    sessions = calendar.sessions(history["session"].iloc[0], history["session"].iloc[-1])[-RECENT_SESSIONS:]
    missing = ~sessions.isin(history["session"])
    longest = _longest_run(missing)
    # Where Monday to Friday stands in for an unknown calendar, holidays are among the missing.
    allowed = np.inf if calendar.recorded_fallback else max(REFUSED_ROWS, MISSING_SHARE * len(sessions))
    if longest <= LONGEST_GAP and missing.sum() <= allowed:
        return None
    first = sessions[missing][0].date()
    reason = f"{missing.sum()} of the last {len(sessions)} sessions are missing, {longest} in a row; first missing {first}"
    return TickerHeld(ticker, reason, rule="gap")


def _longest_run(flags: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _unexplained_jumps(history: pd.DataFrame, actions: pd.DataFrame, calendar: TickerCalendar) -> pd.DataFrame:
    """Moves of the split-adjusted close beyond the limits: session, log_return, holds (recent enough to hold the ticker)."""
    close = split_adjusted(history[["session", "close"]], actions)["close"]
    log_return = np.log(close).diff()
    always_open = calendar.name == _ALWAYS_OPEN
    age = len(history) - 1 - np.arange(len(history))
    size = log_return.abs()
    fresh = (size > (CRYPTO_JUMP if always_open else JUMP)) & (age < FRESH_SESSIONS)
    split_like = (size > (CRYPTO_JUMP if always_open else SPLIT_LIKE_JUMP)) & (age < RECENT_SESSIONS)
    jumps = pd.DataFrame({"session": history["session"], "log_return": log_return, "holds": fresh | split_like})
    return jumps[size > (CRYPTO_JUMP if always_open else JUMP)]


def _jump(ticker: Ticker, jumps: pd.DataFrame) -> TickerHeld | None:
    holding = jumps[jumps["holds"]]
    if holding.empty:
        return None
    session, log_return, _ = holding.iloc[-1]
    reason = (
        f"close moved by {np.expm1(log_return):+.0%} on {session.date()} without a split to explain it; "
        "check the source for a missing split or a change of unit"
    )
    return TickerHeld(ticker, reason, rule="jump")


# -- tables -------------------------------------------------------------------------------------------------------------------


def _history(known: pd.DataFrame | None, good: pd.DataFrame) -> pd.DataFrame:
    """Session and close of what will be stored after this run, oldest first."""
    columns = ["session", "close"]
    parts = [good[columns]] if known is None else [known[columns], good[columns]]
    return pd.concat(parts).drop_duplicates("session", keep="last").sort_values("session", ignore_index=True)


def _with_plain_index(prices: pd.DataFrame) -> pd.DataFrame:
    return prices[list(RAW_COLUMNS)].reset_index(drop=True)


def _joined(parts: list[pd.DataFrame | None], columns: tuple[str, ...]) -> pd.DataFrame:
    """The parts that have rows, one below the other, with these columns; typed also where there are none."""
    types = {name: "datetime64[us]" if name == "session" else float if name == "value" else str for name in columns}
    filled = [part[list(columns)].astype(types) for part in parts if part is not None and len(part)]
    empty = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in types.items()})
    return functools.reduce(lambda above, below: pd.concat([above, below], ignore_index=True), filled) if filled else empty
