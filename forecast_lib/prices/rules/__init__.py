"""The quality rules: each with its predicate, what happens where it is broken, and what else a universe may
choose.

To add one: a `Rule` in the tuple of its family. What a predicate gets is a `View`, what it says is which rows
break it.
"""

from collections.abc import Iterable, Mapping

from forecast_lib.errors import UsageError
from forecast_lib.prices.rules import bars, days, values
from forecast_lib.prices.rules.rule import DROP, DROP_OR_HOLD, HOLD, HOLD_OR_WARN, Rule

__all__ = ["HARMLESS_RULES", "NEIGHBOUR_RULES", "ROW_RULES", "RULES", "RULE_ORDER", "severities_from"]

ROW_RULES = (*values.RULES, *days.RULES)
"""Looked at in the rows as they came."""

NEIGHBOUR_RULES = bars.RULES
"""Looked at in what the others left, beside what is stored."""

# Rules that no row breaks by itself: what a source could not read, what the evidence says of a move, what is
# odd about a whole ticker.

_READING = (
    Rule(
        "ragged_row",
        "drop_row",
        DROP_OR_HOLD,
        "a line of a file with more or fewer cells than its header, or with a stray quote",
    ),
    Rule("unreadable_date", "drop_row", DROP_OR_HOLD, "a date that is no day"),
    Rule("unreadable_number", "drop_row", DROP_OR_HOLD, "a cell that is no number"),
    Rule("unreadable_currency", "drop_row", DROP_OR_HOLD, "a currency that is no code of three letters"),
)
_JUDGED = (
    Rule("refused_by_person", "drop_row", DROP, "a person refused the row"),
    Rule(
        "bad_print",
        "drop_row",
        DROP,
        "a close far from those around it, which the next sessions or the bar itself take back",
    ),
    Rule(
        "unit",
        "drop_row",
        DROP,
        "prices in another unit, such as pence for pounds, until three more sessions have kept it",
    ),
    Rule(
        "undecided",
        "drop_row",
        DROP,
        "a move that may be real or not: the next sessions decide, three at most",
    ),
)
_WHOLE = (
    Rule(
        "bad_action",
        "drop_row",
        DROP_OR_HOLD,
        "a dividend or split with no possible value, or several values for one session",
    ),
    Rule(
        "dividend_above_price",
        "drop_row",
        DROP_OR_HOLD,
        "a dividend that is not smaller than the close before it",
    ),
    Rule(
        "assumed_split_basis",
        "warn",
        ("warn", "hold_ticker"),
        "a file with splits too small to tell whether its prices are divided by them already: taken as its"
        " column is usually meant",
    ),
    Rule(
        "split_basis",
        "warn",
        ("warn", "hold_ticker"),
        "closes around the splits that fit neither traded nor split-adjusted prices: only the rows since the"
        " last split are used",
    ),
    Rule(
        "currency_changed",
        "hold_ticker",
        HOLD,
        "the source quotes another currency than before, for less than two weeks",
    ),
    Rule(
        "rescaled",
        "hold_ticker",
        HOLD_OR_WARN,
        "the stored past comes with all prices times a factor that no split or unit explains",
    ),
    Rule("no_rows", "hold_ticker", HOLD, "not one usable row came"),
    Rule("too_many_refused", "hold_ticker", HOLD_OR_WARN, "more than half of the last 20 rows refused"),
    Rule(
        "not_daily",
        "hold_ticker",
        HOLD_OR_WARN,
        "rows of weeks or months: of the last 21 each lies five days or more after the one before",
    ),
)

RULES: dict[str, Rule] = {
    rule.name: rule for rule in (*_READING, *ROW_RULES, *NEIGHBOUR_RULES, *_JUDGED, *_WHOLE)
}
"""Every rule, in the order in which the rule of a row with several breaches is chosen."""

RULE_ORDER = {name: place for place, name in enumerate(RULES)}
HARMLESS_RULES = frozenset(name for name, rule in RULES.items() if rule.harmless)
"""What they set aside is no sign of bad data: early, on no session, or said twice with the same figures."""


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
            raise UsageError(
                f"rule {name[:60]!a} is not known: expected RULE=SEVERITY with one of {', '.join(RULES)}"
            )
        if severity not in RULES[name].choices:
            raise UsageError(
                f"rule {name} cannot be {severity[:60]!a}: expected one of {', '.join(RULES[name].choices)}"
            )
        severities[name] = severity
    return severities
