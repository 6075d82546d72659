"""Which rows of a fetch are good, and whether the ticker may go on with them.

Three kinds of rule. A *row rule* looks at one row, a *past rule* at a row beside its neighbours (`prices.past`), a *table rule* at
all rows together. What happens to what breaks them is the rule's severity (`prices.rules`): the row is refused, one of its values
is, the whole ticker is held back for this run, or it is only counted. Refused rows go to the quarantine with the rule and the
reason; rows that a person released from there pass.

A row that is merely early (today's unfinished bar) or a mere repetition is set aside too, but is no sign of bad data and does
not count against the ticker. Rules never repair. All are evaluated, so that the reason names every breach of a row.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from forecast_lib.domain import AsOf, Ticker
from forecast_lib.errors import TickerHeld
from forecast_lib.prices.actions import checked_actions
from forecast_lib.prices.jumps import JUMP_RULES, hold_for_jump, jump_limits, row_of_the_jump, unexplained_jumps
from forecast_lib.prices.past import past_breaches
from forecast_lib.prices.refusals import QUARANTINE_COLUMNS, kept_rows, quarantine, refuses_row, unreleased
from forecast_lib.prices.row_rules import row_breaches
from forecast_lib.prices.rules import RULES, severities_from
from forecast_lib.prices.source import ACTION_COLUMNS, RAW_COLUMNS, FetchedPrices
from forecast_lib.prices.table_rules import broken_for_good, currency_changed, gap, no_rows, too_many_refused
from forecast_lib.sessions import TickerCalendar

__all__ = ["FINDING_COLUMNS", "CheckedPrices", "check_prices"]

FINDING_COLUMNS = ("rule", "severity", "rows", "session")

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
    actions, bad_actions = checked_actions(fetched.actions, calendar.last_known(as_of))
    all_actions = _joined([known_actions, actions], ACTION_COLUMNS).drop_duplicates(["session", "kind"], keep="last")
    breaches = unreleased(row_breaches(prices, calendar, as_of), prices, released)
    candidates = prices.drop(index=breaches.loc[refuses_row(breaches, severities), "index"].unique())
    beside = past_breaches(candidates, known, all_actions, jump_limits(calendar)[0])
    breaches = pd.concat([breaches, unreleased(beside, prices, released)], ignore_index=True)
    good = kept_rows(prices, breaches, severities)
    own = fetched.refused[list(QUARANTINE_COLUMNS)] if len(fetched.refused) else None
    quarantined = _joined([own, quarantine(prices, breaches, severities), bad_actions], QUARANTINE_COLUMNS)
    whole = _history(known, good)
    jumps = unexplained_jumps(whole, all_actions, calendar, released, severities)
    rows = len(prices) + len(fetched.refused)
    lost = quarantined[quarantined["rule"].map(dict(severities)) != "null_field"]
    checks = (
        currency_changed(fetched, known),
        no_rows(fetched.ticker, good, quarantined, known),
        too_many_refused(fetched.ticker, lost, max(rows, len(whole) + len(lost))),
        gap(fetched.ticker, whole, calendar),
        hold_for_jump(fetched.ticker, jumps),
        broken_for_good(fetched.ticker, _joined([own, breaches, bad_actions], ("rule", "reason")), severities),
    )
    struck = [hold for hold in checks if hold is not None]
    holds = [hold for hold in struck if severities.get(hold.rule, "hold_ticker") == "hold_ticker"]
    if holds and holds[0].rule in JUMP_RULES:
        quarantined = _joined([quarantined, row_of_the_jump(prices, jumps, holds[0])], QUARANTINE_COLUMNS)
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
