"""The frames of one run -> the plain values that its page shows. No text is formatted here and nothing is read or written.

Every part but the run itself may be empty: a first night has no backtest, no settled forecast and perhaps no model.
"""

import datetime as dt
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from forecast_lib.domain import STATUSES, quantile_column
from forecast_lib.models.baselines import BASELINES
from forecast_lib.report.plots import Drawing, ForecastPath, draw_forecast, draw_ratios

__all__ = [
    "ALL_TICKERS",
    "ArmRow",
    "Coverage",
    "Decision",
    "ForecastRow",
    "Quality",
    "RefusedRule",
    "ReportInput",
    "Rival",
    "RunFacts",
    "ScoreRow",
    "Settled",
    "Skill",
    "StepValue",
    "Summary",
    "TickerPlot",
    "TickerState",
    "build_summary",
]


ALL_TICKERS = "*"
NAIVE, DRIFT = "naive", "drift"

COMPUTED_BY = {"trained_by": "trained by", "answered_by": "answered by"}

CLOSES_SHOWN = 120
SIGNIFICANT = 0.05
BANDS = ((95, 0.025, 0.975), (80, 0.10, 0.90), (50, 0.25, 0.75))

Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ReportInput:
    """The frames of one run, with the columns of `tables.TABLES`; empty frames (without columns too) for parts not there yet.

    Attributes:
        run: the run's one row of `runs`.
        run_tickers: one row a ticker asked for; its order is the page's order.
        forecasts: this run's `forecasts`.
        prices: ticker, session, close: recent closes, adjusted for splits; the last 120 of each ticker are drawn.
        models: the `models` that this run trained (others are ignored).
        backtest_scores: rows of the backtest to be shown; of doubles by ticker, model and step the last row counts.
        outcomes: all `forecast_outcomes` so far; a joined column `made_by` splits the settled figures by it.
        coverage: the newest rows of `rolling_coverage`, one a ticker and step.
        model_coverage: the newest rows of `model_coverage`, one a model and step.
        quarantined: `quarantined_prices` rows that this run refused.
        simulated: the prices are made up; the page says so loudly.
    """

    run: pd.DataFrame
    run_tickers: pd.DataFrame = field(default_factory=pd.DataFrame)
    forecasts: pd.DataFrame = field(default_factory=pd.DataFrame)
    prices: pd.DataFrame = field(default_factory=pd.DataFrame)
    models: pd.DataFrame = field(default_factory=pd.DataFrame)
    backtest_scores: pd.DataFrame = field(default_factory=pd.DataFrame)
    outcomes: pd.DataFrame = field(default_factory=pd.DataFrame)
    coverage: pd.DataFrame = field(default_factory=pd.DataFrame)
    model_coverage: pd.DataFrame = field(default_factory=pd.DataFrame)
    quarantined: pd.DataFrame = field(default_factory=pd.DataFrame)
    simulated: bool = False


@dataclass(frozen=True)
class RunFacts:
    """What the run is; `stages` in seconds, in the order they were recorded; `networks`: what trained them and what answered."""

    run_id: str
    kind: str
    status: str
    message: str
    as_of: dt.date
    started_at: dt.datetime
    finished_at: dt.datetime
    source: str
    config_hash: str
    code_version: str
    libraries: tuple[tuple[str, str], ...]
    networks: tuple[tuple[str, str], ...]
    stages: tuple[tuple[str, float], ...]

    @property
    def seconds(self) -> float:
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True)
class TickerState:
    """How one ticker came out of the run."""

    ticker: str
    status: str
    reason: str | None
    made_by: str | None
    last_session: dt.date | None
    sessions_behind: int | None


@dataclass(frozen=True)
class StepValue:
    """One step of a forecast: prices; `low80` and `high80` bound the 80 % interval."""

    step: int
    target_session: dt.date
    point: float
    low80: float
    high80: float


