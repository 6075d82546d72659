"""What came in and what was refused, and what was decided about models, all tickers together."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from forecast_lib.report.frames import ALL_TICKERS, ReportInput, day_of, group_by, records
from forecast_lib.report.sections.tickers import TickerState

__all__ = ["Pooled", "Quality", "RefusedRule", "quality"]


@dataclass(frozen=True)
class RefusedRule:
    """The rows that one rule refused, and one of them as an example."""

    rule: str
    rows: int
    tickers: tuple[str, ...]
    example_ticker: str
    example_session: dt.date | None
    example_reason: str


@dataclass(frozen=True)
class Pooled:
    """A model of all tickers that this run trained."""

    model_id: str
    variant: str
    epochs: int


@dataclass(frozen=True)
class Quality:
    """Rows in and rows refused; `decisions`: how many tickers' models were trained how; `pooled`: models of
    all tickers made tonight.
    """

    rows_new: int
    rows_refused: int
    rules: tuple[RefusedRule, ...]
    decisions: tuple[tuple[str, int], ...]
    pooled: tuple[Pooled, ...]


def quality(report: ReportInput, states: Sequence[TickerState]) -> Quality:
    """The counts of the run."""
    rows = records(report.run_tickers)
    decided = [state.decision.replace("_", "-") for state in states if state.decision]
    own = [
        row
        for row in records(report.models)
        if row["run_id"] == report.run["run_id"].iloc[0] and row["ticker"] == ALL_TICKERS
    ]
    return Quality(
        rows_new=sum(int(row.get("rows_new") or 0) for row in rows),
        rows_refused=sum(int(row.get("rows_refused") or 0) for row in rows),
        rules=_refused_rules(report),
        decisions=tuple((name, decided.count(name)) for name in sorted(set(decided))),
        pooled=tuple(Pooled(row["model_id"], row["variant"], int(row["epochs"] or 0)) for row in own),
    )


def _refused_rules(report: ReportInput) -> tuple[RefusedRule, ...]:
    made = [
        RefusedRule(
            rule=rule,
            rows=len(group),
            tickers=tuple(dict.fromkeys(row["ticker"] for row in group)),
            example_ticker=group[0]["ticker"],
            example_session=day_of(group[0]["session"]),
            example_reason=group[0]["reason"],
        )
        for rule, group in group_by(records(report.quarantined), "rule").items()
    ]
    return tuple(sorted(made, key=lambda rule: (-rule.rows, rule.rule)))
