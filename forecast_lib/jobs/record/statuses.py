"""How a ticker stands after a run, in one word, and whether somebody should look.

fresh      tonight's forecast was made from tonight's prices by what serves best, a combination as a rule
last_good  the newest prices are missing or not trusted, or an older model answers because training failed
naive      only baselines can answer: too little history for a network, or none could be trained
ended      there will be no more prices, so there is no forecast
none       fewer than ten usable sessions

`last_good`, `naive` and `none` are degraded, with a reason. So is `ended` in the first run that says so; in
later ones it has no reason, only a flag.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # slow to import, and whoever asks how things stand needs none of it
    from forecast_lib.jobs.ingest.ends import End

__all__ = ["Status", "degraded", "status_of"]

_ALWAYS_DEGRADED = ("last_good", "naive", "none")


@dataclass(frozen=True)
class Status:
    """One word of `STATUSES`, and the reason of a degraded ticker."""

    word: str
    reason: str | None = None


def status_of(
    answered: bool, by_network: bool, end: "End | None", prices: str | None, training: str | None
) -> Status:
    """The status of one ticker.

    Args:
        answered: there is a forecast; of a run that makes none: there are prices.
        by_network: a network was asked, whatever its share in the answer; True of a run that makes no
            forecast.
        prices: what is wrong with the newest prices, in words.
        training: why no network was trained that should have been.

    >>> status_of(True, True, None, None, "diverged: a weight became NaN")
    Status(word='last_good', reason='diverged: a weight became NaN')
    """
    if end is not None:
        return Status("ended", None if end.said_before else end.reason)
    reason = "; ".join(part for part in (prices, training) if part) or None
    if not answered:
        return Status("none", reason or "no prices are known")
    if not by_network:
        return Status("naive", reason or "no network answers")
    return Status("last_good" if reason else "fresh", reason)


def degraded(tickers: Iterable[tuple[str, object]]) -> list[bool]:
    """Which tickers somebody should look at.

    Args:
        tickers: of each its status, and its reason, which may be missing.

    >>> degraded([("fresh", None), ("naive", "young"), ("ended", "taken over"), ("ended", None)])
    [False, True, True, False]
    """
    return [
        status in _ALWAYS_DEGRADED or (status == "ended" and isinstance(reason, str))
        for status, reason in tickers
    ]
