"""Typed reads of the working database: frames with the columns, the order and the types of `tables.TABLES`.

Values are bound; names of tables come from TABLES only.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import duckdb
import pandas as pd

from forecast_lib.domain import AsOf
from forecast_lib.errors import UsageError
from forecast_lib.tables import TABLES, empty

__all__ = [
    "quarantine_keys",
    "read_actions",
    "read_announced_splits",
    "read_covariates",
    "read_coverage",
    "read_drivers",
    "read_events",
    "read_gaps",
    "read_last_statuses",
    "read_latest_backtests",
    "read_learned",
    "read_losses",
    "read_model_coverage",
    "read_model_history",
    "read_nights",
    "read_of_run",
    "read_open_gaps",
    "read_past",
    "read_prices",
    "read_quarantine",
    "read_refused",
    "read_released",
    "read_run_before",
    "read_settled",
    "read_statuses",
    "read_table",
    "read_telling_statuses",
    "read_training_log",
    "read_unsettled",
    "read_verdicts",
    "read_weights_of",
]

Connection = duckdb.DuckDBPyConnection

_FORECASTS_AT_ONCE = 400_000
_ASKED = "ticker IN (SELECT unnest($tickers::VARCHAR[]))"


def read_table(con: Connection, table: str) -> pd.DataFrame:
    """Every row of a base table, in the order in which they were stored."""
    if table not in TABLES:
        raise UsageError(f"{table!r} is not a table: expected one of {', '.join(TABLES)}")
    return _frame(con, table, f"SELECT * FROM {table} ORDER BY rowid", {})


def read_of_run(con: Connection, table: str, run_id: str) -> pd.DataFrame:
    """The rows of a base table that a run stored, in the order in which it did."""
    if table not in TABLES:
        raise UsageError(f"{table!r} is not a table: expected one of {', '.join(TABLES)}")
    return _frame(con, table, f"SELECT * FROM {table} WHERE run_id = $run ORDER BY rowid", {"run": run_id})


def read_drivers(con: Connection, run_id: str, kinds: Sequence[str]) -> pd.DataFrame:
    """The drivers of a run whose names begin in one of these ways: columns of `forecast_drivers`."""
    sql = """
        SELECT * FROM forecast_drivers
        WHERE run_id = $run
            AND list_bool_or(list_transform($kinds::VARCHAR[], lambda kind: starts_with(driver, kind)))
        ORDER BY rowid
    """
    return _frame(con, "forecast_drivers", sql, {"run": run_id, "kinds": list(kinds)})


def read_run_before(con: Connection, as_of: AsOf, tickers: Sequence[str]) -> pd.DataFrame:
    """The nightly run before that of this evening, as it was known: of those of the last evening before it
    that has any, which did not fail and were started up to `as_of.known_at`, the one that was asked for most
    of these tickers, and of several the newest.

    Returns:
        Columns of `runs`: one row, or none.
    """
    sql = f"""
        WITH earlier AS (
            SELECT * FROM runs
            WHERE kind = 'nightly' AND status <> 'failed' AND as_of < $day AND started_at <= $known_at
        ),
        shared AS (SELECT run_id, count(*) AS shared FROM run_tickers WHERE {_ASKED} GROUP BY run_id)
        SELECT e.* FROM earlier AS e LEFT JOIN shared AS s ON s.run_id = e.run_id
        ORDER BY e.as_of DESC, coalesce(s.shared, 0) DESC, e.finished_at DESC, e.run_id DESC
        LIMIT 1
    """
    return _frame(con, "runs", sql, _known(tickers, as_of))


def read_weights_of(con: Connection, model_ids: Sequence[str]) -> dict[str, str]:
    """SHA-256 of the weights of each of these models."""
    sql = "SELECT model_id, weights_sha256 FROM models WHERE model_id IN (SELECT unnest($ids::VARCHAR[]))"
    return dict(con.execute(sql, {"ids": list(model_ids)}).fetchall())


def read_prices(
    con: Connection, tickers: Sequence[str], as_of: AsOf, first: dt.date | None = None
) -> pd.DataFrame:
    """Prices as they were known: of each session up to `as_of.day`, the newest revision stored up to
    `as_of.known_at`.

    Args:
        first: the first session wanted; None for all.

    Returns:
        Columns of `prices`, ordered by ticker and session.
    """
    sql = f"""
        WITH asked AS (SELECT * FROM prices WHERE {_ASKED} AND known_at <= $known_at)
        SELECT p.* FROM asked AS p
        ANTI JOIN (SELECT ticker, session, revision FROM asked WHERE revision > 0) AS newer
            ON newer.ticker = p.ticker AND newer.session = p.session AND newer.revision > p.revision
        WHERE p.session BETWEEN coalesce($first, DATE '0001-01-01') AND $day
        ORDER BY p.ticker, p.session
    """
    return _frame(con, "prices", sql, {**_known(tickers, as_of), "first": first})


def read_actions(con: Connection, tickers: Sequence[str], as_of: AsOf) -> pd.DataFrame:
    """Corporate actions as they were known: of each ticker, session and kind, the row learned last up to
    `as_of.known_at`.

    Returns:
        Columns of `corporate_actions`, ordered by ticker, session and kind.
    """
    sql = f"""
        SELECT * FROM corporate_actions
        WHERE {_ASKED} AND known_at <= $known_at AND session <= $day
        QUALIFY row_number() OVER (PARTITION BY ticker, session, kind ORDER BY known_at DESC, rowid DESC) = 1
        ORDER BY ticker, session, kind
    """
    return _frame(con, "corporate_actions", sql, _known(tickers, as_of))


def read_model_history(
    con: Connection,
    tickers: Sequence[str],
    variant: str,
    before: dt.date,
    known_at: dt.datetime | None = None,
) -> pd.DataFrame:
    """Every model of the tickers and the variant, promoted or not, trained on an evening before `before`;
    oldest first.

    Args:
        known_at: only models of runs that were started up to this UTC instant: what a run stores is known
            from its start, its prices and its models alike. None: of all runs.

    Returns:
        Columns of `models`, ordered by ticker, then by the evening and the order of storing.
    """
    sql = f"""
        SELECT * FROM models
        WHERE {_ASKED} AND variant = $variant AND trained_as_of < $before
            AND run_id IN (SELECT run_id FROM runs WHERE $known_at IS NULL OR started_at <= $known_at)
        ORDER BY ticker, trained_as_of, rowid
    """
    until = known_at.replace(tzinfo=None) if known_at else None
    return _frame(
        con,
        "models",
        sql,
        {"tickers": list(tickers), "variant": variant, "before": before, "known_at": until},
    )


def read_gaps(con: Connection, tickers: Sequence[str], as_of: AsOf) -> pd.DataFrame:
    """The newest state of every gap, as it was known: of each ticker and session the row learned last up to
    `as_of.known_at`.

    Returns:
        Columns of `price_gaps`, ordered by ticker and session.
    """
    return _newest_states(con, "price_gaps", tickers, as_of)


def read_verdicts(con: Connection, tickers: Sequence[str], as_of: AsOf) -> pd.DataFrame:
    """The newest verdict on every odd move, as it was known: of each ticker and session the row learned last
    up to `as_of.known_at`.

    Returns:
        Columns of `price_verdicts`, ordered by ticker and session.
    """
    return _newest_states(con, "price_verdicts", tickers, as_of)


def _newest_states(con: Connection, table: str, tickers: Sequence[str], as_of: AsOf) -> pd.DataFrame:
    sql = f"""
        SELECT * FROM {table}
        WHERE {_ASKED} AND known_at <= $known_at AND session <= $day
        QUALIFY row_number() OVER (PARTITION BY ticker, session ORDER BY known_at DESC, rowid DESC) = 1
        ORDER BY ticker, session
    """
    return _frame(con, table, sql, _known(tickers, as_of))


def read_covariates(con: Connection, as_of: AsOf) -> pd.DataFrame:
    """Every covariate as it was known: of each name, ticker and session up to `as_of.day` the newest revision
    stored up to `as_of.known_at`.

    Returns:
        Columns of `covariates`, ordered by name, ticker and session.
    """
    sql = """
        SELECT * FROM covariates WHERE known_at <= $known_at AND session <= $day
        QUALIFY row_number() OVER (PARTITION BY name, ticker, session ORDER BY revision DESC) = 1
        ORDER BY name, ticker, session
    """
    known = {"known_at": as_of.known_at.replace(tzinfo=None), "day": as_of.day}
    return _frame(con, "covariates", sql, known)


def read_events(con: Connection, as_of: AsOf) -> pd.DataFrame:
    """Every revision of every date that was stored up to `as_of.known_at`: what was expected when.

    Returns:
        Columns of `events`, ordered by kind, ticker, session and revision.
    """
    sql = "SELECT * FROM events WHERE known_at <= $known_at ORDER BY kind, ticker, session, revision"
    return _frame(con, "events", sql, {"known_at": as_of.known_at.replace(tzinfo=None)})


def read_announced_splits(con: Connection, tickers: Sequence[str], as_of: AsOf) -> pd.DataFrame:
    """Splits that were expected by what was stored up to `as_of.known_at`: columns of `events`."""
    sql = f"""
        SELECT * FROM events WHERE {_ASKED} AND kind = 'split' AND known_at <= $known_at
        QUALIFY row_number() OVER (PARTITION BY ticker, session ORDER BY revision DESC) = 1
    """
    known_at = as_of.known_at.replace(tzinfo=None)
    found = _frame(con, "events", sql, {"tickers": list(tickers), "known_at": known_at})
    return found[found["expected"] & found["value"].notna()]


def read_released(con: Connection, tickers: Sequence[str], as_of: AsOf) -> pd.DataFrame:
    """The rows that a person had released from the quarantine up to `as_of.known_at`: columns of
    `quarantined_prices`.
    """
    sql = (
        f"SELECT * FROM quarantined_prices WHERE {_ASKED} AND released_at <= $known_at AND session <= $day"
        " ORDER BY rowid"
    )
    return _frame(con, "quarantined_prices", sql, _known(tickers, as_of))


def read_statuses(con: Connection, tickers: Sequence[str], as_of: AsOf) -> pd.DataFrame:
    """How the tickers fared in the nightly and ingest runs that were started up to `as_of.known_at`, for
    evenings up to `as_of.day`.

    Returns:
        ticker, as_of, known_at (of the run), kind, reason, trigger, calendar and problem; the newest run
        first.
    """
    sql = f"""
        SELECT t.ticker, r.as_of, r.known_at, r.kind, t.reason, t.trigger, t.calendar, t.problem
        FROM run_tickers AS t JOIN runs AS r USING (run_id)
        WHERE t.{_ASKED} AND r.kind IN ('nightly', 'ingest') AND r.started_at <= $known_at AND r.as_of <= $day
        ORDER BY r.started_at DESC, r.run_id DESC, t.ticker
    """
    return con.execute(sql, _known(tickers, as_of)).df()


def read_telling_statuses(
    con: Connection, tickers: Sequence[str], as_of: AsOf, alike: Sequence[str]
) -> pd.DataFrame:
    """As `read_statuses`, but of each ticker only the newest rows whose problem begins in one of the ways of
    `alike`, and one before.
    """
    sql = f"""
        WITH told AS (
            SELECT t.ticker, r.as_of, r.known_at, r.kind, t.reason, t.trigger, t.calendar, t.problem,
                r.started_at, r.run_id,
                coalesce(t.problem, t.reason, '') AS said,
                list_bool_or(list_transform($alike::VARCHAR[],
                    lambda start: starts_with(said, start))) AS alike
            FROM run_tickers AS t JOIN runs AS r USING (run_id)
            WHERE t.{_ASKED} AND r.kind IN ('nightly', 'ingest') AND r.started_at <= $known_at
                AND r.as_of <= $day
        )
        SELECT * EXCLUDE (started_at, run_id, said, alike) FROM told
        QUALIFY started_at >= coalesce(max(started_at) FILTER (WHERE NOT alike) OVER (PARTITION BY ticker),
            started_at)
        ORDER BY started_at DESC, run_id DESC, ticker
    """
    return con.execute(sql, {**_known(tickers, as_of), "alike": list(alike)}).df()


def read_last_statuses(con: Connection, tickers: Sequence[str], as_of: AsOf) -> dict[str, str]:
    """The status of each ticker in the newest nightly or ingest run before the evening, as `read_statuses`
    knows them; the evening's own runs do not count, so that a rerun finds what the first run found.
    """
    sql = f"""
        SELECT t.ticker, arg_max(t.status, (r.started_at, r.run_id))
        FROM run_tickers AS t JOIN runs AS r USING (run_id)
        WHERE t.{_ASKED} AND r.kind IN ('nightly', 'ingest') AND r.started_at <= $known_at AND r.as_of < $day
        GROUP BY t.ticker
    """
    return dict(con.execute(sql, _known(tickers, as_of)).fetchall())


def read_learned(con: Connection, tickers: Sequence[str], as_of: AsOf) -> dict[str, pd.Timestamp]:
    """By ticker, when the newest of its prices was stored, as it was known."""
    sql = (
        f"SELECT ticker, max(known_at) FROM prices WHERE {_ASKED} AND known_at <= $known_at AND session <="
        " $day GROUP BY ticker"
    )
    return {
        ticker: pd.Timestamp(learned)
        for ticker, learned in con.execute(sql, _known(tickers, as_of)).fetchall()
    }


def read_training_log(
    con: Connection, variant: str, config: str, before: dt.date, known_at: dt.datetime
) -> pd.DataFrame:
    """Trainings of the variant with these settings on evenings of the year before `before`, by runs started
    up to `known_at`.

    Returns:
        decision, val_gain and cost_seconds, of those that had a model before them to be compared with.
    """
    sql = """
        SELECT t.decision, m.val_gain, t.cost_seconds
        FROM models AS m JOIN run_tickers AS t USING (run_id, ticker) JOIN runs AS r USING (run_id)
        WHERE m.variant = $variant AND m.config::VARCHAR = $config AND m.val_gain IS NOT NULL
            AND t.cost_seconds IS NOT NULL
            AND m.trained_as_of < $before AND m.trained_as_of >= $before::DATE - 365
                AND r.started_at <= $known_at
        ORDER BY m.trained_as_of, m.ticker, m.run_id
    """
    known = {"known_at": known_at.replace(tzinfo=None), "before": before}
    return con.execute(sql, {"variant": variant, "config": config, **known}).df()


def read_unsettled(con: Connection, as_of: AsOf) -> pd.DataFrame:
    """Forecasts whose target session is not after `as_of.day` and which have no outcome yet, of every run
    that did not fail.

    Returns:
        Columns of `forecasts`, ordered by run, ticker and step.
    """
    sql = """
        SELECT f.* FROM forecasts AS f
        ANTI JOIN forecast_outcomes USING (run_id, ticker, step)
        SEMI JOIN (SELECT run_id FROM runs WHERE status <> 'failed') USING (run_id)
        WHERE f.target_session <= $day
        ORDER BY f.run_id, f.ticker, f.step
    """
    return _frame(con, "forecasts", sql, {"day": as_of.day})


def read_latest_backtests(
    con: Connection, tickers: Sequence[str], through: dt.date | None = None, columns: Sequence[str] = ("*",)
) -> pd.DataFrame:
    """Scores of each ticker, model and step in its newest backtest; `*` stands for all tickers together.

    Args:
        through: only backtests whose as-of evening is not after this one, so that a run for an earlier
            evening sees nothing later.
        columns: those that are wanted.

    Returns:
        Columns of `backtest_scores`, ordered by ticker, model and step.
    """
    wanted = ", ".join(f"s.{column}" for column in columns)
    sql = f"""
        SELECT {wanted} FROM backtest_scores AS s
        JOIN backtests AS b USING (backtest_id)
        JOIN runs AS r USING (run_id)
        WHERE s.{_ASKED} AND ($through IS NULL OR b.as_of <= $through)
        QUALIFY row_number() OVER (PARTITION BY s.ticker, s.model, s.step ORDER BY r.finished_at DESC,
            s.backtest_id DESC) = 1
        ORDER BY s.ticker, s.model, s.step
    """
    return _frame(con, "backtest_scores", sql, {"tickers": list(tickers), "through": through})


def read_past(
    con: Connection, tickers: Sequence[str], as_of: AsOf, sessions: int, columns: Sequence[str] = ("*",)
) -> pd.DataFrame:
    """Earlier forecasts of each ticker and step for its last `sessions` target sessions up to `as_of.day`,
    with what came.

    Tickers are asked for in turn, so many at once as have a number of forecasts that DuckDB can number in its
    memory: with the years there are millions.

    Args:
        columns: those that are wanted.

    Returns:
        Columns of `forecast_history`, ordered by ticker, step and target session; `actual` is missing where
        it is not settled.
    """
    sql = f"""
        SELECT {", ".join(columns)} FROM forecast_history
        WHERE {_ASKED} AND NOT superseded AND target_session <= $day
        QUALIFY row_number() OVER (PARTITION BY ticker, step ORDER BY target_session DESC) <= $sessions
        ORDER BY ticker, step, target_session
    """
    ((stored,),) = con.execute("SELECT count(*) FROM forecasts").fetchall()
    names = sorted(tickers)
    at_once = max(len(names) * _FORECASTS_AT_ONCE // max(stored, 1), 1)
    asked = [names[first : first + at_once] for first in range(0, len(names), at_once)]
    found = [
        con.execute(sql, {"tickers": some, "day": as_of.day, "sessions": sessions}).df()
        for some in asked or [[]]
    ]
    return pd.concat([rows for rows in found if len(rows)] or found[:1], ignore_index=True)


def read_nights(con: Connection, tickers: Sequence[str], as_of: AsOf, nights: int) -> pd.DataFrame:
    """How each ticker came out of its last `nights` nightly runs before `as_of.day`: `run_tickers` and
    `as_of`, newest first.
    """
    sql = f"""
        SELECT t.*, r.as_of
        FROM run_tickers AS t JOIN runs AS r USING (run_id)
        WHERE t.{_ASKED} AND r.kind = 'nightly' AND r.as_of < $day
        QUALIFY row_number() OVER (PARTITION BY t.ticker ORDER BY r.as_of DESC, r.finished_at DESC) <= $nights
        ORDER BY t.ticker, r.as_of DESC, r.finished_at DESC
    """
    return con.execute(sql, {"tickers": list(tickers), "day": as_of.day, "nights": nights}).df()


def read_refused(con: Connection, tickers: Sequence[str], as_of: AsOf, rows: int) -> pd.DataFrame:
    """The newest `rows` lines of the quarantine of each ticker that were known up to `as_of.known_at`, newest
    first.
    """
    sql = f"""
        SELECT * FROM quarantined_prices
        WHERE {_ASKED} AND known_at <= $known_at AND (session IS NULL OR session <= $day)
        QUALIFY row_number() OVER (PARTITION BY ticker ORDER BY session DESC NULLS FIRST, known_at DESC,
            rowid DESC) <= $rows
        ORDER BY ticker, session DESC NULLS FIRST, known_at DESC
    """
    return con.execute(sql, {**_known(tickers, as_of), "rows": rows}).df()


def read_settled(con: Connection, tickers: Sequence[str], as_of: AsOf) -> pd.DataFrame:
    """Settled forecasts of the tickers with a target session up to `as_of.day`, by step and by who made them.

    Returns:
        step, made_by, n, cov80, cov95, ratio, first, last. `ratio` is the RMSE over the naive RMSE, of errors
        in per cent of the actual.
    """
    sql = f"""
        SELECT step, made_by, count(*) AS n, avg(inside80::DOUBLE) AS cov80, avg(inside95::DOUBLE) AS cov95,
            sqrt(sum((error / actual) ** 2) / nullif(sum((naive_error / actual) ** 2), 0)) AS ratio,
            min(target_session) AS first, max(target_session) AS last
        FROM forecast_history
        WHERE {_ASKED} AND actual IS NOT NULL AND NOT superseded AND target_session <= $day
        GROUP BY step, made_by
        ORDER BY step, made_by
    """
    return con.execute(sql, {"tickers": list(tickers), "day": as_of.day}).df()


def read_coverage(con: Connection, tickers: Sequence[str], through: dt.date) -> pd.DataFrame:
    """How the published intervals held over the last 250 settled forecasts up to that session:
    `rolling_coverage`, its newest rows.

    Returns:
        One row a ticker and step, in their order.
    """
    sql = f"""
        SELECT * FROM rolling_coverage
        WHERE {_ASKED} AND target_session <= $through
        QUALIFY row_number() OVER (PARTITION BY ticker, step ORDER BY target_session DESC) = 1
        ORDER BY ticker, step
    """
    return con.execute(sql, {"tickers": list(tickers), "through": through}).df()


def read_model_coverage(con: Connection, through: dt.date) -> pd.DataFrame:
    """The same by model over its last 250 sessions: the newest rows of `model_coverage`, one a model and
    step.
    """
    sql = """
        SELECT * FROM model_coverage
        WHERE target_session <= $through
        QUALIFY row_number() OVER (PARTITION BY made_by, step ORDER BY target_session DESC) = 1
        ORDER BY made_by, step
    """
    return con.execute(sql, {"through": through}).df()


def read_losses(
    con: Connection, tickers: Sequence[str], variant: str, before: dt.date, known_at: dt.datetime
) -> pd.DataFrame:
    """What the variant's published forecasts of one step lost beside the naive ones, settled on evenings
    before `before`.

    Args:
        known_at: only what runs settled that were started up to this UTC instant.

    Returns:
        ticker, target_session, pinball and baseline_pinball, by ticker and session; of several runs'
        forecasts the newest.
    """
    sql = f"""
        SELECT o.ticker, o.target_session, o.pinball, o.baseline_pinball
        FROM forecast_outcomes AS o
        JOIN forecasts AS f USING (run_id, ticker, step)
        JOIN runs AS r ON r.run_id = o.settled_by
        WHERE o.{_ASKED} AND o.step = 1 AND f.made_by IN ($variant, 'combined') AND r.as_of < $before
            AND r.started_at <= $known_at
        QUALIFY row_number() OVER (PARTITION BY o.ticker, o.target_session ORDER BY r.finished_at DESC,
            o.run_id DESC) = 1
        ORDER BY o.ticker, o.target_session
    """
    parameters = {
        "tickers": list(tickers),
        "variant": variant,
        "before": before,
        "known_at": known_at.replace(tzinfo=None),
    }
    return con.execute(sql, parameters).df()


def read_quarantine(con: Connection, tickers: Sequence[str] = ()) -> pd.DataFrame:
    """The view `quarantine` with the `source` of each line, held lines first, then by ticker and session; all
    tickers if none is named.
    """
    return con.execute(
        """
        SELECT q.*, s.source
        FROM quarantine AS q
        JOIN (SELECT ticker, row, rule, arg_min(source, known_at) AS source
            FROM quarantined_prices GROUP BY ALL) AS s
            USING (ticker, row, rule)
        WHERE len($tickers::VARCHAR[]) = 0 OR ticker IN (SELECT unnest($tickers::VARCHAR[]))
        ORDER BY released_at IS NOT NULL, ticker, session, quarantine_id
        """,
        {"tickers": list(tickers)},
    ).df()


def read_open_gaps(con: Connection, tickers: Sequence[str] = ()) -> pd.DataFrame:
    """The view `open_price_gaps` with the `source` of each line, by ticker and session; all tickers if none
    is named.
    """
    return con.execute(
        """
        SELECT o.*, g.source
        FROM open_price_gaps AS o JOIN price_gaps AS g USING (ticker, session, known_at, run_id)
        WHERE len($tickers::VARCHAR[]) = 0 OR ticker IN (SELECT unnest($tickers::VARCHAR[]))
        ORDER BY ticker, session
        """,
        {"tickers": list(tickers)},
    ).df()


def quarantine_keys(con: Connection, tickers: Sequence[str]) -> set[tuple[str, str, str]]:
    """What is already in quarantine, as (ticker, row, rule)."""
    sql = f"SELECT DISTINCT ticker, row, rule FROM quarantined_prices WHERE {_ASKED}"
    return {
        (ticker, row, rule) for ticker, row, rule in con.execute(sql, {"tickers": list(tickers)}).fetchall()
    }


def _known(tickers: Sequence[str], as_of: AsOf) -> dict[str, Any]:
    return {"tickers": list(tickers), "known_at": as_of.known_at.replace(tzinfo=None), "day": as_of.day}


def _frame(con: Connection, table: str, sql: str, parameters: dict[str, Any]) -> pd.DataFrame:
    found, dtypes = con.execute(sql, parameters).df(), empty(table).dtypes
    return found.astype({column: dtypes[column] for column in found})
