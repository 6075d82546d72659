"""One status row for each ticker asked for, naming the model that answered; and the run's own row."""

import contextlib
import dataclasses
import functools
import json
import math
import platform
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType

import numpy as np
import pandas as pd

from forecast_lib.backtest.validation import Validation
from forecast_lib.config import RunConfig, config_hash, to_json
from forecast_lib.forecast import COMBINED
from forecast_lib.jobs.forecast.tickers import FEWEST_SESSIONS
from forecast_lib.jobs.ingest.new_prices import Market, Problem
from forecast_lib.jobs.record.statuses import degraded, status_of
from forecast_lib.jobs.refresh.models import Refreshed
from forecast_lib.jobs.refresh.pool import KeptPool
from forecast_lib.models.forward import answered_by
from forecast_lib.models.training import POOL, Trained
from forecast_lib.sessions import TickerCalendar
from forecast_lib.tables import empty

__all__ = [
    "code_version",
    "devices",
    "libraries",
    "library_version",
    "model_rows",
    "run_row",
    "sessions_behind",
    "status_rows",
    "trial_rows",
]

_LIBRARIES = "duckdb exchange-calendars keras numba numpy pandas prefect scipy tensorflow yfinance".split()


def code_version() -> str:
    """The installed version of Tickercast."""
    try:
        return version("tickercast")
    except PackageNotFoundError:
        return "unknown"


def libraries() -> dict[str, str]:
    """Versions of what a forecast's numbers may depend on."""
    return {"python": platform.python_version(), **{name: library_version(name) for name in _LIBRARIES}}


@functools.cache
def library_version(name: str) -> str:
    """The installed version of a library, `none` where it is not installed; TensorFlow's build without GPU
    code has another name.
    """
    for distribution in (name, f"{name}-cpu"):
        with contextlib.suppress(PackageNotFoundError):
            return version(distribution)
    return "none"


def devices(
    refreshed: Sequence[Refreshed], pool: KeptPool | None, tested_by: Collection[str] = ()
) -> dict[str, str]:
    """What did the arithmetic of tonight's networks, without what was not done; workers on several machines
    may differ.

    Args:
        tested_by: what trained the models of a backtest.
    """
    trained = {*tested_by, *(fit.trained_by for fit in (pool.fits if pool else ()))}
    trained |= {each.trained.trained_by for each in refreshed if each.trained}
    answered = {answered_by(each.served.network) for each in refreshed if each.served}
    found = {"trained_by": trained, "answered_by": answered}
    return {name: ", ".join(sorted(said)) for name, said in found.items() if said}


def _problem_text(problem: Problem | None) -> str | None:
    return f"{problem.rule}: {problem.reason}" if problem else None


def _data_reason(problem: Problem | None, behind: int | None) -> str | None:
    if problem is not None:
        return _problem_text(problem)
    return (
        f"prices are {behind} session{'s' if behind != 1 else ''} behind; the next run asks for them again"
        if behind
        else None
    )


def _problem(market: Market, ticker: str) -> Problem | None:
    sessions = len(market.series[ticker]) if ticker in market.series else 0
    if ticker in market.problems or not 0 < sessions < FEWEST_SESSIONS:
        return market.problems.get(ticker)
    return Problem(
        "too_short",
        f"{sessions} sessions of history; a forecast needs {FEWEST_SESSIONS}, and comes by itself then",
    )


def sessions_behind(market: Market, config: RunConfig) -> dict[str, int]:
    """By ticker with prices, how many sessions that could be known lie after its last one."""

    @functools.cache  # most tickers of thousands have the same exchange and the same last session
    def sessions_after(calendar: TickerCalendar, last: np.datetime64) -> int:
        return max(calendar.count_between(pd.Timestamp(last), calendar.last_known(config.as_of)), 0)

    return {
        ticker: sessions_after(market.calendars[ticker], series.sessions[-1])
        for ticker, series in market.series.items()
    }


