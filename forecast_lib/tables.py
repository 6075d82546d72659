"""The pandera schema of every table that crosses a border, in the order of its columns.

`store/sql/` says the same in SQL, with a comment on each column; a test compares the two. Sessions are
timestamps at midnight without a zone (the exchange's own date), instants are UTC without a zone, both in
microseconds, as DuckDB gives them back. Remember that an empty frame validates.
"""

import functools
import itertools
import operator
from collections.abc import Sequence

import pandas as pd
import pandera.pandas as pa

from forecast_lib.config import ARMS
from forecast_lib.domain import NOT_COMPARED, QUANTILES, STATUSES, quantile_column

__all__ = [
    "PRICE_VALUES",
    "QUANTILE_COLUMNS",
    "REPLACED",
    "SHORTFALL_COLUMNS",
    "TABLES",
    "empty",
    "stacked",
    "typed",
    "validate",
]


QUANTILE_COLUMNS = tuple(quantile_column(level) for level in QUANTILES)
SHORTFALL_COLUMNS = ("es01", "es025")
PRICE_VALUES = ("open", "high", "low", "close", "adj_close", "volume")

_TIME = "datetime64[us]"
_FINITE = pa.Check(lambda s: s.abs() < float("inf"), name="finite", error="must be finite")
_POSITIVE = pa.Check(
    lambda s: (s > 0) & (s < float("inf")), name="positive", error="must be positive and finite"
)


def _column(dtype: str, *checks: pa.Check, null: bool = False) -> pa.Column:
    """`validate` casts: pandera knows datetime64 in nanoseconds only, and is slow over types."""
    return pa.Column(None, [*checks], nullable=null, metadata={"dtype": dtype})


def _text(*choices: str, null: bool = False) -> pa.Column:
    return _column("str", *([pa.Check.isin(choices)] if choices else []), null=null)


def _number(*checks: pa.Check, null: bool = False) -> pa.Column:
    return _column("float64", *checks, null=null)


def _count(null: bool = False) -> pa.Column:
    return _column("Int64" if null else "int64", pa.Check.ge(0), null=null)


def _time(null: bool = False) -> pa.Column:
    return _column(_TIME, null=null)


def _flag(null: bool = False) -> pa.Column:
    return _column("boolean" if null else "bool", null=null)


def _list() -> pa.Column:
    return _column("object")


_TAILS = ("q005", "q01", "q99", "q995", *SHORTFALL_COLUMNS)


def _quantiles() -> dict[str, pa.Column]:
    return {column: _number(_POSITIVE) for column in QUANTILE_COLUMNS if column not in _TAILS}


def _tails() -> dict[str, pa.Column]:
    """Their columns came later: NULL in older rows."""
    return {column: _number(_POSITIVE, null=True) for column in _TAILS}


def _rising_quantiles(frame: pd.DataFrame) -> pd.Series:
    values = [frame[column].to_numpy() for column in QUANTILE_COLUMNS]
    rising = (high >= low for low, high in itertools.pairwise(values))
    return pd.Series(functools.reduce(operator.and_, rising), index=frame.index)


_NO_CROSSING = pa.Check(_rising_quantiles, name="quantiles_rise", error="quantiles must not cross")


def _table(
    columns: dict[str, pa.Column], *checks: pa.Check, unique: list[str] | None = None
) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(columns, checks=[*checks], strict=True, ordered=True, unique=unique)


