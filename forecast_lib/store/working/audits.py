"""The rules that a run's rows must keep before they are committed, each as one SQL query that finds what
breaks it.

A query yields one text, `breach`, a row. `$run` is the run being recorded; rows of earlier runs kept the
rules when they were written, so only what the run touched is looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import duckdb

from forecast_lib.domain import QUANTILES, quantile_column
from forecast_lib.errors import AuditFailed

__all__ = ["AUDITS", "KEYS", "WRITERS", "Audit", "check_run"]

WRITERS = {
    "prices": "SELECT run_id AS writer, * FROM prices",
    "corporate_actions": "SELECT run_id AS writer, * FROM corporate_actions",
    "quarantined_prices": "SELECT run_id AS writer, * FROM quarantined_prices",
    "price_verdicts": "SELECT run_id AS writer, * FROM price_verdicts",
    "price_gaps": "SELECT run_id AS writer, * FROM price_gaps",
    "quality_counts": "SELECT run_id AS writer, * FROM quality_counts",
    "covariates": "SELECT run_id AS writer, * FROM covariates",
    "events": "SELECT run_id AS writer, * FROM events",
    "runs": "SELECT run_id AS writer, * FROM runs",
    "run_tickers": "SELECT run_id AS writer, * FROM run_tickers",
    "models": "SELECT run_id AS writer, * FROM models",
    "covariate_trials": "SELECT run_id AS writer, * FROM covariate_trials",
    "forecasts": "SELECT run_id AS writer, * FROM forecasts",
    "forecast_weights": "SELECT run_id AS writer, * FROM forecast_weights",
    "forecast_drivers": "SELECT run_id AS writer, * FROM forecast_drivers",
    "forecast_outcomes": "SELECT settled_by AS writer, * FROM forecast_outcomes",
    "portfolio_forecasts": "SELECT run_id AS writer, * FROM portfolio_forecasts",
    "backtests": "SELECT run_id AS writer, * FROM backtests",
    "backtest_forecasts": (
        "SELECT b.run_id AS writer, f.* FROM backtest_forecasts AS f JOIN backtests AS b USING (backtest_id)"
    ),
    "backtest_scores": (
        "SELECT b.run_id AS writer, s.* FROM backtest_scores AS s JOIN backtests AS b USING (backtest_id)"
    ),
}
"""Every append-only table with `writer`, the run that wrote the row."""

KEYS = {
    "prices": "ticker, session, revision",
    "corporate_actions": "ticker, session, kind, known_at",
    "price_verdicts": "ticker, session, run_id",
    "price_gaps": "ticker, session, run_id",
    "quality_counts": "run_id, ticker, rule",
    "covariates": "name, ticker, session, revision",
    "events": "kind, ticker, session, revision",
    "runs": "run_id",
    "run_tickers": "run_id, ticker",
    "models": "model_id",
    "covariate_trials": "run_id, model_id, name",
    "forecasts": "run_id, ticker, step",
    "forecast_weights": "run_id, ticker, step, model",
    "forecast_drivers": "run_id, ticker, step, driver",
    "forecast_outcomes": "run_id, ticker, step",
    "portfolio_forecasts": "run_id, portfolio, step",
    "backtests": "backtest_id",
    "backtest_forecasts": "backtest_id, ticker, model, cutoff, step",
    "backtest_scores": "backtest_id, ticker, model, step",
}
"""What names a row of each table. `quarantined_prices` is a log of rows as they came: the same bad row may
come twice.
"""

_DATED = {
    "prices": ("session",),
    "corporate_actions": ("session",),
    "price_verdicts": ("session",),
    "price_gaps": ("session",),
    "covariates": ("session",),
    "quality_counts": ("session",),
    "run_tickers": ("last_session",),
    "models": ("trained_as_of", "trained_through"),
    "forecasts": ("cutoff",),
    "forecast_outcomes": ("target_session",),
    "backtests": ("as_of",),
    "backtest_forecasts": ("target_session",),
}
"""Dates that must not lie after the run's as-of evening."""


