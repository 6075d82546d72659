"""A workspace's figures in Prometheus's text format, for node exporter's folder of text files.

From the published tables and the endings of runs; the file is written whole after each run, also after one
that failed. A run that is never started writes nothing: watch `tickercast_last_success_timestamp_seconds`, or
run `tickercast status`.
"""

import contextlib
import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from forecast_lib.domain import STATUSES
from forecast_lib.errors import TickercastError
from forecast_lib.jobs.monitor.standing import Standing, standing
from forecast_lib.jobs.record.endings import Ending
from forecast_lib.store.disk.files import (
    PUBLISHED,
    PUBLISHED_MODE,
    WORKING_MODE,
    move_into_place,
    temporary_name,
)
from forecast_lib.store.published import reader
from forecast_lib.tables import TABLES

__all__ = ["ROLLING_DAYS", "exposition", "metrics_path", "write_metrics"]

ROLLING_DAYS = 90
"""Coverage and skill are those of the forecasts whose target session lies in the last so many days of those
settled.
"""

_VERDICTS = ("fresh", "degraded", "late", "stale", "dead", "failed")

_SUCCESSES = "SELECT kind, max(finished_at) AS finished_at FROM runs WHERE status <> 'failed' GROUP BY kind"
_ANSWERS = """
SELECT status, count(*) AS n FROM run_tickers
WHERE run_id = (SELECT run_id FROM runs WHERE kind = 'nightly' ORDER BY finished_at DESC, run_id DESC LIMIT 1)
GROUP BY status
"""
_ROWS = " UNION ALL ".join(f"SELECT '{table}' AS name, count(*) AS n FROM {table}" for table in TABLES)
# As in the view forecast_skill: of forecasts made twice the newer one. Errors are relative to the last close,
# to add up across tickers.
_SETTLED = f"""
WITH settled AS (
    SELECT f.target_session, o.error / f.last_close AS error, o.naive_error / f.last_close AS naive_error,
        o.inside80, o.inside95,
        o.pinball / f.last_close AS pinball, o.baseline_pinball / f.last_close AS naive_pinball
    FROM forecasts AS f JOIN forecast_outcomes AS o USING (run_id, ticker, step) JOIN runs AS r USING (run_id)
    QUALIFY row_number() OVER (PARTITION BY f.ticker, f.cutoff, f.step ORDER BY r.finished_at DESC,
        f.run_id DESC) = 1
)
SELECT count(*) AS n, avg(inside80::DOUBLE) AS cov80, avg(inside95::DOUBLE) AS cov95,
    1 - sqrt(avg(error * error)) / nullif(sqrt(avg(naive_error * naive_error)), 0) AS rmse,
    1 - sum(pinball) FILTER (naive_pinball IS NOT NULL) / nullif(sum(naive_pinball), 0) AS pinball
FROM settled WHERE target_session > (SELECT max(target_session) FROM settled) - INTERVAL {ROLLING_DAYS} DAY
"""


def metrics_path(workspace: Path, folder: Path | None) -> Path:
    """Where the file lies: `metrics.prom` in the workspace, or in a folder that several workspaces share
    under their names.
    """
    return workspace / "metrics.prom" if folder is None else folder / f"tickercast-{workspace.name}.prom"


