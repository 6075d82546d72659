"""Whole made-up nights for the tests of the store: every table of one run, small, complete and obeying every
rule.
"""

import datetime as dt
import functools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecast_lib import portfolios
from forecast_lib.distribution import expected_shortfalls
from forecast_lib.domain import QUANTILES, AsOf
from forecast_lib.store.disk import ledger
from forecast_lib.store.published import publication
from forecast_lib.store.working import database
from forecast_lib.tables import QUANTILE_COLUMNS, SHORTFALL_COLUMNS, TABLES

FIRST_DAY = dt.date(2024, 1, 2)
UTC = dt.UTC
WORLDS = 1000
P = (np.arange(WORLDS) + 0.5) / WORLDS


def day(number: int) -> dt.date:
    """The evening of night `number`, counted from 0; every day is a session here."""
    return FIRST_DAY + dt.timedelta(days=number)


def now(number: int) -> dt.datetime:
    """When night `number` runs: 22:00 UTC."""
    return dt.datetime.combine(day(number), dt.time(22), UTC)


def as_of(number: int) -> AsOf:
    return AsOf(day(number), now(number), now(number))


def stamp(when: dt.date) -> pd.Timestamp:
    return pd.Timestamp(when).tz_localize(None).as_unit("us")


def prices(number: int, tickers: tuple[str, ...], close: float = 100.0) -> pd.DataFrame:
    """The session of night `number`: open 99, high 102, low 98, close 100, 1000 shares."""
    return pd.DataFrame(
        {
            "ticker": list(tickers),
            "session": stamp(day(number)),
            "open": 99.0,
            "high": close + 2.0,
            "low": 98.0,
            "close": close,
            "adj_close": close,
            "volume": 1000.0,
            "currency": "USD",
            "source": "simulated",
        }
    )


def forecasts(
    run_id: str, number: int, tickers: tuple[str, ...], horizon: int, model_id: str | None
) -> pd.DataFrame:
    rows = [
        {
            "run_id": run_id,
            "ticker": ticker,
            "model_id": model_id,
            "made_by": "naive" if model_id is None else "stacked",
            "cutoff": stamp(day(number)),
            "step": step,
            "target_session": stamp(day(number + step)),
            "last_close": 100.0,
            "point": 100.0 + step,
            "sigma": 0.02,
            **{column: 94.0 + place for place, column in enumerate(QUANTILE_COLUMNS)},
            "es01": 94.5,
            "es025": 95.0,
            "currency": "USD",
            "dividend": 0.0,
            "split": 1.0,
        }
        for ticker in tickers
        for step in range(1, horizon + 1)
    ]
    return pd.DataFrame(rows)


def night(
    number: int, tickers: tuple[str, ...] = ("AAA", "BBB"), horizon: int = 2, **run: Any
) -> dict[str, pd.DataFrame]:
    """Prices, statuses, one pooled model and forecasts of the nightly run `run-<number>`; `run` overrides
    columns of `runs`.
    """
    run_id = run.get("run_id", f"run-{number}")
    seen = stamp(now(number))
    made = {
        "prices": prices(number, tickers).assign(revision=0, known_at=seen, run_id=run_id),
        "runs": pd.DataFrame([run_row(number, len(tickers)) | run]),
        "run_tickers": pd.DataFrame([ticker_row(run_id, ticker, number) for ticker in tickers]),
        "models": pd.DataFrame([model_row(run_id, number)]),
        "forecasts": forecasts(run_id, number, tickers, horizon, f"model-{run_id}"),
    }
    return {
        table: frame.assign(source="simulated").reindex(columns=list(TABLES[table].columns))
        for table, frame in made.items()
    }


def run_row(number: int, tickers: int) -> dict[str, Any]:
    return {
        "run_id": f"run-{number}",
        "kind": "nightly",
        "as_of": stamp(day(number)),
        "known_at": stamp(now(number)),
        "started_at": stamp(now(number)),
        "finished_at": stamp(now(number)) + pd.Timedelta(minutes=5),
        "status": "fresh",
        "message": "2 tickers fresh",
        "source": "simulated",
        "config": json.dumps({"seed": 0}),
        "config_hash": "0" * 16,
        "code_version": "0.1.0",
        "libraries": json.dumps({"duckdb": "2.0.0"}),
        "tickers": tickers,
        "degraded": 0,
        "prices_hash": "p" * 64,
        "forecasts_hash": "f" * 64,
        "seconds_per_stage": json.dumps({"ingest": 0.5}),
    }