@dataclass(frozen=True)
class Audit:
    """A rule, by a short name, and the query that finds its breaches; `table`: the only one it is about."""

    rule: str
    sql: str
    table: str | None = None


def check_run(con: duckdb.DuckDBPyConnection, run_id: str, written: Mapping[str, int]) -> None:
    """Hold the rows that a run wrote, committed or not, against every rule.

    Args:
        written: how many, by table, as the tables say; of a table without any nothing is asked.

    Raises:
        AuditFailed: names the first broken rule, how often it is broken and one example.
    """
    proven = {
        rule
        for table, rules in _PROVEN_BY_ORDER.items()
        if written.get(table) and _new_and_in_order(con, run_id, table)
        for rule in rules
    }
    for audit in AUDITS:
        if audit.rule in proven or (audit.table and not written.get(audit.table)):
            continue
        parameters = {"run": run_id} if "$run" in audit.sql else {}
        count, example = con.execute(
            f"SELECT count(*), min(breach) FROM ({audit.sql})", parameters
        ).fetchall()[0]
        if count:
            raise AuditFailed(
                f"run {run_id} was not stored: {audit.rule}: {count} found, for example {example}"
            )


def _new_and_in_order(con: duckdb.DuckDBPyConnection, run_id: str, table: str) -> bool:
    """Whether the run's rows are stored in blocks, in each of which what names them rises, and that do not
    overlap; of prices, whether they are first revisions of tickers that had none.

    Then no key is there twice and no revision is missing, and one pass in the order of storing has shown it:
    for millions of rows that takes a fraction of the time of grouping them, and no memory. Blocks that share
    a hash are taken for one, which then has to rise as a whole.
    """
    mine, block, place, also = _ORDERS[table]
    blocks = f"""
        WITH mine AS (
            SELECT hash({block}) AS block, {place} AS place, {also} AS fits FROM {table} WHERE {mine}
        ),
        beside AS (
            SELECT *, lag(place) OVER () AS place_before, lag(block) OVER () IS DISTINCT FROM block AS begins
            FROM mine
        ),
        numbered AS (SELECT *, sum(begins::INTEGER) OVER (ROWS UNBOUNDED PRECEDING) AS number FROM beside),
        blocks AS (
            SELECT any_value(block) AS block, min(place) AS first, max(place) AS last,
                bool_and(fits AND (begins OR place > place_before)) AS rises
            FROM numbered GROUP BY number
        )
        SELECT coalesce(bool_and(rises AND coalesce(first > last_before, true)), true)
        FROM (SELECT *, lag(last) OVER (PARTITION BY block ORDER BY first, last) AS last_before FROM blocks)
    """
    if con.execute(blocks, {"run": run_id}).fetchall() != [(True,)]:
        return False
    if table != "prices":
        return True
    others = (
        "SELECT count(*) FROM prices WHERE run_id <> $run AND ticker IN (SELECT ticker FROM prices WHERE"
        " run_id = $run)"
    )
    return con.execute(others, {"run": run_id}).fetchall() == [(0,)]


def _duplicates(table: str) -> Audit:
    key = KEYS[table]
    return Audit(
        f"every row of {table} has its own {key}",
        f"""
        SELECT concat_ws(' ', {key}) || ' (' || count(*) || ' rows)' AS breach
        FROM {table} SEMI JOIN (SELECT {key} FROM ({WRITERS[table]}) WHERE writer = $run) USING ({key})
        GROUP BY {key}
        HAVING count(*) > 1
        """,
        table,
    )


def _future(table: str, column: str) -> Audit:
    return Audit(
        f"no {column} of {table} lies after the as-of evening",
        f"""
        SELECT w.{column}::VARCHAR AS breach
        FROM ({WRITERS[table]}) AS w JOIN runs AS r ON r.run_id = $run
        WHERE w.writer = $run AND w.{column} > r.as_of
        """,
        table,
    )


def _orphans(table: str) -> Audit:
    return Audit(
        f"every row of {table} belongs to a backtest",
        f"SELECT DISTINCT backtest_id AS breach FROM {table} ANTI JOIN backtests USING (backtest_id)",
    )