def write_metrics(path: Path, text: bytes, *, shared: bool) -> None:
    """Replace the file in one step: whoever collects it never sees a part. `shared`: readable by all, not by
    its owner only.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    built = temporary_name(path)
    try:
        built.write_bytes(text)
        move_into_place(built, path, PUBLISHED_MODE if shared else WORKING_MODE)
    finally:
        built.unlink(missing_ok=True)


def exposition(
    workspace: Path, endings: Mapping[str, Ending], now: dt.datetime, deadline: dt.time | None = None
) -> bytes:
    """The text; without a publication that can be read, only how the runs ended.

    Args:
        now: UTC time, for the age of the data.
        deadline: as for `standing`.
    """
    figures = _Figures(workspace.name)
    for ending in endings.values():
        _add_ending(figures, ending)
    stands = None
    with contextlib.suppress(TickercastError):
        if (workspace / PUBLISHED).is_file():
            # Held open for all questions: beside it a further connection takes no time.
            with reader.open_published(workspace):
                found = standing(workspace, now, deadline)
                _add_standing(figures, found)
                _add_published(figures, workspace)
                stands = found
    verdict = stands.verdict if stands else "failed"
    for name in _VERDICTS:
        figures.set(
            "tickercast_verdict",
            "1 for the verdict of `tickercast status` at the time.",
            name == verdict,
            verdict=name,
        )
    return generate_latest(figures.registry)


class _Figures:
    """Gauges, each with the workspace as a label; a figure that is missing is left out."""

    def __init__(self, workspace: str) -> None:
        self.registry = CollectorRegistry()
        self._workspace = workspace
        self._gauges: dict[str, Gauge] = {}

    def set(self, name: str, help: str, value: float | None, **labels: str) -> None:
        if value is None or pd.isna(value):
            return
        if name not in self._gauges:
            self._gauges[name] = Gauge(name, help, ["workspace", *labels], registry=self.registry)
        self._gauges[name].labels(workspace=self._workspace, **labels).set(value)


def _seconds(when: object) -> float:
    stamp = pd.Timestamp(when)
    return float((stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp).timestamp())


def _add_ending(figures: _Figures, ending: Ending) -> None:
    kind = {"kind": ending.kind}
    figures.set(
        "tickercast_last_run_timestamp_seconds",
        "When the last run of the kind ended.",
        _seconds(ending.finished_at),
        **kind,
    )
    figures.set(
        "tickercast_last_run_exit_code", "0 fresh, 10 degraded, others failed.", ending.exit_code, **kind
    )
    for stage, seconds in ending.seconds.items():
        figures.set(
            "tickercast_stage_duration_seconds",
            "How long a stage of the last run took.",
            seconds,
            **kind,
            stage=stage,
        )


def _add_standing(figures: _Figures, stands: Standing) -> None:
    figures.set(
        "tickercast_data_age_sessions",
        "Closed sessions that the ticker furthest behind lacks.",
        stands.sessions_behind,
    )
    due = stands.due.timestamp() if stands.due else None
    figures.set(
        "tickercast_deadline_timestamp_seconds",
        "When the first night that is not published yet is to be.",
        due,
    )
    behind = sum(ticker.status == "stale" for ticker in stands.degraded)
    figures.set("tickercast_tickers_stale", "Tickers that only the age of their data makes degraded.", behind)


def _add_published(figures: _Figures, workspace: Path) -> None:
    for kind, when in reader.query(workspace, _SUCCESSES).itertuples(index=False):
        figures.set(
            "tickercast_last_success_timestamp_seconds",
            "When a published run of the kind ended.",
            _seconds(when),
            kind=kind,
        )
    answers = dict(reader.query(workspace, _ANSWERS).itertuples(index=False))
    for status in STATUSES:
        figures.set(
            "tickercast_tickers",
            "Tickers of the last nightly run by status.",
            answers.get(status, 0),
            status=status,
        )
    for table, count in reader.query(workspace, _ROWS).itertuples(index=False):
        figures.set("tickercast_rows", "Rows of a published table.", count, table=table)
    settled = reader.query(workspace, _SETTLED).iloc[0]
    figures.set(
        "tickercast_forecasts_settled", f"Settled forecasts of the last {ROLLING_DAYS} days.", settled["n"]
    )
    for level in ("80", "95"):
        figures.set(
            "tickercast_forecast_coverage",
            "Share of settled outcomes inside the interval.",
            settled[f"cov{level}"],
            level=level,
        )
    for measure in ("rmse", "pinball"):
        help = "1 - error / error of the naive forecast, relative to the last close: above 0 is better."
        figures.set("tickercast_forecast_skill", help, settled[measure], measure=measure)
