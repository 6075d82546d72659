"""How a run ended, in a few plain values."""

import dataclasses
import datetime as dt
import json
from dataclasses import dataclass, field

__all__ = ["EXIT_CODES", "NOTHING_DONE", "RunSummary"]

EXIT_CODES = {"fresh": 0, "degraded": 10, "failed": 1, "no_new_session": 0, "superseded": 0}
NOTHING_DONE = ("no_new_session", "superseded")
"""Ends of a scheduled run that found nothing to do: what was published stands."""


@dataclass(frozen=True)
class RunSummary:
    """What a run reports when it has ended.

    Attributes:
        status: `fresh`, `degraded` or `failed`; of a scheduled run also `no_new_session`, or `superseded` by
            a later one that is due too.
        tickers: how many tickers ended in which status.
        degraded: ticker, status and reason of each ticker that somebody should look at.
        flags: ticker and flags of each ticker about which something is odd and needs nobody.
        seconds: by stage.
        simulated: the prices are made up.
        forecasts_hash: of the forecasts' content; equal for equal nights.
        figures: of a recipe: label, value, unit and note, in the order of its report; of a backtest: a row a
            model.
        notices: what was passed over in the run, or could not be done after it: files that are no price
            tables, tickers that are no longer asked for, or that nobody was told.
    """

    run_id: str
    kind: str
    status: str
    as_of: dt.date
    message: str
    simulated: bool = False
    tickers: dict[str, int] = field(default_factory=dict)
    degraded: tuple[dict[str, str], ...] = ()
    flags: tuple[dict[str, str], ...] = ()
    report: str | None = None
    published: str | None = None
    forecasts_hash: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    figures: tuple[dict[str, object], ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """The process's exit code."""
        return EXIT_CODES[self.status]

    def as_json(self) -> str:
        """One line of JSON.

        >>> RunSummary("r", "nightly", "fresh", dt.date(2024, 5, 3), "done").as_json()[:49]
        '{"run_id": "r", "kind": "nightly", "status": "fre'
        """
        return json.dumps({**dataclasses.asdict(self), "exit_code": self.exit_code}, default=str)