_QUANTILES = [quantile_column(level) for level in QUANTILES]
_NOT_RISING = " OR ".join(f"{low} > {high}" for low, high in pairwise(_QUANTILES))
_NOT_FINITE = " OR ".join(
    f"NOT coalesce(isfinite({column}), false)" for column in ["point", *_QUANTILES, "es01", "es025"]
)
_ABOVE_ITS_QUANTILE = "es01 <= 0 OR es01 > q01 OR es025 > q025 OR es01 > es025"


def _quantiles(table: str) -> Audit:
    return Audit(
        f"quantiles and shortfalls of {table} are finite, positive and in order",
        f"""
        SELECT concat_ws(' ', ticker, 'step', step) AS breach
        FROM ({WRITERS[table]})
        WHERE writer = $run AND (point <= 0 OR {_QUANTILES[0]} <= 0 OR {_NOT_RISING} OR {_NOT_FINITE}
            OR {_ABOVE_ITS_QUANTILE})
        """,
        table,
    )


def _revisions(table: str, key: str, what: str) -> Audit:
    return Audit(
        f"revisions of {what} are 0, 1, 2 and so on",
        f"""
        SELECT concat_ws(' ', {key}, 'has', count(*), 'revisions up to', max(revision)) AS breach
        FROM {table} SEMI JOIN (SELECT {key} FROM {table} WHERE run_id = $run) USING ({key})
        GROUP BY {key}
        HAVING count(*) <> max(revision) + 1
        """,
        table,
    )


