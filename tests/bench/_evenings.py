"""What the fortnight's machine serves: one schedule for each evening, each with an evening of 2024 as its
`as_of`.

python -m tests.bench._evenings 2026-01-05T12:00:00+00:00 15
"""

import dataclasses
import datetime as dt
import sys
from dataclasses import dataclass
from typing import Any

from flows.service.deployments import Plan, Timing, build, serve
from flows.service.supervision import crash_silent_runs
from flows.settings.layers import prepare_process

FIRST, DAYS = dt.date(2024, 5, 20), 14
"""A Monday; the second Monday, 27 May, is Memorial Day, on which New York does not trade."""


@dataclass(frozen=True)
class Evening(Timing):
    """A schedule that fires once, at a second of today, for an evening of long ago."""

    as_of: dt.date = FIRST

    @property
    def parameters(self) -> dict[str, Any]:
        """As a person would give it on Prefect's page."""
        return {"parameters": {**super().parameters["parameters"], "as_of": self.as_of.isoformat()}}


def days() -> list[dt.date]:
    return [FIRST + dt.timedelta(days=number) for number in range(DAYS)]


def kind_of(day: dt.date) -> str:
    """What a market's week has: nights on weekdays, the retrain on Saturday, the backtest on Sunday."""
    return {5: "retrain", 6: "backtest"}.get(day.weekday(), "nightly")


def plans(start: dt.datetime, pause_s: float) -> list[Plan]:
    """The market's plans with the fortnight's evenings as schedules, `pause_s` apart."""

    def evening(number: int, day: dt.date) -> Evening:
        at = start + dt.timedelta(seconds=number * pause_s)
        cron = f"{at.minute} {at.hour} {at.day} {at.month} * {at.second}"
        return Evening(
            f"evening-{day}", cron, "UTC", "new-york", "retrain" if kind_of(day) == "retrain" else None, day
        )

    evenings = {
        kind: tuple(evening(n, day) for n, day in enumerate(days()) if kind_of(day) == kind)
        for kind in ("nightly", "retrain", "backtest")
    }
    night = Plan(
        "new-york",
        "flows.nightly.nightly",
        "The fortnight's nights.",
        ("tickercast", "new-york"),
        evenings["nightly"],
    )
    retrain = dataclasses.replace(night, name="weekly-retrain", timings=evenings["retrain"])
    backtest = dataclasses.replace(
        night, name="weekly-backtest", entrypoint="flows.backtest.backtest", timings=evenings["backtest"]
    )
    return [night, retrain, backtest]


if __name__ == "__main__":
    prepare_process(quiet=False)
    crash_silent_runs()
    serve(build(plans(dt.datetime.fromisoformat(sys.argv[1]), float(sys.argv[2]))), limit=1)
