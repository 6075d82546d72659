"""Which rows of a fetch are good, and whether the ticker may go on with them.

Three kinds of rule. A *row rule* looks at one row, a *past rule* at a row beside its neighbours (`prices.past`), a *table rule* at
all rows together. What happens to what breaks them is the rule's severity (`prices.rules`): the row is refused, one of its values
is, the whole ticker is held back for this run, or it is only counted. Refused rows go to the quarantine with the rule and the
reason; rows that a person released from there pass.

A row that is merely early (today's unfinished bar) or a mere repetition is set aside too, but is no sign of bad data and does
not count against the ticker. Rules never repair. All are evaluated, so that the reason names every breach of a row.
"""

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pandera.pandas as pa
from numpy.typing import NDArray

from forecast_lib.domain import AsOf, Ticker
from forecast_lib.errors import TickerHeld
from forecast_lib.prices.adjust import SPLIT_RANGE, split_factors
from forecast_lib.prices.past import CURRENCY_FACTOR, broken_beside_neighbours, split_that_fits
from forecast_lib.prices.rules import HARMLESS_RULES, RULES, severities_from
from forecast_lib.prices.source import ACTION_COLUMNS, RAW_COLUMNS, FetchedPrices
from forecast_lib.sessions import TickerCalendar
from forecast_lib.tables import PRICE_VALUES

__all__ = ["FINDING_COLUMNS", "GOOD_COLUMNS", "HARMLESS_RULES", "QUARANTINE_COLUMNS", "CheckedPrices", "check_prices"]

GOOD_COLUMNS = ("session", *PRICE_VALUES)
QUARANTINE_COLUMNS = ("session", "row", "origin", "rule", "reason")
FINDING_COLUMNS = ("rule", "severity", "rows", "session")

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

RELEASED_TOLERANCE = 1e-5
"""Relative: a released row may come back with other last digits, after a source re-based its history."""

_ALWAYS_OPEN = "24/7"
_DEFAULTS = severities_from(())
_NOTHING_RELEASED = pd.DataFrame({"session": pd.Series(dtype="datetime64[us]"), "rule": pd.Series(dtype=str), "row": pd.Series(dtype=str)})


