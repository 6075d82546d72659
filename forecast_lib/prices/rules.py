"""The quality rules by name: what each is about, what happens where it is broken, and what else a universe may choose.

Rules never repair. The severities, from the mildest on: `warn` only counts; `null_field` refuses one value and keeps the row;
`drop_row` refuses the row; `hold_ticker` keeps all of the ticker's new rows out for this run. Whatever is refused lies in the
quarantine as it came.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from forecast_lib.errors import UsageError

__all__ = ["HARMLESS_RULES", "RULES", "Rule", "severities_from"]

HARMLESS_RULES = frozenset({"future_session", "unfinished_session", "repeated_row"})
"""Set aside, but no sign of bad data: early, or said twice with the same figures."""


@dataclass(frozen=True)
class Rule:
    """One quality rule.

    Attributes:
        severity: what happens unless a profile says otherwise.
        choices: what a profile may say.
        field: the value that `null_field` refuses, where that can be chosen.
        meaning: what breaks the rule, for the documentation.
    """

    name: str
    severity: str
    choices: tuple[str, ...]
    meaning: str
    field: str | None = None


_DROP, _DROP_OR_HOLD = ("drop_row",), ("drop_row", "hold_ticker")
_ANY, _ANY_FIELD = ("warn", "drop_row", "hold_ticker"), ("warn", "null_field", "drop_row", "hold_ticker")
_HOLD, _HOLD_OR_WARN = ("hold_ticker",), ("hold_ticker", "warn")

RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("ragged_row", "drop_row", _DROP_OR_HOLD, "a line of a file with more or fewer cells than its header"),
        Rule("unreadable_date", "drop_row", _DROP_OR_HOLD, "a date that is no day"),
        Rule("unreadable_number", "drop_row", _DROP_OR_HOLD, "a cell that is no number"),
        Rule("unreadable_action", "drop_row", _DROP_OR_HOLD, "a file's dividend or split with no possible value"),
        Rule("unreadable_currency", "drop_row", _DROP_OR_HOLD, "a file's currency that is no code of three letters"),
        Rule("bad_dividend", "drop_row", _DROP_OR_HOLD, "a dividend of Yahoo's that is no number above zero"),
        Rule("close_missing", "drop_row", _DROP_OR_HOLD, "no close"),
        Rule("not_finite", "drop_row", _DROP_OR_HOLD, "an infinite value"),
        Rule("not_positive", "drop_row", _DROP_OR_HOLD, "a price that is zero or negative"),
        Rule("too_large", "drop_row", _DROP_OR_HOLD, "a price above 1e9"),
        Rule("low_above_open", "drop_row", _ANY_FIELD, "open below low", "open"),
        Rule("low_above_close", "drop_row", _ANY, "close below low"),
        Rule("low_above_high", "drop_row", _ANY, "low above high"),
        Rule("open_above_high", "drop_row", _ANY_FIELD, "open above high", "open"),
        Rule("close_above_high", "drop_row", _ANY, "close above high"),
        Rule("negative_volume", "drop_row", ("null_field", "drop_row", "hold_ticker"), "volume below zero", "volume"),
        Rule("future_session", "drop_row", _DROP, "a session after the as-of day"),
        Rule("weekend_session", "drop_row", _DROP_OR_HOLD, "a Saturday or Sunday on which the exchange does not trade"),
        Rule("unknown_session", "drop_row", _DROP_OR_HOLD, "any other day that is no session of the exchange"),
        Rule("unfinished_session", "drop_row", _DROP, "the session had not been closed for 30 minutes"),
        Rule("repeated_row", "drop_row", _DROP, "the same row again; the first stays"),
        Rule("duplicate_session", "drop_row", _DROP_OR_HOLD, "several rows of one session with different figures: all are refused"),
        Rule("stale_bar", "drop_row", _ANY, "open, high, low, close and volume all as in the session before, with trades and a range"),
        Rule("currency_block", "drop_row", _ANY, "closes about 100 times too high or low for up to 250 sessions, then back"),
        Rule("price_spike", "drop_row", _ANY, "a close beyond the jump limit that the next session takes back"),
        Rule("zero_volume", "warn", _ANY_FIELD, "no trades, where the ticker usually has some", "volume"),
        Rule("frozen_price", "warn", _ANY, "the fifth session in a row, or a later one, with the same close"),
        Rule("bad_action", "drop_row", _DROP_OR_HOLD, "a dividend or split with no possible value, or several values for one session"),
        Rule(
            "assumed_split_basis",
            "warn",
            ("warn", "hold_ticker"),
            "a file with splits too small to tell whether its prices are divided by them already: taken as its column is usually meant",
        ),
        Rule("currency_changed", "hold_ticker", _HOLD, "the source quotes another currency than before"),
        Rule("no_rows", "hold_ticker", _HOLD, "not one usable row came"),
        Rule("too_many_refused", "hold_ticker", _HOLD_OR_WARN, "more than 3 rows and more than 1 % of the rows refused"),
        Rule("gap", "hold_ticker", _HOLD_OR_WARN, "in the last 250 sessions more than 10 missing in a row, or more than 5 %"),
        Rule("unrecorded_split", "hold_ticker", _HOLD_OR_WARN, "a jump that fits the ratio of a split, and no split is recorded"),
        Rule("jump", "hold_ticker", _HOLD_OR_WARN, "close up by 40 % or down by 29 % within 10 sessions, or doubled or halved in 250"),
    )
}
"""Every rule, in the order in which the rule of a row with several breaches is chosen."""


def severities_from(choices: Iterable[str]) -> Mapping[str, str]:
    """The severity of every rule: what `choices` say, else the rule's own.

    Args:
        choices: texts such as `zero_volume=drop_row`.

    >>> severities_from(["zero_volume=drop_row"])["zero_volume"], severities_from([])["zero_volume"]
    ('drop_row', 'warn')

    Raises:
        UsageError: an unknown rule, or a severity that the rule cannot have.
    """
    severities = {name: rule.severity for name, rule in RULES.items()}
    for choice in choices:
        name, _, severity = (part.strip() for part in choice.partition("="))
        if name not in RULES:
            raise UsageError(f"rule {name[:60]!a} is not known: expected RULE=SEVERITY with one of {', '.join(RULES)}")
        if severity not in RULES[name].choices:
            raise UsageError(f"rule {name} cannot be {severity[:60]!a}: expected one of {', '.join(RULES[name].choices)}")
        severities[name] = severity
    return severities
