"""What moves the width of a ticker's next interval."""

from typing import NamedTuple

import pandas as pd

from forecast_lib.report.frames import columns_of

__all__ = ["Driver", "drivers_of"]


class Driver(NamedTuple):
    """What one driver does to the width of the first step's interval: `effect` and its `change` since the run
    before, in logs; where there is no change, why.
    """

    name: str
    effect: float
    change: float | None
    why_no_change: str | None


def drivers_of(frame: pd.DataFrame) -> dict[str, list[Driver]]:
    """By ticker, from the rows of `forecast_drivers`."""
    found: dict[str, list[Driver]] = {}
    if frame.empty:
        return found
    tickers, *columns = columns_of(
        frame[frame["step"] == 1], ("ticker", "driver", "effect", "change", "why_no_change")
    )
    for ticker, driver in zip(tickers, map(Driver._make, zip(*columns, strict=True)), strict=True):
        found.setdefault(ticker, []).append(driver)
    return found
