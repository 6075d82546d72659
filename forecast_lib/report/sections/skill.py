"""What the forecasts are worth: on the past that a backtest replays, and on what was published and has come
true since.

The two are samples of their own and are never pooled: a backtest scores many past evenings of one method, the
record scores the few evenings that were really published.
"""

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from forecast_lib.models.baselines import BASELINES
from forecast_lib.report.drawing import Drawing
from forecast_lib.report.frames import ALL_TICKERS, Record, ReportInput, columns_of, day_of, records
from forecast_lib.report.plots import draw_heap
from forecast_lib.report.sections.coverage import Coverage, coverage_rows

__all__ = [
    "SCORES_READ",
    "ArmRow",
    "ModelRow",
    "Score",
    "Settled",
    "Skill",
    "newest_scores",
    "skill",
    "ticker_scores",
]

SERVED = ("combined", "served")
"""Names, in a backtest, of what a night would have published."""
_SIGNIFICANT = 0.05
SCORES_READ = (
    *("ticker", "model", "step", "arm", "n", "rmse_ratio", "dm_pvalue"),
    *("pinball_per_garch", "dm_garch_pvalue", "winkler95_per_garch", "qlike", "cov80", "cov95"),
    *("cov95_low_vol", "cov95_mid_vol", "cov95_high_vol", "mcs_pvalue"),
    *("gain_over_none", "dm_none_pvalue", "dm_none_qvalue", "cpu_seconds", "gain_per_cpu_second"),
)
"""Columns of `backtest_scores`."""


class Score(NamedTuple):
    """One ticker's backtest figures of one model one session ahead: losses divided by GARCH's, the RMSE by
    naive's with the p-value of its Diebold-Mariano test.
    """

    model: str
    pinball: float | None
    winkler95: float | None
    cov80: float | None
    cov95: float | None
    ratio: float | None
    dm_pvalue: float | None
    n: int


_SCORE_READ = (
    *("model", "pinball_per_garch", "winkler95_per_garch", "cov80", "cov95", "rmse_ratio", "dm_pvalue"),
    "n",
)
"""The columns of a `Score`."""


@dataclass(frozen=True)
class ModelRow:
    """All tickers' backtest figures of one model or baseline at one step.

    Attributes:
        served: what a night would have published.
        ratio, pinball, winkler95: divided by naive's, GARCH's, GARCH's; geometric means over the tickers.
        qlike: mean loss of its variance forecast.
        tercile95: coverage of the 95 % interval in the calm, the middle and the wild third of the sessions.
        mcs_pvalue: below 0.1 it is surely not the best of them.
    """

    model: str
    step: int
    is_baseline: bool
    served: bool
    n: int
    ratio: float | None
    pinball: float | None
    winkler95: float | None
    qlike: float | None
    cov80: float | None
    cov95: float | None
    tercile95: tuple[float | None, float | None, float | None]
    mcs_pvalue: float | None


@dataclass(frozen=True)
class ArmRow:
    """All tickers' figures of one arm of a replay at one step: what its nights gained over never training
    again, and what they cost.

    Attributes:
        gain: share of the pinball loss of the arm `none` that was saved, geometric mean over the tickers.
        better, worse: tickers whose gain is above, below 0; `surely_*` those of them with a q-value up to
            0.05.
        cpu_seconds: of training, judging and choosing, all tickers together.
    """

    model: str
    step: int
    tickers: int
    pinball: float | None
    gain: float | None
    better: int
    worse: int
    surely_better: int
    surely_worse: int
    dm_pvalue: float | None
    cpu_seconds: float
    gain_per_cpu_second: float | None


@dataclass(frozen=True)
class Settled:
    """Published forecasts whose actual is known, by step and by what made them.

    `ratio` is the RMSE over the naive RMSE, both of errors in per cent of the actual price, so that dear
    tickers do not outweigh cheap ones; `pinball_ratio` the mean over the tickers of their pinball loss over
    naive's.
    """

    step: int
    made_by: str
    n: int
    cov80: float
    cov95: float
    ratio: float | None
    first: dt.date | None
    last: dt.date | None


