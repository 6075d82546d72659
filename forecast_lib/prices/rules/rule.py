"""What a rule is: its predicate beside its name, its severity and its words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from forecast_lib.prices.rules.view import Flags, View

__all__ = [
    "ANY",
    "ANY_FIELD",
    "DROP",
    "DROP_OR_HOLD",
    "FIELD",
    "HOLD",
    "HOLD_OR_WARN",
    "ROW",
    "Found",
    "Rule",
]

ROW = ""
"""In what a rule finds, the row as a whole; else the name of a figure."""

Found = Mapping[str, Flags]
"""By figure, or ROW, which rows break the rule in it."""

DROP, DROP_OR_HOLD = ("drop_row",), ("drop_row", "hold_ticker")
ANY, ANY_FIELD = ("warn", "drop_row", "hold_ticker"), ("warn", "null_field", "drop_row", "hold_ticker")
FIELD = ("null_field", "drop_row", "hold_ticker")
HOLD, HOLD_OR_WARN = ("hold_ticker",), ("hold_ticker", "warn")


@dataclass(frozen=True)
class Rule:
    """One quality rule. Rules never repair.

    Attributes:
        severity: what happens unless a profile says otherwise, from the mildest on: `warn` only counts;
            `null_field` refuses a value and keeps the row (a row without its close is none: the close costs
            the row); `drop_row` refuses the row; `hold_ticker` keeps what is new of the ticker out for this
            run.
        choices: what a profile may say.
        meaning: what breaks the rule, for the documentation.
        words: the reason for people, with places for the row's figures, `field`, `calendar`, `now` and
            `as_of`.
        find: which rows break it; None where it is found elsewhere: by a source that cannot read a row, or
            about a ticker as a whole.
        harmless: what it sets aside is no sign of bad data.
    """

    name: str
    severity: str
    choices: tuple[str, ...]
    meaning: str
    words: str = ""
    find: Callable[[View], Found] | None = None
    harmless: bool = False
