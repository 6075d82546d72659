"""One small made-up night, in frames with the columns of `tables.TABLES`: three tickers, one of each kind of
answer.
"""

import dataclasses
from typing import Any

import pandas as pd

from forecast_lib import tables
from forecast_lib.report import ReportInput

HOSTILE = '<script>alert("x")</script>'
CUTOFF = pd.Timestamp("2026-11-20")
TARGETS = (pd.Timestamp("2026-11-23"), pd.Timestamp("2026-11-24"))


def checked(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as it comes from the database, where every table but `runs` of a run says where its prices
    came from.
    """
    wanted = "source" in tables.TABLES[table].columns and "source" not in frame
    return tables.validate(table, frame.assign(source="files") if wanted else frame)


def run_frame(**changes: Any) -> pd.DataFrame:
    row = {
        "run_id": "20261120T213000-ab12cd",
        "kind": "nightly",
        "as_of": CUTOFF,
        "known_at": pd.Timestamp("2026-11-20 21:30"),
        "started_at": pd.Timestamp("2026-11-20 21:30:00"),
        "finished_at": pd.Timestamp("2026-11-20 21:31:15"),
        "status": "degraded",
        "message": "published: 3 tickers, 2 degraded",
        "source": "files",
        "config": "{}",
        "config_hash": "9f3c1a2b4d5e6f70",
        "code_version": "0.1.0",
        "libraries": '{"numpy": "2.4.6", "pandas": "3.1.1"}',
        "tickers": 3,
        "degraded": 2,
        "prices_hash": None,
        "forecasts_hash": None,
        "seconds_per_stage": '{"ingest": 4.25, "forecast": 61.0}',
    }
    return checked("runs", pd.DataFrame([row | changes]))


def ticker_row(ticker: str, status: str, **changes: Any) -> dict[str, Any]:
    return {
        "run_id": "20261120T213000-ab12cd",
        "ticker": ticker,
        "status": status,
        "reason": None,
        "decision": "retrain",
        "trigger": "first model",
        "model_id": f"model-of-{ticker}",
        "made_by": "stacked",
        "train_seconds": 2.5,
        "last_session": CUTOFF,
        "sessions_behind": 0,
        "calendar": "XNYS",
        "rows_new": 10,
        "rows_refused": 0,
        "cost_seconds": 2.0,
        "expected_gain": 0.001,
        "problem": None,
        "flags": None,
        "expected_seconds": None,
    } | changes


def ticker_frame(*rows: dict[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame([*rows]).astype({"sessions_behind": pd.Int64Dtype()})
    return checked("run_tickers", frame)


def forecast_rows(ticker: str, last_close: float, **changes: Any) -> list[dict[str, Any]]:
    """Two steps; step k has its quantiles 2k apart on either side of the last close, by hand."""
    return [
        {
            "run_id": "20261120T213000-ab12cd",
            "ticker": ticker,
            "model_id": f"model-of-{ticker}",
            "made_by": "stacked",
            "cutoff": CUTOFF,
            "step": step,
            "target_session": target,
            "last_close": last_close,
            "point": last_close + step,
            "sigma": 0.01,
            **{name: last_close + (k - 6) * 2 * step for k, name in enumerate(tables.QUANTILE_COLUMNS)},
            "es01": last_close - 11 * step,
            "es025": last_close - 10 * step,
            "currency": "USD",
            "dividend": 0.0,
            "split": 1.0,
        }
        | changes
        for step, target in enumerate(TARGETS, start=1)
    ]


def price_rows(ticker: str, closes: list[float]) -> pd.DataFrame:
    sessions = pd.bdate_range(end=CUTOFF, periods=len(closes)).astype("datetime64[us]")
    return pd.DataFrame({"ticker": ticker, "session": sessions, "close": closes})


def score_row(ticker: str, model: str, ratio: float, step: int = 1, **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(tables.TABLES["backtest_scores"].columns, 0.0) | {"arm": None}
    scores = {
        "rmse": 2.0 * ratio,
        "rmse_naive": 2.0,
        "rmse_ratio": ratio,
        "pinball": 0.5 * ratio,
        "dm_pvalue": 0.5,
    }
    return (
        row
        | {
            "backtest_id": "b1",
            "ticker": ticker,
            "model": model,
            "step": step,
            "n": 100,
            "cov80": 0.8,
            "cov95": 0.95,
        }
        | scores
        | changes
    )


def score_frame(*rows: dict[str, Any]) -> pd.DataFrame:
    return checked("backtest_scores", pd.DataFrame([*rows]))


def past_rows(
    ticker: str, actuals: list[float | None], last_close: float = 100.0, step: int = 1, **changes: Any
) -> list[dict[str, Any]]:
    """Forecasts of earlier evenings whose target sessions end at the cutoff, with the quantiles of
    `forecast_rows`, and what came.
    """
    sessions = pd.bdate_range(end=CUTOFF, periods=len(actuals))
    row = forecast_rows(ticker, last_close, **changes)[step - 1]
    return [
        {**row, "run_id": "earlier", "target_session": day, "actual": came}
        for day, came in zip(sessions, actuals, strict=True)
    ]


def past_frame(*rows: dict[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame([*rows])
    return frame.astype({"actual": float, "target_session": "datetime64[us]"})


def settled_row(step: int, made_by: str, n: int, ratio: float | None = 1.0) -> dict[str, Any]:
    shares = {"cov80": 0.8, "cov95": 0.95, "ratio": ratio, "first": CUTOFF, "last": CUTOFF}
    return {"step": step, "made_by": made_by, "n": n, **shares}


def arm_rows(arm: str, gain: float, cpu_seconds: float) -> list[dict[str, Any]]:
    """An arm of a replay: AAA, which gained surely, and all tickers."""
    figures = {
        "arm": arm,
        "gain_over_none": gain,
        "cpu_seconds": cpu_seconds,
        "gain_per_cpu_second": gain / 10,
        "dm_none_pvalue": 0.02,
    }
    return [
        score_row(ticker, f"stacked_{arm}", 1.0, pinball_per_garch=0.99, dm_none_qvalue=qvalue, **figures)
        for ticker, qvalue in (("AAA", 0.03), ("*", None))
    ]


def coverage_frame(*rows: tuple[str, str, float, str]) -> pd.DataFrame:
    """Rows of `rolling_coverage` or `model_coverage`: (column, whose, share in the 95 % interval, state)."""
    limits = {"cov80": 0.81, "low80": 0.724, "high80": 0.876, "low95": 0.909, "high95": 0.991}
    made = [
        {of: name, "step": 1, "n": 250, "target_session": CUTOFF, "cov95": cov95, "state": state}
        for of, name, cov95, state in rows
    ]
    return pd.DataFrame(made).assign(**limits)


def refused_row(ticker: str, rule: str, reason: str) -> dict[str, Any]:
    row = {
        "ticker": ticker,
        "session": CUTOFF,
        "row": "{}",
        "origin": "files",
        "rule": rule,
        "reason": reason,
    }
    return row | {
        "run_id": "20261120T213000-ab12cd",
        "known_at": CUTOFF,
        "released_at": pd.NaT,
        "field": None,
    }


def model_row(ticker: str, **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(tables.TABLES["models"].columns, 0)
    return (
        row
        | {
            "model_id": f"0123456789abcdef-{ticker}",
            "run_id": "20261120T213000-ab12cd",
            "ticker": ticker,
            "variant": "stacked",
            "epochs": 7,
            "promoted": True,
            "gate_reason": "validation RMSE 0.99 of naive",
        }
        | changes
    )


def driver_frame(
    ticker: str,
    changed: dict[str, float] | None = None,
    why: str | None = None,
    effects: dict[str, float] | None = None,
) -> pd.DataFrame:
    """Drivers of both steps, each with the same effect as change where `effects` has no other; without
    changes `why` says why.
    """
    named = changed or {"usual level": -3.0, "calibration": 0.2}
    rows = [
        {
            "run_id": "20261120T213000-ab12cd",
            "ticker": ticker,
            "step": step,
            "driver": driver,
            "effect": (effects or {}).get(driver, effect),
            "change": effect if changed else None,
            "why_no_change": why,
        }
        for step in (1, 2)
        for driver, effect in named.items()
    ]
    return checked("forecast_drivers", pd.DataFrame(rows))


def earlier_night(ticker: str, day: str, **changes: Any) -> dict[str, Any]:
    """How the ticker came out of a night before, in order and from that day's close."""
    when = pd.Timestamp(day)
    return ticker_row(ticker, "fresh", last_session=when, run_id="earlier", **changes) | {"as_of": when}


def night(**changes: Any) -> ReportInput:
    """AAA fresh, BBB answered by naive and two sessions behind, CCC without a forecast and with a hostile
    reason.
    """
    made = ReportInput(
        run=run_frame(),
        run_tickers=ticker_frame(
            ticker_row("AAA", "fresh"),
            ticker_row(
                "BBB",
                "naive",
                made_by="naive",
                reason="too few sessions",
                sessions_behind=2,
                last_session=pd.Timestamp("2026-11-18"),
            ),
            ticker_row(
                "CCC", "none", made_by=None, model_id=None, reason=HOSTILE, rows_new=0, rows_refused=2
            ),
        ),
        forecasts=checked(
            "forecasts",
            pd.DataFrame(forecast_rows("BBB", 50.0, made_by="naive") + forecast_rows("AAA", 100.0)),
        ),
        prices=pd.concat([price_rows("AAA", [98.0, 99.0, 100.0]), price_rows("BBB", [51.0, 50.0])]),
        models=pd.DataFrame(
            [model_row("AAA"), model_row("BBB", promoted=False, gate_reason="worse than naive")]
        ),
        backtest_scores=score_frame(
            score_row("AAA", "stacked", 0.8, dm_pvalue=0.01),
            score_row("BBB", "stacked", 1.25, dm_pvalue=0.2, n=300, cov80=0.6),
            score_row("AAA", "naive", 1.0),
            score_row("BBB", "naive", 1.0),
            score_row("AAA", "drift", 1.1),
            score_row("AAA", "stacked", 0.9, step=2),
        ),
        past=past_frame(*past_rows("AAA", [101.0, 99.0, 120.0]), *past_rows("BBB", [50.0, None], 50.0)),
        settled=pd.DataFrame([settled_row(1, "stacked", 3), settled_row(1, "naive", 1)]),
        drivers=pd.concat(
            [
                driver_frame("AAA", {"usual level": 0.0, "falls": 0.1, "last session": 0.1, "season": -0.05}),
                driver_frame("BBB", None, "first"),
            ]
        ),
        quarantined=pd.DataFrame(
            [
                refused_row("CCC", "high_below_low", "high 9 is below low 10"),
                refused_row("CCC", "gap", HOSTILE),
            ]
        ),
    )
    return dataclasses.replace(made, **changes)