@dataclass(frozen=True)
class ForecastRow:
    """One ticker's forecast; `last` is `None` when there is one step only."""

    ticker: str
    made_by: str
    currency: str | None
    cutoff: dt.date
    last_close: float
    first: StepValue
    last: StepValue | None


@dataclass(frozen=True)
class ScoreRow:
    """One ticker's backtest figures of one model at the first step. `pinball_ratio` and `drift_ratio` are against naive."""

    ticker: str
    model: str
    n: int
    rmse: float | None
    rmse_naive: float | None
    ratio: float | None
    dm_pvalue: float | None
    cov80: float | None
    cov95: float | None
    pinball_ratio: float | None
    drift_ratio: float | None

    @property
    def verdict(self) -> str:
        """`better` or `worse` only where Diebold-Mariano says so at 5 %; `unclear` otherwise."""
        if self.ratio is None or self.dm_pvalue is None or self.dm_pvalue >= SIGNIFICANT or self.ratio == 1:
            return "unclear"
        return "better" if self.ratio < 1 else "worse"


@dataclass(frozen=True)
class Skill:
    """All tickers' backtest figures of one model at one step.

    Attributes:
        ratio: geometric mean over the tickers of RMSE / naive RMSE.
        better, worse: tickers with a ratio below, above 1; `surely_*` those of them with a DM p-value below 0.05.
        cov80, cov95: share of outcomes inside the interval, weighted by each ticker's n.
        n: scored outcomes, all tickers together.
    """

    model: str
    step: int
    tickers: int
    ratio: float | None
    better: int
    worse: int
    surely_better: int
    surely_worse: int
    cov80: float | None
    cov95: float | None
    n: int

    @property
    def by_chance(self) -> float:
        """Tickers that would fall below p = 0.05 on either side if no model had any skill."""
        return self.tickers * SIGNIFICANT


@dataclass(frozen=True)
class Rival:
    """All tickers' figures of one model or baseline at the first step: its whole distribution, with GARCH(1,1)-t as the measure.

    Attributes:
        pinball, winkler95: loss divided by GARCH's, geometric mean over the tickers.
        qlike: mean loss of its variance forecast.
        tercile95: coverage of the 95 % interval in the calm, the middle and the wild third of the sessions.
        mcs_pvalue: below 0.1 it is surely not the best of them.
    """

    model: str
    is_baseline: bool
    ratio: float | None
    pinball: float
    winkler95: float | None
    qlike: float | None
    cov80: float | None
    cov95: float | None
    tercile95: tuple[float | None, float | None, float | None]
    mcs_pvalue: float | None


@dataclass(frozen=True)
class ArmRow:
    """All tickers' figures of one arm of a replay at one step: what its nights gained over never training again, and what they cost.

    Attributes:
        gain: share of the pinball loss of the arm `none` that was saved, geometric mean over the tickers.
        better, worse: tickers whose gain is above, below 0; `surely_*` those of them with a q-value up to 0.05.
        cpu_seconds: of training, judging and choosing, all tickers together.
    """

    model: str
    step: int
    tickers: int
    pinball_per_garch: float | None
    gain: float | None
    better: int
    worse: int
    surely_better: int
    surely_worse: int
    dm_pvalue: float | None
    cpu_seconds: float
    gain_per_cpu_second: float | None


@dataclass(frozen=True)
class Coverage:
    """How published intervals hold now: of one model or baseline over the last 250 sessions, or of one ticker over its last 250 forecasts.

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


@dataclass(frozen=True)
class Settled:
    """Forecasts of earlier runs whose actual is known, by step and by what made them (`None`: not told apart).

    `ratio` is the RMSE over the naive RMSE, both of errors in per cent of the actual price, so that dear tickers do not
    outweigh cheap ones.
    """

    step: int
    made_by: str | None
    n: int
    cov80: float
    cov95: float
    ratio: float | None


@dataclass(frozen=True)
class TickerPlot:
    """One ticker's drawing with what its caption says."""

    ticker: str
    status: str
    made_by: str | None
    currency: str | None
    last_close: float
    last_session: dt.date
    drawing: Drawing


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
class Quality:
    """What came in and what was refused or is missing."""

    rows_new: int
    rows_refused: int
    rules: tuple[RefusedRule, ...]
    behind: tuple[TickerState, ...]


