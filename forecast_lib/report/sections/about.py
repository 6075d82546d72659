"""What the run is: its evening, how it ended, what it was computed with. Head and fine print of every
page.
"""

import datetime as dt
from dataclasses import dataclass

import pandas as pd

from forecast_lib.report.frames import Record, ReportInput, pairs, records

__all__ = ["RunFacts", "about"]

_COMPUTED_BY = {"trained_by": "trained by", "answered_by": "answered by"}


@dataclass(frozen=True)
class RunFacts:
    """What the run is; `stages` in seconds, in the order they were recorded; `networks`: what trained them
    and what answered.
    """

    run_id: str
    kind: str
    status: str
    message: str
    as_of: dt.date
    started_at: dt.datetime
    finished_at: dt.datetime
    source: str
    simulated: bool
    config_hash: str
    code_version: str
    libraries: tuple[tuple[str, str], ...]
    networks: tuple[tuple[str, str], ...]
    stages: tuple[tuple[str, float], ...]

    @property
    def seconds(self) -> float:
        """From start to end."""
        return (self.finished_at - self.started_at).total_seconds()


def about(report: ReportInput) -> RunFacts:
    """The run's own row in plain values.

    Raises:
        ValueError: `run` is not exactly one row.
    """
    if len(report.run) != 1:
        raise ValueError(
            f"report: the run frame has {len(report.run)} rows, expected exactly 1; give the runs row of"
            " one run"
        )
    row = records(report.run)[0]
    libraries = {name: str(version) for name, version in pairs(row["libraries"])}
    return RunFacts(
        run_id=row["run_id"],
        kind=row["kind"],
        status=row["status"],
        message=row["message"],
        as_of=pd.Timestamp(row["as_of"]).date(),
        started_at=pd.Timestamp(row["started_at"]).to_pydatetime(),
        finished_at=pd.Timestamp(row["finished_at"]).to_pydatetime(),
        source=row["source"],
        simulated=report.simulated,
        config_hash=row["config_hash"],
        code_version=row["code_version"],
        libraries=tuple((name, version) for name, version in libraries.items() if name not in _COMPUTED_BY),
        networks=tuple((_COMPUTED_BY[name], libraries[name]) for name in _COMPUTED_BY if name in libraries),
        stages=_stages(row),
    )


def _stages(row: Record) -> tuple[tuple[str, float], ...]:
    return tuple(
        (name, float(value))
        for name, value in pairs(row["seconds_per_stage"])
        if isinstance(value, int | float)
    )