TABLES: dict[str, pa.DataFrameSchema] = {
    "prices": _table(
        {
            "ticker": _text(),
            "session": _time(),
            "open": _number(_POSITIVE, null=True),
            "high": _number(_POSITIVE, null=True),
            "low": _number(_POSITIVE, null=True),
            "close": _number(_POSITIVE),
            "adj_close": _number(_POSITIVE, null=True),
            "volume": _number(pa.Check.ge(0), _FINITE, null=True),
            "currency": _text(null=True),
            "source": _text(),
            "revision": _count(),
            "known_at": _time(),
            "run_id": _text(),
        },
        unique=["ticker", "session", "revision"],
    ),
    "corporate_actions": _table(
        {
            "ticker": _text(),
            "session": _time(),
            "kind": _text("dividend", "split", "unit"),
            "value": _number(pa.Check.ge(0), _FINITE),
            "known_at": _time(),
            "run_id": _text(),
            "source": _text(),
        }
    ),
    "quarantined_prices": _table(
        {
            "ticker": _text(),
            "session": _time(null=True),
            "row": _text(),
            "origin": _text(),
            "rule": _text(),
            "reason": _text(),
            "run_id": _text(),
            "known_at": _time(),
            "released_at": _time(null=True),
            "source": _text(),
            "field": _text(null=True),
        }
    ),
    "price_verdicts": _table(
        {
            "ticker": _text(),
            "session": _time(),
            "verdict": _text("real", "split", "unit", "bad_print", "undecided"),
            "evidence": _text(),
            "known_at": _time(),
            "run_id": _text(),
            "source": _text(),
        },
        unique=["ticker", "session"],
    ),
    "price_gaps": _table(
        {
            "ticker": _text(),
            "session": _time(),
            "state": _text("missing", "filled", "closed"),
            "note": _text(null=True),
            "known_at": _time(),
            "run_id": _text(),
            "source": _text(),
        },
        unique=["ticker", "session"],
    ),
    "quality_counts": _table(
        {
            "run_id": _text(),
            "ticker": _text(),
            "rule": _text(),
            "severity": _text("drop_row", "null_field", "hold_ticker", "warn"),
            "rows": _count(),
            "session": _time(null=True),
            "source": _text(),
        },
        unique=["run_id", "ticker", "rule"],
    ),
    "covariates": _table(
        {
            "name": _text(),
            "ticker": _text(),
            "session": _time(),
            "revision": _count(),
            "value": _number(_FINITE),
            "announced_at": _time(null=True),
            "source": _text(),
            "known_at": _time(),
            "run_id": _text(),
        },
        unique=["name", "ticker", "session", "revision"],
    ),
    "events": _table(
        {
            "kind": _text(),
            "ticker": _text(),
            "session": _time(),
            "revision": _count(),
            "expected": _flag(),
            "announced_at": _time(null=True),
            "source": _text(),
            "known_at": _time(),
            "run_id": _text(),
            "value": _number(_POSITIVE, null=True),
        },
        unique=["kind", "ticker", "session", "revision"],
    ),
    "runs": _table(
        {
            "run_id": _text(),
            "kind": _text("nightly", "ingest", "backtest", "recipe", "upkeep"),
            "as_of": _time(),
            "known_at": _time(),
            "started_at": _time(),
            "finished_at": _time(),
            "status": _text("fresh", "degraded", "failed"),
            "message": _text(),
            "source": _text(),
            "config": _text(),
            "config_hash": _text(),
            "code_version": _text(),
            "libraries": _text(),
            "tickers": _count(),
            "degraded": _count(),
            "prices_hash": _text(null=True),
            "forecasts_hash": _text(null=True),
            "seconds_per_stage": _text(),
        },
        unique=["run_id"],
    ),
    "run_tickers": _table(
        {
            "run_id": _text(),
            "ticker": _text(),
            "status": _text(*STATUSES),
            "reason": _text(null=True),
            "decision": _text("skip", "fine_tune", "retrain", null=True),
            "trigger": _text(null=True),
            "model_id": _text(null=True),
            "made_by": _text(null=True),
            "train_seconds": _number(pa.Check.ge(0), null=True),
            "last_session": _time(null=True),
            "sessions_behind": _count(null=True),
            "calendar": _text(null=True),
            "rows_new": _count(),
            "rows_refused": _count(),
            "source": _text(),
            "cost_seconds": _number(pa.Check.ge(0), _FINITE, null=True),
            "expected_gain": _number(null=True),
            "problem": _text(null=True),
            "flags": _text(null=True),
            "expected_seconds": _number(pa.Check.ge(0), _FINITE, null=True),
        },
        unique=["run_id", "ticker"],
    ),
    "models": _table(
        {
            "model_id": _text(),
            "run_id": _text(),
            "ticker": _text(),
            "variant": _text(),
            "parent_id": _text(null=True),
            "trained_as_of": _time(),
            "trained_through": _time(),
            "config": _text(),
            "weights_sha256": _text(),
            "seed": _count(),
            "epochs": _count(),
            "val_n": _count(),
            "val_rmse": _number(null=True),
            "val_rmse_naive": _number(null=True),
            "val_pinball": _number(null=True),
            "val_pinball_naive": _number(null=True),
            "val_cov80": _number(null=True),
            "val_cov95": _number(null=True),
            "shrinkage": _number(null=True),
            "promoted": _flag(),
            "gate_reason": _text(),
            "source": _text(),
            "val_gain": _number(null=True),
        },
        unique=["model_id"],
    ),
    "covariate_trials": _table(
        {
            "run_id": _text(),
            "model_id": _text(),
            "name": _text(),
            "inputs": _list(),
            "half_years": _count(),
            "tickers": _count(),
            "loss_without": _number(pa.Check.ge(0), _FINITE, null=True),
            "loss_with": _number(pa.Check.ge(0), _FINITE, null=True),
            "tickers_better": _count(),
            "pvalue": _number(pa.Check.in_range(0, 1)),
            "pvalue_adjusted": _number(pa.Check.in_range(0, 1)),
            "kept": _flag(),
            "source": _text(),
        },
        unique=["run_id", "model_id", "name"],
    ),
    "forecasts": _table(
        {
            "run_id": _text(),
            "ticker": _text(),
            "model_id": _text(null=True),
            "made_by": _text(),
            "cutoff": _time(),
            "step": _count(),
            "target_session": _time(),
            "last_close": _number(_POSITIVE),
            "point": _number(_POSITIVE),
            "sigma": _number(pa.Check.ge(0), _FINITE),
            **_quantiles(),
            "currency": _text(null=True),
            "source": _text(),
            **_tails(),
            "dividend": _number(pa.Check.ge(0), _FINITE, null=True),
            "split": _number(_POSITIVE, null=True),
        },
        _NO_CROSSING,
        unique=["run_id", "ticker", "step"],
    ),
    "forecast_weights": _table(
        {
            "run_id": _text(),
            "ticker": _text(),
            "step": _count(),
            "model": _text(),
            "weight": _number(pa.Check.in_range(0, 1)),
            "point": _number(_POSITIVE),
            "sigma": _number(pa.Check.ge(0), _FINITE),
            **{column: _number(_POSITIVE) for column in QUANTILE_COLUMNS},
            "source": _text(),
        },
        _NO_CROSSING,
        unique=["run_id", "ticker", "step", "model"],
    ),
    "forecast_drivers": _table(
        {
            "run_id": _text(),
            "ticker": _text(),
            "step": _count(),
            "driver": _text(),
            "effect": _number(_FINITE),
            "change": _number(_FINITE, null=True),
            "why_no_change": _text(*NOT_COMPARED, null=True),
            "source": _text(),
        },
        unique=["run_id", "ticker", "step", "driver"],
    ),
    "forecast_outcomes": _table(
        {
            "run_id": _text(),
            "ticker": _text(),
            "step": _count(),
            "target_session": _time(),
            "actual": _number(_POSITIVE),
            "error": _number(_FINITE),
            "naive_error": _number(_FINITE),
            "pinball": _number(pa.Check.ge(0), _FINITE),
            "inside80": _flag(),
            "inside95": _flag(),
            "settled_at": _time(),
            "settled_by": _text(),
            "source": _text(),
            "baseline_pinball": _number(pa.Check.ge(0), _FINITE, null=True),
        },
        unique=["run_id", "ticker", "step"],
    ),
    "scenarios": _table(
        {"run_id": _text(), "ticker": _text(), "step": _count(), "prices": _list(), "source": _text()},
        unique=["run_id", "ticker", "step"],
    ),
    "portfolio_forecasts": _table(
        {
            "run_id": _text(),
            "portfolio": _text(),
            "step": _count(),
            "tickers": _list(),
            "weights": _list(),
            "mean": _number(_FINITE),
            "sigma": _number(pa.Check.ge(0), _FINITE),
            **{
                name: _number(_FINITE)
                for name in ("q01", "q025", "q05", "q50", "q95", "q975", "q99", "es01", "es025")
            },
            "source": _text(),
        },
        unique=["run_id", "portfolio", "step"],
    ),
    "backtests": _table(
        {
            "backtest_id": _text(),
            "run_id": _text(),
            "as_of": _time(),
            "config": _text(),
            "splits": _text(),
            "seconds": _number(pa.Check.ge(0)),
            "source": _text(),
        },
        unique=["backtest_id"],
    ),
    "backtest_forecasts": _table(
        {
            "backtest_id": _text(),
            "ticker": _text(),
            "model": _text(),
            "cutoff": _time(),
            "step": _count(),
            "target_session": _time(),
            "point": _number(_POSITIVE),
            **_quantiles(),
            "actual": _number(_POSITIVE),
            "naive": _number(_POSITIVE),
            "source": _text(),
            "sigma": _number(pa.Check.ge(0), _FINITE, null=True),
            "trailing_sigma": _number(pa.Check.ge(0), _FINITE, null=True),
            "realised_variance": _number(_POSITIVE, null=True),
            **_tails(),
        },
        _NO_CROSSING,
    ),
    "backtest_scores": _table(
        {
            "backtest_id": _text(),
            "ticker": _text(),
            "model": _text(),
            "step": _count(),
            "n": _count(),
            "rmse": _number(null=True),
            "mae": _number(null=True),
            "mase": _number(null=True),
            "rmse_naive": _number(null=True),
            "rmse_ratio": _number(null=True),
            "direction_hit": _number(null=True),
            "up_share": _number(null=True),
            "pinball": _number(null=True),
            "winkler95": _number(null=True),
            "cov80": _number(null=True),
            "cov95": _number(null=True),
            "dm_stat": _number(null=True),
            "dm_pvalue": _number(null=True),
            "seconds": _number(null=True),
            "source": _text(),
            "qlike": _number(null=True),
            "cov95_low_vol": _number(null=True),
            "cov95_mid_vol": _number(null=True),
            "cov95_high_vol": _number(null=True),
            "pit_pvalue": _number(null=True),
            "pinball_per_garch": _number(null=True),
            "winkler95_per_garch": _number(null=True),
            "dm_qvalue": _number(null=True),
            "dm_garch_stat": _number(null=True),
            "dm_garch_pvalue": _number(null=True),
            "dm_garch_qvalue": _number(null=True),
            "mcs_pvalue": _number(null=True),
            "arm": _text(*(arm.replace("-", "_") for arm in ARMS), null=True),
            "cpu_seconds": _number(pa.Check.ge(0), _FINITE, null=True),
            "gain_over_none": _number(null=True),
            "gain_per_cpu_second": _number(null=True),
            "dm_none_stat": _number(null=True),
            "dm_none_pvalue": _number(null=True),
            "dm_none_qvalue": _number(null=True),
            "cov99": _number(null=True),
            "below01": _number(null=True),
            "below025": _number(null=True),
            "joint01": _number(null=True),
            "joint025": _number(null=True),
            "kupiec01_pvalue": _number(null=True),
            "kupiec01_qvalue": _number(null=True),
            "kupiec025_pvalue": _number(null=True),
            "kupiec025_qvalue": _number(null=True),
            "christoffersen01_pvalue": _number(null=True),
            "christoffersen01_qvalue": _number(null=True),
            "christoffersen025_pvalue": _number(null=True),
            "christoffersen025_qvalue": _number(null=True),
        },
        unique=["backtest_id", "ticker", "model", "step"],
    ),
}
"""Every base table of the database, in the order in which they are written."""