@dataclass(frozen=True)
class Decision:
    """What was decided for a ticker's model; the `trained_*` fields tell of a model trained in this run, if any."""

    ticker: str
    decision: str | None
    trigger: str | None
    model_id: str | None
    seconds: float | None
    trained_id: str | None
    variant: str | None
    epochs: int | None
    promoted: bool | None
    gate_reason: str | None


@dataclass(frozen=True)
class Summary:
    """Everything on the page of one run."""

    run: RunFacts
    simulated: bool
    statuses: tuple[tuple[str, int], ...]
    tickers: int
    worst_behind: int
    degraded: tuple[TickerState, ...]
    forecasts: tuple[ForecastRow, ...]
    scores: tuple[ScoreRow, ...]
    skills: tuple[Skill, ...]
    skills_by_step: tuple[Skill, ...]
    drift: Skill | None
    rivals: tuple[Rival, ...]
    arms: tuple[ArmRow, ...]
    ratio_plot: Drawing | None
    settled: tuple[Settled, ...]
    coverage: tuple[Coverage, ...]
    tickers_covered: int
    uncovered: tuple[Coverage, ...]
    plots: tuple[TickerPlot, ...]
    quality: Quality
    decisions: tuple[Decision, ...]


def build_summary(report: ReportInput) -> Summary:
    """The page's values from the run's frames.

    Raises:
        ValueError: `run` is not exactly one row.
    """
    if len(report.run) != 1:
        raise ValueError(f"report: the run frame has {len(report.run)} rows, expected exactly 1; give the runs row of one run")
    states = [_state(row) for row in _records(report.run_tickers)]
    every_score = _last_scores(report.backtest_scores)
    plain = [row for row in every_score if row.get("arm") is None]
    scores = plain if any(row["model"] not in BASELINES for row in plain) else every_score  # with nothing else, arms are models like others
    first_step = min((row["step"] for row in scores), default=1)
    rows = _score_rows([row for row in scores if row["step"] == first_step])
    skills = _skills(scores)
    ratios = [(row.ticker, row.ratio) for row in rows if row.ratio and row.ticker != ALL_TICKERS]
    return Summary(
        run=_run_facts(_records(report.run)[0]),
        simulated=report.simulated,
        statuses=_status_counts(states),
        tickers=len(states),
        worst_behind=max((state.sessions_behind or 0 for state in states), default=0),
        degraded=tuple(sorted((s for s in states if s.status != "fresh"), key=lambda s: -_severity(s.status))),
        forecasts=_forecast_rows(report.forecasts, [state.ticker for state in states]),
        scores=rows,
        skills=tuple(skill for skill in skills if skill.step == first_step and skill.model not in BASELINES),
        skills_by_step=tuple(skill for skill in skills if skill.model not in BASELINES),
        drift=next((skill for skill in skills if skill.step == first_step and skill.model == DRIFT), None),
        rivals=_rivals([row for row in every_score if row["step"] == first_step and row["ticker"] == ALL_TICKERS]),
        arms=_arms([row for row in every_score if row.get("arm") is not None]),
        ratio_plot=draw_ratios("RMSE divided by naive RMSE, one dot a ticker", ratios),
        settled=_settled(report.outcomes),
        coverage=_coverage(report.model_coverage, "made_by"),
        tickers_covered=report.coverage["ticker"].nunique() if len(report.coverage) else 0,
        uncovered=tuple(row for row in _coverage(report.coverage, "ticker") if row.state != "held"),
        plots=_plots(report, {state.ticker: state for state in states}),
        quality=_quality(report, states),
        decisions=_decisions(report),
    )


