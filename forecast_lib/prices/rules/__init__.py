"""The quality rules: each with its predicate, what happens where it is broken, and what else a universe may
choose.

To add one: a `Rule` in the tuple of its family. What a predicate gets is a `View`, what it says is which rows
break it.
"""

from collections.abc import Iterable, Mapping

from forecast_lib.errors import UsageError
from forecast_lib.prices.rules import bars, days, tickers, values
from forecast_lib.prices.rules.rule import Rule

__all__ = [
    "HARMLESS_RULES",
    "NEIGHBOUR_RULES",
    "ROW_RULES",
    "RULES",
    "RULE_ORDER",
    "as_table",
    "severities_from",
]

ROW_RULES = (*values.RULES, *days.RULES)
"""Looked at in the rows as they came."""

NEIGHBOUR_RULES = bars.RULES
"""Looked at in what the others left, beside what is stored."""

RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (*tickers.READING, *ROW_RULES, *NEIGHBOUR_RULES, *tickers.JUDGED, *tickers.WHOLE)
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


def as_table() -> str:
    """The rules as a table in Markdown, for the documentation."""
    lines = ["| rule | what breaks it | what happens | may also be |", "|---|---|---|---|"]
    for rule in RULES.values():
        others = ", ".join(f"`{choice}`" for choice in rule.choices if choice != rule.severity)
        lines.append(f"| `{rule.name}` | {rule.meaning} | `{rule.severity}` | {others} |")
    return "\n".join(lines) + "\n"
