"""When a ticker's prices have come to an end: its source answers, and has had no row of it for twenty
sessions, or knows it no more.

Delisted, taken over, or a file that nobody continues: there is nothing to forecast from, and nobody needs to
hear of it every night. A ticker whose rows come and are refused has not ended, nor has one whose source does
not answer.
"""

from dataclasses import dataclass

import pandas as pd

from forecast_lib.jobs.ingest.absence import UNKNOWN

__all__ = ["ENDED_AFTER", "End", "end_of"]

ENDED_AFTER = 20
"""Sessions of the exchange without a row: a month."""

_NOTHING_CAME = ("no_rows", UNKNOWN)
"""Rules of a problem that is an answer: there is nothing."""


@dataclass(frozen=True)
class End:
    """The end of a ticker's prices.

    Attributes:
        session: the last one with a price.
        reason: what happened and what to do, in words.
        said_before: an earlier run said so.
    """

    session: pd.Timestamp
    reason: str
    said_before: bool = False

    @property
    def flag(self) -> str:
        """The end in few words."""
        return f"ended since {self.session.date()}"


def end_of(
    ticker: str, last: pd.Timestamp, behind: int, rule: str | None, refused: int, source: str
) -> End | None:
    """The end of a ticker that has prices; None while more may come.

    Args:
        last: its newest session with a price; `behind` so many have closed since.
        rule: of the problem with its newest prices, if there is one.
        refused: rows that came tonight and were refused.
        source: its name, for what to do.
    """
    answers = rule is None or (rule in _NOTHING_CAME and refused == 0)
    if not answers or not (rule == UNKNOWN or behind >= ENDED_AFTER):
        return None
    unknown = f", and {source} no longer knows {ticker}" if rule == UNKNOWN else ""
    return End(
        last,
        f"ended: no row since {last.date()}, {behind} sessions ago{unknown}; {_what_to_do(last, source)}",
    )


def _what_to_do(last: pd.Timestamp, source: str) -> str:
    if source == "files":
        return f"add its newer rows, or look from its last evening with --as-of {last.date()}"
    return "take it off the list, or name its new ticker under [renames] in the universe file"