def _records(frame: pd.DataFrame) -> list[Record]:
    """The rows as dicts, every kind of missing value as `None`."""
    plain = frame.astype(object)
    return [{str(key): value for key, value in row.items()} for row in plain.where(plain.notna(), None).to_dict("records")]


def _by_ticker(frame: pd.DataFrame) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = {}
    for row in _records(frame):
        groups.setdefault(row["ticker"], []).append(row)
    return groups


def _day(value: Any) -> dt.date | None:
    return None if value is None else pd.Timestamp(value).date()


def _session(value: Any) -> dt.date:
    day: dt.date = pd.Timestamp(value).date()
    return day


def _pairs(text: str) -> tuple[tuple[str, Any], ...]:
    """A JSON object stored as text, as pairs; anything else becomes one nameless pair, shown as it is."""
    try:
        loaded = json.loads(text)
    except ValueError:
        return (("", text),)
    return tuple(loaded.items()) if isinstance(loaded, dict) else (("", text),)


def _run_facts(row: Record) -> RunFacts:
    stages = [(name, value) for name, value in _pairs(row["seconds_per_stage"]) if isinstance(value, int | float)]
    libraries = {name: str(version) for name, version in _pairs(row["libraries"])}
    return RunFacts(
        run_id=row["run_id"],
        kind=row["kind"],
        status=row["status"],
        message=row["message"],
        as_of=_session(row["as_of"]),
        started_at=pd.Timestamp(row["started_at"]).to_pydatetime(),
        finished_at=pd.Timestamp(row["finished_at"]).to_pydatetime(),
        source=row["source"],
        config_hash=row["config_hash"],
        code_version=row["code_version"],
        libraries=tuple((name, version) for name, version in libraries.items() if name not in COMPUTED_BY),
        networks=tuple((COMPUTED_BY[name], libraries[name]) for name in COMPUTED_BY if name in libraries),
        stages=tuple((name, float(seconds)) for name, seconds in stages),
    )


def _state(row: Record) -> TickerState:
    behind = row.get("sessions_behind")
    return TickerState(
        ticker=row["ticker"],
        status=row["status"],
        reason=row.get("reason"),
        made_by=row.get("made_by"),
        last_session=_day(row.get("last_session")),
        sessions_behind=None if behind is None else int(behind),
    )


def _severity(status: str) -> int:
    return STATUSES.index(status) if status in STATUSES else len(STATUSES)


def _status_counts(states: Sequence[TickerState]) -> tuple[tuple[str, int], ...]:
    counts = Counter(state.status for state in states)
    return tuple((status, counts[status]) for status in sorted(counts, key=_severity))


def _step_value(row: Record) -> StepValue:
    low, high = quantile_column(0.10), quantile_column(0.90)
    return StepValue(int(row["step"]), _session(row["target_session"]), row["point"], row[low], row[high])


def _forecast_rows(forecasts: pd.DataFrame, order: Sequence[str]) -> tuple[ForecastRow, ...]:
    """One row a ticker, in the order of the run's tickers; a forecast of a ticker that is not among them comes last."""
    groups = _by_ticker(forecasts)
    names = [ticker for ticker in order if ticker in groups]
    return tuple(_forecast_row(groups[name]) for name in dict.fromkeys([*names, *groups]))


def _forecast_row(steps: list[Record]) -> ForecastRow:
    steps = sorted(steps, key=lambda row: row["step"])
    head = steps[0]
    return ForecastRow(
        ticker=head["ticker"],
        made_by=head["made_by"],
        currency=head.get("currency"),
        cutoff=_session(head["cutoff"]),
        last_close=head["last_close"],
        first=_step_value(head),
        last=_step_value(steps[-1]) if len(steps) > 1 else None,
    )


def _last_scores(scores: pd.DataFrame) -> list[Record]:
    if scores.empty:
        return []
    finite = scores.replace([math.inf, -math.inf], math.nan)  # a naive RMSE of 0 gives an infinite ratio: no figure
    return _records(finite.drop_duplicates(["ticker", "model", "step"], keep="last"))