@dataclass(frozen=True)
class CheckedPrices:
    """What the rules left of a fetch.

    Attributes:
        good: GOOD_COLUMNS, oldest session first, one row a session, as traded; refused values are missing.
        quarantined: QUARANTINE_COLUMNS; `row` is the row as it came, as JSON; with the rows that the source itself could not
            read, with the rows of which one value was refused, and with the row whose jump holds the ticker.
        actions: ACTION_COLUMNS, oldest first, on sessions that are known at the as-of.
        hold: why the whole ticker must not go on tonight, or None.
        older_jumps: moves beyond the limit that lie too far back to hold the ticker.
        rows: how many rows came, readable or not.
        findings: FINDING_COLUMNS, one row for each rule that was broken: how many rows, the first of them, and what was done.
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
    findings: pd.DataFrame = field(default_factory=lambda: _findings([], _DEFAULTS))


def check_prices(
    fetched: FetchedPrices,
    calendar: TickerCalendar,
    as_of: AsOf,
    *,
    known: pd.DataFrame | None = None,
    known_actions: pd.DataFrame | None = None,
    severities: Mapping[str, str] = _DEFAULTS,
    released: pd.DataFrame = _NOTHING_RELEASED,
) -> CheckedPrices:
    """The good rows of a fetch, the refused ones with their reasons, and whether the ticker is held.

    Args:
        fetched: what a source answered.
        calendar: the ticker's own.
        as_of: rows later than its day, or of sessions not over at its now, are set aside.
        known: rows stored before, as traded: `session`, `close`, and open, high, low, volume and `currency` as far as there are
            any. With them a fetch of the last few sessions is judged as the continuation it is. A fetched row takes the place of
            a known one.
        known_actions: ACTION_COLUMNS stored before.
        severities: by rule, as `rules.severities_from` makes them.
        released: session, rule and row (as JSON) of the rows of this ticker that a person released.
    """
    prices = _with_plain_index(fetched.prices)
    actions, bad_actions = _checked_actions(fetched.actions, calendar.last_known(as_of))
    all_actions = _joined([known_actions, actions], ACTION_COLUMNS).drop_duplicates(["session", "kind"], keep="last")
    breaches = _unreleased(_row_breaches(prices, calendar, as_of), prices, released)
    candidates = prices.drop(index=breaches.loc[_refuses_row(breaches, severities), "index"].unique())
    beside = _past_breaches(candidates, known, all_actions, calendar)
    breaches = pd.concat([breaches, _unreleased(beside, prices, released)], ignore_index=True)
    good = _good(prices, breaches, severities)
    own = fetched.refused[list(QUARANTINE_COLUMNS)] if len(fetched.refused) else None
    quarantined = _joined([own, _quarantine(prices, breaches, severities), bad_actions], QUARANTINE_COLUMNS)
    whole = _history(known, good)
    jumps = _unexplained_jumps(whole, all_actions, calendar, released, severities)
    rows = len(prices) + len(fetched.refused)
    lost = quarantined[quarantined["rule"].map(dict(severities)) != "null_field"]
    checks = (
        _currency_changed(fetched, known),
        _no_rows(fetched.ticker, good, quarantined, known),
        _too_many_refused(fetched.ticker, lost, max(rows, len(whole) + len(lost))),
        _gap(fetched.ticker, whole, calendar),
        _jump(fetched.ticker, jumps),
        _broken_for_good(fetched.ticker, breaches, severities),
    )
    struck = [hold for hold in checks if hold is not None]
    holds = [hold for hold in struck if severities.get(hold.rule, "hold_ticker") == "hold_ticker"]
    if holds and holds[0].rule in _JUMPS:
        quarantined = _joined([quarantined, _row_of_the_jump(prices, jumps, holds[0])], QUARANTINE_COLUMNS)
    return CheckedPrices(
        fetched.ticker,
        good,
        quarantined,
        actions,
        holds[0] if holds else None,
        int((~jumps["holds"]).sum()),
        rows,
        fetched.currency,
        fetched.exchange_timezone,
        _findings([own, bad_actions, _with_sessions(prices, breaches), _of_the_ticker(struck)], severities),
    )


# -- row rules ----------------------------------------------------------------------------------------------------------------

Passes = Callable[[pd.DataFrame], pd.Series]
_FIGURES = list(PRICE_VALUES)
_FRIDAY = 4
_STRAY_SHARE = 0.1
"""Markets with another week trade on a fifth of such days or more."""
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
        "weekend_session": (lambda rows: ~_strays_into_weekend(rows["session"], calendar), f"a weekend, no session of {calendar.name}"),
        "unknown_session": (
            lambda rows: _are_sessions(rows["session"], calendar) | (rows["session"].dt.day_of_week > _FRIDAY),
            f"no session of {calendar.name}",
        ),
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


def _strays_into_weekend(days: pd.Series, calendar: TickerCalendar) -> pd.Series:
    """Saturdays and Sundays that are no session. Without a calendar of its own, a market that often trades then is open then."""
    weekend = days.dt.day_of_week > _FRIDAY
    if calendar.recorded_fallback:
        return weekend & (weekend.mean() < _STRAY_SHARE)
    return weekend & ~_are_sessions(days, calendar)


def _no_rival(rows: pd.DataFrame) -> pd.Series:
    """Passes where no row of the same session says something else."""
    distinct = rows.drop_duplicates(list(GOOD_COLUMNS))
    contested = distinct.loc[distinct.duplicated("session"), "session"]
    return ~rows["session"].isin(contested)


_RAW_SCHEMA = pa.DataFrameSchema(
    {
        "session": pa.Column(nullable=False),
        **{figure: pa.Column(float, nullable=True) for figure in _FIGURES},
        "origin": pa.Column(str),
    },
    strict=True,
)


def _row_breaches(prices: pd.DataFrame, calendar: TickerCalendar, as_of: AsOf) -> pd.DataFrame:
    """Every breach of a row rule: `index` of the row, `rule` and `reason`.

    Raises:
        pandera.errors.SchemaErrors: a source that does not keep to RAW_COLUMNS; a fault of the program, not of the data.
    """
    if not _keeps_to_raw_columns(prices):
        _RAW_SCHEMA.validate(prices, lazy=True)
    return _breaches(prices, {rule: (~passes(prices), reason) for rule, (passes, reason) in _all_rules(calendar, as_of).items()})


def _keeps_to_raw_columns(prices: pd.DataFrame) -> bool:
    """What the schema says, in a hundredth of its time; where this fails, the schema names the column."""
    figures = all(prices[name].dtype == np.float64 for name in _FIGURES)
    return figures and pd.api.types.is_string_dtype(prices["origin"].dtype) and bool(prices[["session", "origin"]].notna().all(axis=None))


def _all_rules(calendar: TickerCalendar, as_of: AsOf) -> dict[str, tuple[Passes, str]]:
    return _value_rules() | _session_rules(calendar, as_of)


def _breaches(prices: pd.DataFrame, broken: Mapping[str, tuple[pd.Series, str]]) -> pd.DataFrame:
    """`index`, `rule`, `reason` for each row and rule; `broken` has the rows of a rule, and the reason to be filled in."""
    found = [
        (index, rule, reason.format(**row))
        for rule, (rows, reason) in broken.items()
        if rows.any()
        for index, row in zip(prices.index[rows], prices[rows].to_dict("records"), strict=True)
    ]
    return pd.DataFrame(found, columns=["index", "rule", "reason"]).astype({"index": int, "rule": str, "reason": str})


_PAST_REASONS = {
    "stale_bar": "the bar of the session before again, volume {volume:.10g} included",
    "currency_block": "close {close:.10g} is about " + f"{CURRENCY_FACTOR:g}" + " times off, as in the sessions beside it: another unit",
    "price_spike": "close {close:.10g} jumps beyond the limit and the next session takes it back",
    "zero_volume": "no trades",
    "frozen_price": "close {close:.10g} has not moved for a week or longer",
}


def _past_breaches(candidates: pd.DataFrame, known: pd.DataFrame | None, actions: pd.DataFrame, calendar: TickerCalendar) -> pd.DataFrame:
    """Breaches of the past rules by the fetched rows, judged beside what is stored."""
    columns = ["session", "open", "high", "low", "close", "volume"]
    before = None if known is None else known.reindex(columns=columns)
    parts = [part for part in (before, candidates[columns]) if part is not None and len(part)]
    if not parts:
        return _breaches(candidates, {})
    # Rows that a warning let pass may share a session: the first stands for it.
    history = pd.concat(parts).drop_duplicates("session", keep="last").sort_values("session", ignore_index=True)
    broken = broken_beside_neighbours(history, split_factors(history["session"], actions), _limits(calendar)[0])
    sessions = candidates["session"]
    return _breaches(
        candidates, {rule: (sessions.isin(history["session"][rows]), _PAST_REASONS[rule]) for rule, rows in broken.items() if rows.any()}
    )


def _unreleased(breaches: pd.DataFrame, prices: pd.DataFrame, released: pd.DataFrame) -> pd.DataFrame:
    """The breaches of rows that nobody released."""
    if breaches.empty or released.empty:
        return breaches
    forgiven = [_is_released(prices.loc[index], rule, released) for index, rule in zip(breaches["index"], breaches["rule"], strict=True)]
    return breaches[~np.array(forgiven)]


def _is_released(row: pd.Series, rule: str, released: pd.DataFrame) -> bool:
    """Whether a row with these figures was released. One release forgives all its breaches, not only the rule that named it."""
    del rule
    for text in released.loc[released["session"] == row["session"], "row"]:
        then = json.loads(text)
        figures = np.array([then.get(name) for name in _FIGURES], dtype=float)
        if np.allclose(row[_FIGURES].to_numpy(float), figures, rtol=RELEASED_TOLERANCE, atol=0.0, equal_nan=True):
            return True
    return False


def _refuses_row(breaches: pd.DataFrame, severities: Mapping[str, str]) -> pd.Series:
    return breaches["rule"].map(dict(severities)).isin(("drop_row", "hold_ticker")).astype(bool)


def _good(prices: pd.DataFrame, breaches: pd.DataFrame, severities: Mapping[str, str]) -> pd.DataFrame:
    """What is left, oldest first: rows without the refused ones, refused values missing."""
    if breaches.empty:
        return prices.sort_values("session", ignore_index=True)[list(GOOD_COLUMNS)]
    good = prices.drop(index=breaches.loc[_refuses_row(breaches, severities), "index"].unique())
    for rule, rows in breaches.groupby("rule"):
        if severities[str(rule)] == "null_field":
            good.loc[good.index.isin(rows["index"]), RULES[str(rule)].field] = np.nan
    return good.sort_values("session", ignore_index=True)[list(GOOD_COLUMNS)]


def _quarantine(prices: pd.DataFrame, breaches: pd.DataFrame, severities: Mapping[str, str]) -> pd.DataFrame | None:
    """Rows that were refused, or of which a value was, with the first rule in order and every reason."""
    struck = breaches[breaches["rule"].map(dict(severities)) != "warn"]
    if struck.empty:
        return None
    order = {rule: place for place, rule in enumerate(RULES)}
    whole = _refuses_row(struck, severities)
    ranked = struck.assign(value_only=~whole, order=struck["rule"].map(order)).sort_values(["index", "value_only", "order"])
    named = ranked.groupby("index").agg(rule=("rule", "first"), reason=("reason", "; ".join), value_only=("value_only", "all"))
    rows = prices.loc[named.index]
    kept = named["rule"].map(lambda rule: f"; only {RULES[rule].field} was refused")
    return rows[["session", "origin"]].assign(
        row=[_as_json(row) for row in rows.drop(columns="origin").to_dict("records")],
        rule=named["rule"],
        reason=named["reason"] + kept.where(named["value_only"], ""),
    )


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
    """`rows`: of the fetch, or of the whole history where that is longer: a few bad days must not hold a ticker of many years."""
    bad = quarantined[~quarantined["rule"].isin(HARMLESS_RULES)]
    if len(bad) <= REFUSED_ROWS or len(bad) <= REFUSED_SHARE * rows:
        return None
    most, first = bad["rule"].value_counts(), bad.iloc[0]
    reason = f"{len(bad)} of {rows} rows refused, {most.iloc[0]} by {most.index[0]}; first at {first['origin']}: {first['reason']}"
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


def _limits(calendar: TickerCalendar) -> tuple[float, float]:
    """From which log return a fresh move, and a less fresh one, is a jump."""
    return (CRYPTO_JUMP, CRYPTO_JUMP) if calendar.name == _ALWAYS_OPEN else (JUMP, SPLIT_LIKE_JUMP)


_JUMPS = ("jump", "unrecorded_split")


def _unexplained_jumps(
    history: pd.DataFrame, actions: pd.DataFrame, calendar: TickerCalendar, released: pd.DataFrame, severities: Mapping[str, str]
) -> pd.DataFrame:
    """Moves of the split-adjusted close beyond the limits: session, log_return, rule, holds (recent enough to hold the ticker).

    A move that a person released, or whose rule only warns, holds nobody.
    """
    close = history["close"].to_numpy(float) / split_factors(history["session"], actions)
    log_return = pd.Series(np.log(close)).diff()
    fresh_limit, limit = _limits(calendar)
    age = len(history) - 1 - np.arange(len(history))
    size = log_return.abs()
    recent = ((size > fresh_limit) & (age < FRESH_SESSIONS)) | ((size > limit) & (age < RECENT_SESSIONS))
    jumps = pd.DataFrame({"session": history["session"], "log_return": log_return, "holds": recent})[size > fresh_limit]
    rules = ["jump" if split_that_fits(move) is None else "unrecorded_split" for move in jumps["log_return"]]
    accepted = jumps["session"].isin(released.loc[released["rule"].isin(_JUMPS), "session"])
    stays = np.array([severities[rule] == "hold_ticker" for rule in rules], dtype=bool)
    return jumps.assign(rule=rules, holds=jumps["holds"] & ~accepted & stays)


def _jump(ticker: Ticker, jumps: pd.DataFrame) -> TickerHeld | None:
    holding = jumps[jumps["holds"]]
    if holding.empty:
        return None
    last = holding.iloc[-1]
    moved = f"close moved by {np.expm1(last['log_return']):+.0%} on {last['session'].date()}"
    split = split_that_fits(last["log_return"])
    if split is None:
        return TickerHeld(
            ticker,
            f"{moved} without a split to explain it; check the source for a missing split or a change of unit, or release the row",
            rule="jump",
        )
    unit = ", or a change of unit" if split in ("100:1", "1:100") else ""
    reason = (
        f"{moved}, which fits a split of {split}{unit}, and no such split is recorded: add it to the source, or release the row if the "
        "move is real"
    )
    return TickerHeld(ticker, reason, rule="unrecorded_split")


def _row_of_the_jump(prices: pd.DataFrame, jumps: pd.DataFrame, hold: TickerHeld) -> pd.DataFrame | None:
    """The row that holds the ticker, as it came, so that a person can look at it and release it."""
    rows = prices[prices["session"] == jumps.loc[jumps["holds"], "session"].iloc[-1]].head(1)
    texts = [_as_json(row) for row in rows.drop(columns="origin").to_dict("records")]
    return rows[["session", "origin"]].assign(row=texts, rule=hold.rule, reason=hold.reason)


def _broken_for_good(ticker: Ticker, breaches: pd.DataFrame, severities: Mapping[str, str]) -> TickerHeld | None:
    """A row rule whose severity is to hold the ticker."""
    holding = breaches[breaches["rule"].map(dict(severities)) == "hold_ticker"]
    if holding.empty:
        return None
    first = holding.iloc[0]
    reason = f"{len(holding)} rows refused by rules that hold the ticker; first {first['rule']}: {first['reason']}"
    return TickerHeld(ticker, reason, rule=str(first["rule"]))


_FINDING_TYPES = {"rule": str, "severity": str, "rows": "int64", "session": "datetime64[us]"}
_NO_FINDINGS = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _FINDING_TYPES.items()})


# -- what was found -----------------------------------------------------------------------------------------------------------


def _with_sessions(prices: pd.DataFrame, breaches: pd.DataFrame) -> pd.DataFrame:
    return breaches.assign(session=prices["session"].reindex(breaches["index"]).to_numpy())


def _of_the_ticker(holds: list[TickerHeld]) -> pd.DataFrame:
    return pd.DataFrame({"rule": [hold.rule for hold in holds], "session": pd.Series([pd.NaT] * len(holds), dtype="datetime64[us]")})


def _findings(parts: list[pd.DataFrame | None], severities: Mapping[str, str]) -> pd.DataFrame:
    """FINDING_COLUMNS, in the order of the rules; a rule of a source's own reading refuses the row."""
    if not any(part is not None and len(part) for part in parts):
        return _NO_FINDINGS.copy()
    found = _joined(parts, ("rule", "session"))
    counted = found.groupby("rule", sort=False).agg(rows=("rule", "size"), session=("session", "min")).reset_index()
    counted["severity"] = [severities.get(rule, "drop_row") for rule in counted["rule"]]
    order = {rule: place for place, rule in enumerate(RULES)}
    ranked = counted.sort_values("rule", key=lambda rules: rules.map(order).fillna(-1), ignore_index=True)
    return ranked[list(FINDING_COLUMNS)].astype(_FINDING_TYPES)


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