def status_rows(
    market: Market,
    refreshed: Mapping[str, Refreshed],
    served: Mapping[str, str],
    answered: frozenset[str],
    config: RunConfig,
    kind: str,
) -> pd.DataFrame:
    """Columns of `run_tickers`, one row for each ticker of the config, in its order.

    Args:
        served: ticker to the id of the model that answers.
        answered: tickers that have a forecast (of a run that makes none: those with prices).
        kind: of the run; only a nightly one has models that answer.
    """
    rows, all_behind = [], sessions_behind(market, config)
    for ticker in config.tickers:
        each, behind, end = refreshed.get(ticker), all_behind.get(ticker), market.ended.get(ticker)
        data, training = (
            _data_reason(_problem(market, ticker), behind),
            _problem_text(each.problem if each else None),
        )
        by_network = kind != "nightly" or (each is not None and each.served is not None)
        state = status_of(ticker in answered, by_network, end, data, training)
        flags = [*([end.flag] if end else []), *market.flags.get(ticker, ())]
        rows.append(
            {
                "run_id": config.run_id,
                "ticker": ticker,
                "status": state.word,
                "reason": state.reason,
                "decision": each.decision.action if each else None,
                "trigger": each.decision.trigger if each else None,
                "model_id": served.get(ticker),
                "made_by": COMBINED if ticker in answered and kind == "nightly" else None,
                "train_seconds": each.trained.seconds if each and each.trained else None,
                "last_session": (
                    pd.Timestamp(market.series[ticker].sessions[-1]) if ticker in market.series else pd.NaT
                ),
                "sessions_behind": behind,
                "calendar": market.calendars[ticker].name if ticker in market.calendars else None,
                "rows_new": market.rows_new.get(ticker, 0),
                "rows_refused": market.rows_refused.get(ticker, 0),
                "cost_seconds": each.seconds if each else None,
                "expected_seconds": each.decision.worth.seconds if each and each.decision.worth else None,
                "expected_gain": _expected_gain(each),
                "problem": _problem_text(market.problems.get(ticker)),
                "flags": "; ".join(flags) or None,
            }
        )
    return pd.DataFrame(rows)


def model_rows(
    refreshed: Sequence[Refreshed],
    weights: Mapping[str, str],
    pool: KeptPool | None,
    config: RunConfig,
    config_json: str,
) -> pd.DataFrame:
    """Columns of `models` for what was trained tonight: the pool, then each ticker's.

    Args:
        weights: ticker to the SHA-256 of tonight's bundle.
    """
    same = {"run_id": config.run_id, "trained_as_of": pd.Timestamp(config.as_of.day), "config": config_json}
    rows = [{**same, **_pool_row(pool)}] if pool and pool.fits else []
    rows += [
        {**same, **_ticker_row(each, each.trained, weights[each.ticker])}
        for each in refreshed
        if each.trained
    ]
    columns = list(empty("models").columns.drop("source"))
    return pd.DataFrame(rows).reindex(columns=columns) if rows else empty("models")


def trial_rows(pool: KeptPool | None, run_id: str) -> pd.DataFrame:
    """Columns of `covariate_trials` but the source: what was tried for tonight's pool."""
    columns = list(empty("covariate_trials").columns.drop("source"))
    if pool is None or not pool.tried:
        return empty("covariate_trials")[columns]
    rows = pd.DataFrame([dataclasses.asdict(each) for each in pool.tried])
    rows = rows.assign(
        run_id=run_id, model_id=pool.model_id, inputs=[list(each.inputs) for each in pool.tried]
    )
    return rows.rename(columns={"adjusted": "pvalue_adjusted"})[columns]


def _pool_row(pool: KeptPool) -> dict[str, object]:
    return {
        "model_id": pool.model_id,
        "ticker": POOL,
        "variant": pool.pool.network.variant,
        "parent_id": None,
        "trained_through": pd.Timestamp(pool.pool.trained_through),
        "weights_sha256": pool.sha256,
        "seed": pool.pool.seed,
        "epochs": max(fit.epochs for fit in pool.fits),
        "val_n": 0,
        "promoted": True,
        "gate_reason": "pooled: its tickers' own models are judged",
    }