def _score_rows(scores: list[Record]) -> tuple[ScoreRow, ...]:
    """The models' rows, those over all tickers first; the baselines' figures stand beside, not among them."""
    pinball = {row["ticker"]: row["pinball"] for row in scores if row["model"] == NAIVE}
    drift = {row["ticker"]: row["rmse_ratio"] for row in scores if row["model"] == DRIFT}
    rows = [row for row in scores if row["model"] not in BASELINES]
    rows.sort(key=lambda row: row["ticker"] != ALL_TICKERS)
    return tuple(
        ScoreRow(
            ticker=row["ticker"],
            model=row["model"],
            n=int(row["n"]),
            rmse=row["rmse"],
            rmse_naive=row["rmse_naive"],
            ratio=row["rmse_ratio"],
            dm_pvalue=row["dm_pvalue"],
            cov80=row["cov80"],
            cov95=row["cov95"],
            pinball_ratio=_ratio(row["pinball"], pinball.get(row["ticker"])),
            drift_ratio=drift.get(row["ticker"]),
        )
        for row in rows
    )


def _rivals(scores: list[Record]) -> tuple[Rival, ...]:
    """The best distribution first; none where the backtest had no GARCH beside it."""
    rows = [
        Rival(
            model=row["model"],
            is_baseline=row["model"] in BASELINES,
            ratio=row["rmse_ratio"],
            pinball=row["pinball_per_garch"],
            winkler95=row["winkler95_per_garch"],
            qlike=row["qlike"],
            cov80=row["cov80"],
            cov95=row["cov95"],
            tercile95=(row["cov95_low_vol"], row["cov95_mid_vol"], row["cov95_high_vol"]),
            mcs_pvalue=row["mcs_pvalue"],
        )
        for row in scores
        if row.get("pinball_per_garch")
    ]
    return tuple(sorted(rows, key=lambda row: row.pinball))


def _arms(scores: list[Record]) -> tuple[ArmRow, ...]:
    """By step, the cheapest arm first."""
    of_tickers: dict[tuple[str, int], list[Record]] = {}
    for row in scores:
        of_tickers.setdefault((row["model"], int(row["step"])), []).extend([] if row["ticker"] == ALL_TICKERS else [row])
    made = [_arm(row, of_tickers[row["model"], int(row["step"])]) for row in scores if row["ticker"] == ALL_TICKERS]
    return tuple(sorted(made, key=lambda row: (row.step, row.cpu_seconds)))


def _arm(row: Record, tickers: list[Record]) -> ArmRow:
    gains = [each["gain_over_none"] for each in tickers if each["gain_over_none"] is not None]
    sure = [each["gain_over_none"] for each in tickers if each["dm_none_qvalue"] is not None and each["dm_none_qvalue"] <= SIGNIFICANT]
    return ArmRow(
        model=row["model"],
        step=int(row["step"]),
        tickers=len(tickers),
        pinball_per_garch=row["pinball_per_garch"],
        gain=row["gain_over_none"],
        better=sum(gain > 0 for gain in gains),
        worse=sum(gain < 0 for gain in gains),
        surely_better=sum(gain > 0 for gain in sure),
        surely_worse=sum(gain < 0 for gain in sure),
        dm_pvalue=row["dm_none_pvalue"],
        cpu_seconds=row["cpu_seconds"],
        gain_per_cpu_second=row["gain_per_cpu_second"],
    )


def _ratio(value: float | None, base: float | None) -> float | None:
    return None if value is None or not base else value / base


def _skills(scores: list[Record]) -> list[Skill]:
    groups: dict[tuple[str, int], list[Record]] = {}
    for row in scores:
        if row["ticker"] != ALL_TICKERS:
            groups.setdefault((row["model"], int(row["step"])), []).append(row)
    return [_skill(model, step, rows) for (model, step), rows in sorted(groups.items())]


