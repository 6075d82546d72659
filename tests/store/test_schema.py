"""The SQL schema says the same as `tables.py`, and every object and column is explained."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pandas as pd
import pandera.pandas as pa
import pytest

from forecast_lib.store.published import reader
from forecast_lib.store.working import database
from forecast_lib.tables import TABLES
from tests.store.nights import now

SESSIONS = {
    "session",
    "as_of",
    "last_session",
    "trained_as_of",
    "trained_through",
    "cutoff",
    "target_session",
}
LISTS = {"prices": "FLOAT[]", "tickers": "VARCHAR[]", "weights": "DOUBLE[]", "inputs": "VARCHAR[]"}
JSON = {"config", "evidence", "libraries", "seconds_per_stage", "splits"}


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with database.open_working(tmp_path_factory.mktemp("schema"), now(0)) as con:
        yield con


def sql_type(name: str, column: pa.Column) -> str:
    kind = column.metadata["dtype"].lower()
    if kind == "datetime64[us]":
        return "DATE" if name in SESSIONS else "TIMESTAMP"
    if kind == "str":
        return "JSON" if name in JSON else "VARCHAR"
    if kind == "object":
        return LISTS[name]
    return {"float64": "DOUBLE", "int64": "BIGINT", "bool": "BOOLEAN", "boolean": "BOOLEAN"}[kind]


@pytest.mark.parametrize("table", TABLES)
def test_columns_order_types_and_nulls_are_those_of_the_pandera_schema(
    con: duckdb.DuckDBPyConnection, table: str
) -> None:
    sql = (
        "SELECT column_name, data_type, is_nullable FROM duckdb_columns() WHERE table_name = ? ORDER BY"
        " column_index"
    )
    expected = [
        (name, sql_type(name, column), column.nullable) for name, column in TABLES[table].columns.items()
    ]
    assert con.execute(sql, [table]).fetchall() == expected


def test_the_database_has_no_base_table_beyond_tables_and_its_own_record(
    con: duckdb.DuckDBPyConnection,
) -> None:
    found = {name for (name,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    assert found == {*TABLES, "schema_migrations"}


def test_nothing_but_not_null_constrains_a_table(con: duckdb.DuckDBPyConnection) -> None:
    assert con.execute("SELECT DISTINCT constraint_type FROM duckdb_constraints()").fetchall() == [
        ("NOT NULL",)
    ]
    assert con.execute("SELECT count(*) FROM duckdb_indexes()").fetchall() == [(0,)]


def test_every_table_view_macro_and_column_carries_a_comment(con: duckdb.DuckDBPyConnection) -> None:
    bare = """
        SELECT table_name FROM duckdb_tables() WHERE comment IS NULL
        UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal AND comment IS NULL
        UNION ALL SELECT function_name FROM duckdb_functions() WHERE NOT internal AND comment IS NULL
        UNION ALL SELECT table_name || '.' || column_name FROM duckdb_columns() WHERE NOT internal
            AND coalesce(comment, '') = ''
    """
    assert con.execute(bare).fetchall() == []


@pytest.mark.parametrize(("view", "table"), [("current_prices", "prices"), ("latest_forecasts", "forecasts")])
def test_a_view_of_whole_rows_has_the_columns_of_its_table(
    con: duckdb.DuckDBPyConnection, view: str, table: str
) -> None:
    names = [column[0] for column in con.execute(f"SELECT * FROM {view}").description]
    assert names == list(TABLES[table].columns)


def test_the_dictionary_of_a_publication_lists_objects_with_their_columns(workspace: Path) -> None:
    found = reader.data_dictionary(workspace)
    words = pd.DataFrame(found.values, columns=list(found.columns))
    assert list(words.columns) == ["object", "kind", "column", "type", "comment"]
    assert words["comment"].notna().all()
    close = words[(words["object"] == "prices") & (words["column"] == "close")].iloc[0]
    assert (close["kind"], close["type"]) == ("table", "DOUBLE")
    assert close["comment"] == "Last price of the session, as traded, in the ticker's currency"
    assert words[words["kind"] == "macro"]["object"].tolist() == [
        "adjusted_prices_as_of(t)",
        "hazen(ordered, p)",
        "latest_quantiles(ticker, step)",
        "log_odds(p)",
        "mean_of_worst(ordered, p)",
        "odds_between(price, low, low_p, high, high_p)",
        "portfolio_risk(holdings, step)",
        "price_at(ticker, step, probability)",
        "price_between(p, low, low_p, high, high_p)",
        "price_in(q, p)",
        "prices_as_of(t)",
        "probability_below(ticker, step, price)",
        "probability_in(q, price)",
        "skill_between(first, last)",
    ]
    assert set(words[words["kind"] == "view"]["object"]) == {
        "adjusted_prices",
        "current_prices",
        "event_track_record",
        "forecast_changes",
        "forecast_history",
        "forecast_skill",
        "latest_backtest_scores",
        "latest_coverage",
        "latest_forecasts",
        "model_coverage",
        "model_skill",
        "open_price_gaps",
        "part_skill",
        "portfolio_outcomes",
        "quarantine",
        "rolling_coverage",
        "run_ticker_gains",
        "surprises",
    }