def _ticker_row(each: Refreshed, trained: Trained, sha256: str) -> dict[str, object]:
    bundle, validation = trained.bundle, each.validation
    return {
        "model_id": sha256[:16],
        "ticker": each.ticker,
        "variant": bundle.network.variant,
        "parent_id": each.start_id,
        "trained_through": pd.Timestamp(bundle.trained_through),
        "weights_sha256": sha256,
        "seed": bundle.seed,
        "epochs": trained.epochs if trained.own else 0,
        "val_n": validation.n if validation else 0,
        "val_rmse": validation.rmse if validation else None,
        "val_rmse_naive": validation.rmse_naive if validation else None,
        "val_pinball": validation.pinball if validation else None,
        "val_pinball_naive": validation.pinball_naive if validation else None,
        "val_cov80": validation.cov80 if validation else None,
        "val_cov95": validation.cov95 if validation else None,
        "shrinkage": float(bundle.shrinkage.mean()),
        "val_gain": each.gain if each.gain is not None and math.isfinite(each.gain) else None,
        "promoted": each.served_new,
        "gate_reason": _gate_reason(each, validation) if validation else "not judged",
    }


def _expected_gain(each: Refreshed | None) -> float | None:
    """Of a training over the naive forecast, on its validation; of a decision by the log of past ones, what
    that promised.
    """
    if each is None or each.validation is None:
        return each.decision.worth.gain if each and each.decision.worth else None
    return each.validation.gain


def _gate_reason(each: Refreshed, validation: Validation) -> str:
    gain = (
        "the naive forecast made no error"
        if validation.gain is None
        else f"{1 - validation.gain:.4f} of naive"
    )
    return f"validation pinball {gain}" + ("" if each.served_new else "; the parent's is lower, so it stays")


def run_row(
    config: RunConfig,
    kind: str,
    statuses: pd.DataFrame,
    *,
    finished_at: pd.Timestamp,
    prices_hash: str | None,
    forecasts_hash: str | None,
    seconds: Mapping[str, float],
    computed_by: Mapping[str, str] = MappingProxyType({}),
    missing: Mapping[str, int] = MappingProxyType({}),
) -> pd.DataFrame:
    """Columns of `runs`: one row.

    Args:
        computed_by: what did the arithmetic (`devices`); beside the libraries' versions.
        missing: by ticker, how many sessions lack a price (`open_price_gaps`); said in the message until they
            are filled or closed.
    """
    counts = statuses["status"].value_counts()
    ended = int(counts.get("ended", 0))
    looked_at = sum(degraded(zip(statuses["status"], statuses["reason"], strict=True)))
    source = config.source.name
    # without a forecast there is nothing to publish; prices can be published without one
    nothing = counts.get("none", 0) + (ended if kind == "nightly" else 0) == len(statuses)
    message = (
        "no ticker has usable prices"
        if nothing
        else f"{counts.get('fresh', 0)} of {len(statuses)} tickers fresh"
    )
    if ended:
        message += f"; {ended} ended" + (", give --as-of to look from an earlier evening" if nothing else "")
    if config.backfilled:
        message += "; back-filled"
    if missing:
        message += (
            f"; {sum(missing.values())} sessions without a price in {len(missing)} tickers, see"
            " open_price_gaps"
        )
    return pd.DataFrame(
        {
            "run_id": [config.run_id],
            "kind": [kind],
            "as_of": [pd.Timestamp(config.as_of.day)],
            "known_at": [pd.Timestamp(config.as_of.known_at).tz_localize(None)],
            "started_at": [pd.Timestamp(config.as_of.now).tz_localize(None)],
            "finished_at": [finished_at],
            "status": ["failed" if nothing else "degraded" if looked_at else "fresh"],
            "message": [message],
            "source": [source],
            "config": [to_json(config)],
            "config_hash": [config_hash(config)],
            "code_version": [code_version()],
            "libraries": [json.dumps({**libraries(), **computed_by}, sort_keys=True)],
            "tickers": [len(statuses)],
            "degraded": [looked_at],
            "prices_hash": [prices_hash],
            "forecasts_hash": [forecasts_hash],
            "seconds_per_stage": [json.dumps({name: round(value, 3) for name, value in seconds.items()})],
        }
    )