def _skill(model: str, step: int, rows: list[Record]) -> Skill:
    scored = [row for row in rows if row["rmse_ratio"]]
    sure = [row for row in scored if row["dm_pvalue"] is not None and row["dm_pvalue"] < SIGNIFICANT]
    return Skill(
        model=model,
        step=step,
        tickers=len(scored),
        ratio=_geometric_mean(row["rmse_ratio"] for row in scored),
        better=sum(row["rmse_ratio"] < 1 for row in scored),
        worse=sum(row["rmse_ratio"] > 1 for row in scored),
        surely_better=sum(row["rmse_ratio"] < 1 for row in sure),
        surely_worse=sum(row["rmse_ratio"] > 1 for row in sure),
        cov80=_weighted_mean((row["cov80"], row["n"]) for row in rows),
        cov95=_weighted_mean((row["cov95"], row["n"]) for row in rows),
        n=int(sum(row["n"] for row in rows)),
    )


def _geometric_mean(values: Iterable[float]) -> float | None:
    logs = [math.log(value) for value in values]
    return math.exp(math.fsum(logs) / len(logs)) if logs else None


def _weighted_mean(pairs: Iterable[tuple[float | None, int]]) -> float | None:
    known = [(value, weight) for value, weight in pairs if value is not None and weight]
    return math.fsum(v * w for v, w in known) / sum(w for _, w in known) if known else None


def _settled(outcomes: pd.DataFrame) -> tuple[Settled, ...]:
    if outcomes.empty:
        return ()
    keys = ["step", "made_by"] if "made_by" in outcomes else ["step"]
    rows = []
    for key, group in outcomes.groupby(keys, dropna=False):
        error, naive = ((group[column] / group["actual"]).pow(2).mean() for column in ("error", "naive_error"))
        maker = key[1] if len(keys) == 2 and pd.notna(key[1]) else None
        ratio = math.sqrt(error / naive) if naive > 0 else None
        inside80, inside95 = (float(group[column].astype(float).mean()) for column in ("inside80", "inside95"))
        rows.append(Settled(int(key[0]), maker, len(group), inside80, inside95, ratio))
    return tuple(rows)


def _coverage(rows: pd.DataFrame, of: str) -> tuple[Coverage, ...]:
    """In the order of the steps. `of`: the column that names whose they are."""
    shares = ("cov80", "low80", "high80", "cov95", "low95", "high95")
    return tuple(
        Coverage(
            of=row[of],
            step=int(row["step"]),
            n=int(row["n"]),
            last_session=_session(row["target_session"]),
            state=row["state"],
            **{name: float(row[name]) for name in shares},
        )
        for row in sorted(_records(rows), key=lambda row: (row["step"], row[of]))
    )


def _plots(report: ReportInput, states: dict[str, TickerState]) -> tuple[TickerPlot, ...]:
    closes = _closes(report.prices)
    forecasts = _by_ticker(report.forecasts)
    names = dict.fromkeys([*states, *forecasts])
    made = [_plot(name, states.get(name), closes.get(name, []), forecasts.get(name, []), report.simulated) for name in names]
    return tuple(plot for plot in made if plot)


def _closes(prices: pd.DataFrame) -> dict[str, list[tuple[dt.date, float]]]:
    """The last closes of each ticker, oldest first."""
    if prices.empty:
        return {}
    ordered = prices.dropna(subset=["close"]).sort_values("session")
    days, values = ordered["session"].dt.date.to_numpy(), ordered["close"].to_numpy(float)
    places = {ticker: rows[-CLOSES_SHOWN:] for ticker, rows in ordered.groupby("ticker").indices.items()}
    return {str(ticker): list(zip(days[rows], values[rows].tolist(), strict=True)) for ticker, rows in places.items()}


