"""How published intervals hold now, against control limits."""

import datetime as dt
from dataclasses import dataclass

import pandas as pd

from forecast_lib.report.frames import day_of, records

__all__ = ["Coverage", "coverage_rows"]

_SHARES = ("cov80", "low80", "high80", "cov95", "low95", "high95")


@dataclass(frozen=True)
class Coverage:
    """How published intervals hold: of one model or baseline over the last 250 sessions, or of one ticker
    over its last 250 forecasts.

    Attributes:
        of: the model, the baseline or the ticker.
        n: settled forecasts counted.
        low80, high80, low95, high95: control limits of the shares, three standard errors.
        state: `held`, `too narrow` or `too wide`.
    """

    of: str
    step: int
    n: int
    last_session: dt.date
    cov80: float
    low80: float
    high80: float
    cov95: float
    low95: float
    high95: float
    state: str


def coverage_rows(rows: pd.DataFrame, of: str) -> tuple[Coverage, ...]:
    """In the order of the steps. `of`: the column that names whose they are."""
    return tuple(
        Coverage(
            of=row[of],
            step=int(row["step"]),
            n=int(row["n"]),
            last_session=day_of(row["target_session"]) or dt.date.min,
            state=row["state"],
            **{name: float(row[name]) for name in _SHARES},
        )
        for row in sorted(records(rows), key=lambda row: (row["step"], row[of]))
    )
