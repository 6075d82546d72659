"""What was tried of covariates and events when tonight's pool was trained, and what of it was kept."""

from dataclasses import dataclass

from forecast_lib.report.frames import ReportInput, records

__all__ = ["Trial", "trials"]


@dataclass(frozen=True)
class Trial:
    """One candidate; `ratio` is its loss with it to that without, `None` where it could not be tried."""

    name: str
    half_years: int
    tickers: int
    ratio: float | None
    tickers_better: int
    pvalue: float
    kept: bool


def trials(report: ReportInput) -> tuple[Trial, ...]:
    """Those that were kept first, then by what they gained."""
    found = [
        Trial(
            row["name"],
            int(row["half_years"]),
            int(row["tickers"]),
            row["loss_with"] / row["loss_without"] if row["loss_with"] and row["loss_without"] else None,
            int(row["tickers_better"]),
            float(row["pvalue_adjusted"]),
            bool(row["kept"]),
        )
        for row in records(report.trials)
    ]
    return tuple(sorted(found, key=lambda each: (not each.kept, each.ratio is None, each.ratio or 0.0)))