@dataclass(frozen=True)
class Skill:
    """What is known about skill.

    Attributes:
        headline: the served model's row over all tickers one session ahead, and its dots.
        better, worse, equal: tickers of the drawing by the side of 1 on which they read; `surely_*` by
            Diebold-Mariano at 5 %.
        drawn: what the drawing's ratio is: `pinball` (to GARCH) or `rmse` (to naive) where no GARCH was
            scored.
    """

    headline: ModelRow | None
    drawing: Drawing | None
    drawn: str
    tickers: int
    better: int
    worse: int
    equal: int
    surely_better: int
    surely_worse: int
    models: tuple[ModelRow, ...]
    later: tuple[ModelRow, ...]
    arms: tuple[ArmRow, ...]
    settled: tuple[Settled, ...]
    coverage: tuple[Coverage, ...]

    @property
    def by_chance(self) -> float:
        """Tickers that would fall below p = 0.05 on either side if no model had any skill."""
        return self.tickers * _SIGNIFICANT


def newest_scores(report: ReportInput) -> pd.DataFrame:
    """Of each ticker, model and step the last row of its scores.

    A naive RMSE of 0 gives an infinite ratio: that is no figure.
    """
    scores = report.backtest_scores
    if scores.empty:
        return scores
    last = scores.drop_duplicates(["ticker", "model", "step"], keep="last")
    return last.replace([math.inf, -math.inf], math.nan)


def skill(report: ReportInput, scores: pd.DataFrame) -> Skill:
    """What the scores of the newest backtest, `newest_scores`, and the settled forecasts say."""
    every = records(_read(scores))
    plain = [row for row in every if row.get("arm") is None]
    # With nothing else, arms are models like others.
    shown = plain if any(row["model"] not in BASELINES for row in plain) else every
    first = min((int(row["step"]) for row in shown), default=1)
    rows = [_model_row(name, step, own) for (name, step), own in _by_model(shown).items()]
    models = sorted((row for row in rows if row.step == first), key=_order)
    headline = next((row for row in models if row.served), None) or next(
        (row for row in models if not row.is_baseline), None
    )
    own = [row for row in shown if headline and row["model"] == headline.model and row["step"] == first]
    return Skill(
        headline=headline,
        **_drawn([row for row in own if row["ticker"] != ALL_TICKERS]),
        models=tuple(models),
        later=tuple(
            row
            for row in sorted(rows, key=lambda row: (row.step, *_order(row)))
            if row.step > first and not row.is_baseline
        ),
        arms=_arms([row for row in every if row.get("arm") is not None]),
        settled=_settled(report.settled),
        coverage=tuple(coverage_rows(report.model_coverage, "made_by")),
    )


def ticker_scores(scores: pd.DataFrame) -> dict[str, tuple[Score, ...]]:
    """Each ticker's figures one session ahead, of `newest_scores`: what is served first, then the models,
    then the baselines, each the best first.
    """
    found: dict[str, list[Score]] = {}
    if not scores.empty:
        shown = scores[(scores["step"] == 1) & ~_of_an_arm(scores)]
        tickers, *columns = columns_of(shown, ("ticker", *_SCORE_READ))
        for ticker, score in zip(tickers, map(Score._make, zip(*columns, strict=True)), strict=True):
            found.setdefault(ticker, []).append(score)
    return {ticker: tuple(sorted(own, key=_score_order)) for ticker, own in found.items()}


def _of_an_arm(scores: pd.DataFrame) -> pd.Series:
    return scores["arm"].notna() if "arm" in scores else pd.Series(False, scores.index)


def _score_order(score: Score) -> tuple[bool, float]:
    return (score.model not in SERVED, score.pinball or math.inf)


def _order(row: ModelRow) -> tuple[bool, float, str]:
    return (not row.served, row.pinball or math.inf, row.model)


def _read(scores: pd.DataFrame) -> pd.DataFrame:
    """Those that something is made of: of a model's further steps the row over all tickers, where there is
    one, and not the thousands of the tickers.
    """
    if scores.empty:
        return scores
    arm = _of_an_arm(scores)
    over_all, place = scores["ticker"] == ALL_TICKERS, pd.MultiIndex.from_frame(scores[["model", "step"]])
    own = ~place.isin(place[over_all]) | (scores["step"] <= scores.loc[~arm, "step"].min())
    return scores[arm | over_all | own]


def _by_model(scores: Iterable[Record]) -> dict[tuple[str, int], list[Record]]:
    groups: dict[tuple[str, int], list[Record]] = {}
    for row in scores:
        groups.setdefault((row["model"], int(row["step"])), []).append(row)
    return groups


