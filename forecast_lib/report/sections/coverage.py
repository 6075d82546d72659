"""How published intervals hold now, against control limits."""

import datetime as dt
from typing import NamedTuple

import pandas as pd

from forecast_lib.report.frames import columns_of, day_of

__all__ = ["Coverage", "coverage_rows"]


class Coverage(NamedTuple):
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


_READ = ("step", "n", "target_session", *Coverage._fields[4:])


def coverage_rows(rows: pd.DataFrame, of: str) -> list[Coverage]:
    """In the order of the steps. `of`: the column that names whose they are."""
    if rows.empty:
        return []
    whose, step, n, sessions, *shares = columns_of(rows, (of, *_READ))
    days = [day_of(session) or dt.date.min for session in sessions]
    found = map(Coverage._make, zip(whose, step, n, days, *shares, strict=True))
    return sorted(found, key=lambda row: (row.step, row.of))