REPLACED = ("scenarios",)
"""Tables that hold the rows of one run only, the newest that wrote any; all others are append-only. The
ledger does not count them.
"""


def empty(table: str) -> pd.DataFrame:
    """A frame without rows that has the table's columns and types."""
    return _empty(table).copy()


@functools.cache
def _empty(table: str) -> pd.DataFrame:
    columns = TABLES[table].columns
    return pd.DataFrame({name: pd.Series(dtype=column.metadata["dtype"]) for name, column in columns.items()})


def stacked(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames of the same columns one below the other; empty ones say nothing of types, unless all are."""
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def typed(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame's own columns, in the types that the table has them in."""
    types = _empty(table).dtypes
    return frame.astype({name: types[name] for name in frame.columns})


def validate(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the table's columns, order and types; text that comes as categories may stay so.

    Columns may come in any order; none may be missing or unknown. Times with a zone are refused, not shifted.

    Raises:
        SchemaErrors: pandera's, naming every breach.
        TypeError: a column has values of another type.
    """
    schema = TABLES[table]
    known = {name: column.metadata["dtype"] for name, column in schema.columns.items() if name in frame}
    unknown = [name for name in frame.columns if name not in schema.columns]
    cast = {name: _cast(frame[name], dtype) for name, dtype in known.items()}
    ordered = pd.DataFrame({**cast, **{name: frame[name] for name in unknown}}, index=frame.index, copy=False)
    return schema.validate(ordered.reset_index(drop=True), lazy=True, inplace=True)


def _cast(column: pd.Series, dtype: str) -> pd.Series:
    if (
        dtype == "str"
        and isinstance(column.dtype, pd.CategoricalDtype)
        and column.cat.categories.dtype == "str"
    ):
        return column
    try:
        return column.astype(dtype)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{column.name} is no {dtype}: {error}") from error