def _plot(
    ticker: str, state: TickerState | None, closes: list[tuple[dt.date, float]], steps: list[Record], simulated: bool
) -> TickerPlot | None:
    if not closes and not steps:
        return None
    path = _forecast_path(steps) if steps else None
    known = [pair for pair in closes if path is None or pair[0] <= path.cutoff]
    last_session, last_close = (path.cutoff, path.last_close) if path else known[-1]
    return TickerPlot(
        ticker=ticker,
        status=state.status if state else "none",
        made_by=steps[0]["made_by"] if steps else None,
        currency=steps[0].get("currency") if steps else None,
        last_close=last_close,
        last_session=last_session,
        drawing=draw_forecast(_plot_title(ticker, last_session, path, simulated), known, path),
    )


def _plot_title(ticker: str, last_session: dt.date, path: ForecastPath | None, simulated: bool) -> str:
    kind = "simulated closes" if simulated else "closes"
    if path is None:
        return f"{ticker}: {kind} up to {last_session}, no forecast"
    low, high = next((low[-1], high[-1]) for percent, low, high in path.bands if percent == 80)
    return (
        f"{ticker}: {kind} up to {last_session}, then the forecast to {path.targets[-1]}: "
        f"median {path.median[-1]:,.6g}, 80 % interval {low:,.6g} to {high:,.6g}"
    )


def _forecast_path(steps: list[Record]) -> ForecastPath:
    steps = sorted(steps, key=lambda row: row["step"])

    def quantile(level: float) -> tuple[float, ...]:
        return tuple(row[quantile_column(level)] for row in steps)

    return ForecastPath(
        cutoff=_session(steps[0]["cutoff"]),
        last_close=steps[0]["last_close"],
        targets=tuple(_session(row["target_session"]) for row in steps),
        median=quantile(0.5),
        bands=tuple((percent, quantile(low), quantile(high)) for percent, low, high in BANDS),
    )


def _quality(report: ReportInput, states: Sequence[TickerState]) -> Quality:
    rows = _records(report.run_tickers)
    return Quality(
        rows_new=sum(int(row.get("rows_new") or 0) for row in rows),
        rows_refused=sum(int(row.get("rows_refused") or 0) for row in rows),
        rules=_refused_rules(_records(report.quarantined)),
        behind=tuple(sorted((s for s in states if s.sessions_behind), key=lambda s: -(s.sessions_behind or 0))),
    )


def _refused_rules(rows: list[Record]) -> tuple[RefusedRule, ...]:
    groups: dict[str, list[Record]] = {}
    for row in rows:
        groups.setdefault(row["rule"], []).append(row)
    made = [
        RefusedRule(
            rule=rule,
            rows=len(group),
            tickers=tuple(dict.fromkeys(row["ticker"] for row in group)),
            example_ticker=group[0]["ticker"],
            example_session=_day(group[0]["session"]),
            example_reason=group[0]["reason"],
        )
        for rule, group in groups.items()
    ]
    return tuple(sorted(made, key=lambda rule: (-rule.rows, rule.rule)))


def _decisions(report: ReportInput) -> tuple[Decision, ...]:
    """One row a ticker; models pooled over all tickers, which no ticker row names as its own, come first."""
    run_id = report.run["run_id"].iloc[0]
    trained = {row["ticker"]: row for row in _records(report.models) if row["run_id"] == run_id}
    tickers = _records(report.run_tickers)
    named = {row["ticker"] for row in tickers}
    pooled = [_decision({"ticker": ticker}, row) for ticker, row in trained.items() if ticker not in named]
    return tuple(pooled + [_decision(row, trained.get(row["ticker"])) for row in tickers])


def _decision(row: Record, model: Record | None) -> Decision:
    model = model or {}
    return Decision(
        ticker=row["ticker"],
        decision=row.get("decision"),
        trigger=row.get("trigger"),
        model_id=row.get("model_id"),
        seconds=row.get("train_seconds"),
        trained_id=model.get("model_id"),
        variant=model.get("variant"),
        epochs=None if model.get("epochs") is None else int(model["epochs"]),
        promoted=None if model.get("promoted") is None else bool(model["promoted"]),
        gate_reason=model.get("gate_reason"),
    )