def _model_row(model: str, step: int, rows: Sequence[Record]) -> ModelRow:
    """The row over all tickers; where the backtest has none of its own, the same means of the
    tickers' rows.
    """
    pooled = next((row for row in rows if row["ticker"] == ALL_TICKERS), None)
    tickers = [row for row in rows if row["ticker"] != ALL_TICKERS]
    row = pooled or {
        "n": sum(row["n"] for row in tickers),
        **{
            name: _geometric_mean(row.get(name) for row in tickers)
            for name in ("rmse_ratio", "pinball_per_garch", "winkler95_per_garch")
        },
        **{name: _mean(row.get(name) for row in tickers) for name in ("qlike", "cov80", "cov95")},
    }
    return ModelRow(
        model=model,
        step=step,
        is_baseline=model in BASELINES,
        served=model in SERVED,
        n=int(row["n"]),
        ratio=row["rmse_ratio"],
        pinball=row.get("pinball_per_garch"),
        winkler95=row.get("winkler95_per_garch"),
        qlike=row.get("qlike"),
        cov80=row["cov80"],
        cov95=row["cov95"],
        tercile95=(row.get("cov95_low_vol"), row.get("cov95_mid_vol"), row.get("cov95_high_vol")),
        mcs_pvalue=row.get("mcs_pvalue"),
    )


def _drawn(rows: Sequence[Record]) -> dict[str, Any]:
    """The dots of the tickers, and how many lie on which side."""
    by_garch, by_naive = (
        [(row["ticker"], row[ratio], row.get(pvalue)) for row in rows if row.get(ratio)]
        for ratio, pvalue in (("pinball_per_garch", "dm_garch_pvalue"), ("rmse_ratio", "dm_pvalue"))
    )
    drawn, found = ("pinball", by_garch) if by_garch else ("rmse", by_naive)
    title = "Pinball loss divided by GARCH's" if by_garch else "RMSE divided by naive RMSE"
    read = [(ticker, round(ratio, 4), pvalue) for ticker, ratio, pvalue in found]
    sure = [ratio for _, ratio, pvalue in read if pvalue is not None and pvalue < _SIGNIFICANT]
    return {
        "drawing": (
            draw_heap(f"{title}, one dot a ticker", [(ticker, ratio) for ticker, ratio, _ in found])
            if len(found) > 1
            else None
        ),
        "drawn": drawn,
        "tickers": len(read),
        "better": sum(ratio < 1 for _, ratio, _ in read),
        "worse": sum(ratio > 1 for _, ratio, _ in read),
        "equal": sum(ratio == 1 for _, ratio, _ in read),
        "surely_better": sum(ratio < 1 for ratio in sure),
        "surely_worse": sum(ratio > 1 for ratio in sure),
    }


def _geometric_mean(values: Iterable[float | None]) -> float | None:
    logs = [math.log(value) for value in values if value]
    return math.exp(math.fsum(logs) / len(logs)) if logs else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _arms(scores: list[Record]) -> tuple[ArmRow, ...]:
    """By step, the cheapest arm first."""
    groups = _by_model(scores)
    made = [
        _arm(row, [each for each in rows if each["ticker"] != ALL_TICKERS])
        for rows in groups.values()
        for row in rows
        if row["ticker"] == ALL_TICKERS
    ]
    return tuple(sorted(made, key=lambda row: (row.step, row.cpu_seconds)))


def _arm(row: Record, tickers: list[Record]) -> ArmRow:
    gains = [each["gain_over_none"] for each in tickers if each["gain_over_none"] is not None]
    tested = [
        each for each in tickers if each["dm_none_qvalue"] is not None and each["gain_over_none"] is not None
    ]
    sure = [each["gain_over_none"] for each in tested if each["dm_none_qvalue"] <= _SIGNIFICANT]
    return ArmRow(
        model=row["model"],
        step=int(row["step"]),
        tickers=len(tickers),
        pinball=row["pinball_per_garch"],
        gain=row["gain_over_none"],
        better=sum(gain > 0 for gain in gains),
        worse=sum(gain < 0 for gain in gains),
        surely_better=sum(gain > 0 for gain in sure),
        surely_worse=sum(gain < 0 for gain in sure),
        dm_pvalue=row["dm_none_pvalue"],
        cpu_seconds=row["cpu_seconds"],
        gain_per_cpu_second=row["gain_per_cpu_second"],
    )


def _settled(frame: pd.DataFrame) -> tuple[Settled, ...]:
    return tuple(
        Settled(
            step=int(row["step"]),
            made_by=row["made_by"],
            n=int(row["n"]),
            cov80=float(row["cov80"]),
            cov95=float(row["cov95"]),
            ratio=row["ratio"],
            first=day_of(row["first"]),
            last=day_of(row["last"]),
        )
        for row in records(frame)
    )