def ticker_row(run_id: str, ticker: str, number: int) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "ticker": ticker,
        "status": "fresh",
        "reason": None,
        "decision": "retrain",
        "trigger": "first model",
        "model_id": f"model-{run_id}",
        "made_by": "stacked",
        "train_seconds": 1.5,
        "last_session": stamp(day(number)),
        "sessions_behind": 0,
        "calendar": "XNYS",
        "rows_new": 1,
        "rows_refused": 0,
        "cost_seconds": 2.0,
        "expected_gain": 0.001,
        "expected_seconds": None,
        "problem": None,
        "flags": None,
    }


def model_row(run_id: str, number: int, **other: Any) -> dict[str, Any]:
    return {
        "model_id": f"model-{run_id}",
        "run_id": run_id,
        "ticker": "*",
        "variant": "stacked",
        "parent_id": None,
        "trained_as_of": stamp(day(number)),
        "trained_through": stamp(day(number)),
        "config": '{"units": 50}',
        "weights_sha256": "a" * 64,
        "seed": 0,
        "epochs": 3,
        "val_n": 40,
        "val_rmse": 0.01,
        "val_rmse_naive": 0.011,
        "val_pinball": 0.004,
        "val_pinball_naive": 0.005,
        "val_cov80": 0.8,
        "val_cov95": 0.95,
        "shrinkage": 0.5,
        "promoted": True,
        "gate_reason": "better than naive",
        "val_gain": 0.001,
    } | other


def outcomes(
    run_id: str, settled_by: str, number: int, made: int, tickers: tuple[str, ...] = ("AAA", "BBB")
) -> pd.DataFrame:
    """Step 1 of the forecasts that night `made` made, settled on night `number`: point 101, actual 100, naive
    right.
    """
    return pd.DataFrame(
        [
            {
                "run_id": run_id,
                "ticker": ticker,
                "step": 1,
                "target_session": stamp(day(made + 1)),
                "actual": 100.0,
                "error": 1.0,
                "naive_error": 0.0,
                "pinball": 0.4,
                "baseline_pinball": 0.5,
                "inside80": True,
                "inside95": True,
                "settled_at": stamp(now(number)),
                "settled_by": settled_by,
            }
            for ticker in tickers
        ]
    )


def store_night(
    workspace: Path, number: int, frames: dict[str, pd.DataFrame] | None = None, **at: Any
) -> dict[str, Any]:
    """Record a night as a job does: one transaction, close, ledger."""
    with database.open_working(workspace, now(number)) as con:
        entry = database.record_run(con, frames or night(number), **at)
    ledger.append(workspace, entry, **at)
    return entry


def store_and_publish(
    workspace: Path, number: int, frames: dict[str, pd.DataFrame] | None = None, keep: int = 7, **at: Any
) -> None:
    """The usual first night of a new workspace is made once, and copied."""
    if number == 0 and frames is None and not at and not (workspace / "working.duckdb").exists():
        shutil.copytree(_first_night().name, workspace, dirs_exist_ok=True)
        return
    entry = store_night(workspace, number, frames, **at)
    publication.publish(workspace, entry["run_id"], keep, **at)


@functools.cache
def _first_night() -> "tempfile.TemporaryDirectory[str]":
    made = tempfile.TemporaryDirectory(prefix="tickercast-night-")
    entry = store_night(Path(made.name), 0)
    publication.publish(Path(made.name), entry["run_id"], 7)
    return made


def joint_night(number: int, horizon: int = 2, **changed: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """A night of two tickers whose forecasts are logistic, BBB twice as wide, and whose worlds are of one
    mind.
    """
    frames = night(number, horizon=horizon)
    odds = np.log(np.array(QUANTILES) / (1 - np.array(QUANTILES)))
    wide = frames["forecasts"]["ticker"].map({"AAA": 0.01, "BBB": 0.02}).to_numpy()[:, None]
    quantiles = 100 * np.exp(wide * odds)
    frames["forecasts"][list(QUANTILE_COLUMNS)] = quantiles
    frames["forecasts"][list(SHORTFALL_COLUMNS)] = np.stack(expected_shortfalls(quantiles), axis=1)
    draws = [100 * np.exp(each * np.log(P / (1 - P))).astype(np.float32) for each in wide]
    rows = frames["forecasts"][["run_id", "ticker", "step"]].assign(prices=draws)
    shares = {"tickers": [["AAA", "BBB"]], "weights": [[0.5, 0.5]]}
    figures = {name: [each] for name, each in portfolios.risk(np.linspace(-0.1, 0.1, WORLDS)).items()}
    held = pd.DataFrame({"run_id": f"run-{number}", "portfolio": "equal", "step": 1, **shares, **figures})
    return {**frames, "scenarios": rows, "portfolio_forecasts": held, **changed}