_STORY = (
    Audit(
        "a run has one run_tickers row for each ticker asked for",
        """
        SELECT found || ' rows for ' || tickers || ' tickers' AS breach
        FROM runs, (SELECT count(*) AS found FROM run_tickers WHERE run_id = $run)
        WHERE run_id = $run AND found <> tickers
        """,
    ),
    _revisions("prices", "ticker, session", "a price"),
    _revisions("covariates", "name, ticker, session", "a covariate's value"),
    _revisions("events", "kind, ticker, session", "an event's date"),
    Audit(
        "every forecast ticker has the same steps, 1 to the horizon",
        """
        WITH made AS (SELECT ticker, step FROM forecasts WHERE run_id = $run)
        SELECT concat_ws(' ', ticker, 'has', count(*), 'steps from', min(step), 'to', max(step)) AS breach
        FROM made
        GROUP BY ticker
        HAVING min(step) <> 1 OR max(step) <> count(*) OR max(step) <> (SELECT max(step) FROM made)
        """,
        "forecasts",
    ),
    Audit(
        "a forecast's target sessions follow its cutoff in order",
        """
        SELECT concat_ws(' ', ticker, 'step', step) AS breach
        FROM forecasts
        WHERE run_id = $run
        QUALIFY target_session <= coalesce(lag(target_session) OVER (PARTITION BY ticker ORDER BY step),
            cutoff)
        """,
        "forecasts",
    ),
    Audit(
        "a forecast's model is in models",
        """
        SELECT DISTINCT ticker || ' ' || model_id AS breach
        FROM forecasts ANTI JOIN models USING (model_id)
        WHERE run_id = $run AND model_id IS NOT NULL
        """,
        "forecasts",
    ),
    Audit(
        "every forecast ticker has a status other than none",
        """
        SELECT DISTINCT ticker AS breach
        FROM forecasts ANTI JOIN (SELECT * FROM run_tickers
            WHERE status NOT IN ('ended', 'none')) USING (run_id, ticker)
        WHERE run_id = $run
        """,
        "forecasts",
    ),
    Audit(
        "every ticker of a nightly run with a status other than none has forecasts",
        """
        SELECT DISTINCT ticker AS breach
        FROM run_tickers JOIN runs USING (run_id) ANTI JOIN forecasts USING (run_id, ticker)
        WHERE run_id = $run AND kind = 'nightly' AND run_tickers.status NOT IN ('ended', 'none')
        """,
    ),
    Audit(
        "the weights of a forecast sum to one",
        """
        SELECT concat_ws(' ', ticker, 'step', step, 'has', round(sum(weight), 6)) AS breach
        FROM forecast_weights
        WHERE run_id = $run
        GROUP BY ticker, step
        HAVING abs(sum(weight) - 1) > 1e-9 OR min(weight) < 0
        """,
        "forecast_weights",
    ),
    Audit(
        "a combined forecast has weights, and weights have a forecast",
        """
        SELECT concat_ws(' ', coalesce(f.ticker, w.ticker), 'step', coalesce(f.step, w.step)) AS breach
        FROM (SELECT ticker, step, made_by FROM forecasts WHERE run_id = $run) AS f
        FULL JOIN (SELECT DISTINCT ticker, step FROM forecast_weights WHERE run_id = $run) AS w
            USING (ticker, step)
        WHERE f.ticker IS NULL OR (w.ticker IS NULL AND f.made_by = 'combined')
        """,
    ),
    Audit(
        "the drivers of a forecast add up to its log width, and all or none of them have a change",
        """
        WITH added AS (
            SELECT run_id, ticker, step, sum(effect) AS effect, count(*) AS drivers,
                count(change) AS compared, count(why_no_change) AS reasons
            FROM forecast_drivers
            WHERE run_id = $run
            GROUP BY run_id, ticker, step
        )
        SELECT concat_ws(' ', ticker, 'step', step, 'adds up to', effect) AS breach
        FROM added LEFT JOIN forecasts AS f USING (run_id, ticker, step)
        WHERE f.run_id IS NULL
            OR NOT coalesce(abs(effect - ln(ln(q90 / q10))) <= 1e-9, false)
            OR compared NOT IN (0, drivers)
            OR reasons <> drivers - compared
        """,
        "forecast_drivers",
    ),
    Audit(
        "scenarios are of one run's forecasts, each with as many finite, positive prices as the others",
        """
        SELECT concat_ws(' ', ticker, 'step', step, 'has', prices, 'prices') AS breach
        FROM (SELECT run_id, ticker, step, len(prices) AS prices FROM scenarios)
        LEFT JOIN forecasts AS f USING (run_id, ticker, step)
        WHERE f.run_id IS NULL
            OR run_id <> (SELECT max(run_id) FROM scenarios)
            OR prices <> (SELECT max(len(prices)) FROM scenarios)
        UNION ALL
        SELECT concat_ws(' ', ticker, 'step', step, 'has a price of', price)
        FROM (SELECT ticker, step, unnest(prices) AS price FROM scenarios)
        WHERE NOT coalesce(price > 0 AND isfinite(price), false)
        """,
    ),
    Audit(
        "every outcome belongs to a forecast of the same target session",
        """
        SELECT concat_ws(' ', run_id, ticker, 'step', step) AS breach
        FROM forecast_outcomes ANTI JOIN forecasts USING (run_id, ticker, step, target_session)
        WHERE settled_by = $run
        """,
        "forecast_outcomes",
    ),
)

AUDITS: tuple[Audit, ...] = (
    *map(_duplicates, KEYS),
    *_STORY,
    *map(_quantiles, ("forecasts", "backtest_forecasts")),
    *map(_orphans, ("backtest_forecasts", "backtest_scores")),
    *(_future(table, column) for table, columns in _DATED.items() for column in columns),
)
"""Every rule, in the order in which they are checked."""

_PROVEN_BY_ORDER = {
    "prices": (_duplicates("prices").rule, _revisions("prices", "ticker, session", "a price").rule),
    "backtest_forecasts": (_duplicates("backtest_forecasts").rule,),
}

_ORDERS = {
    "prices": ("run_id = $run", "ticker", "session", "revision = 0"),
    # A backtest's id is its own: that is another rule.
    "backtest_forecasts": (
        "backtest_id IN (SELECT backtest_id FROM backtests WHERE run_id = $run)",
        "backtest_id, ticker, model",
        "epoch_us(cutoff) + step",
        "true",
    ),
}
"""Of the tables that hold most rows: which are a run's, what a block is named by, what rises in it (a number:
no two rows of a block with the same are let pass), and what else is asked of each row.
"""
