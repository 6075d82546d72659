"""What a person with a SELECT may do: read the published tables, and nothing else."""

import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from forecast_lib.errors import StoreDamaged, UsageError
from forecast_lib.store.published import reader

HOSTILE = [
    "DELETE FROM prices",
    "UPDATE prices SET close = 1",
    "INSERT INTO prices SELECT * FROM prices",
    "WITH gone AS (DELETE FROM prices RETURNING *) SELECT * FROM gone",
    "DROP TABLE prices",
    "CREATE TABLE mine AS SELECT 1",
    "CREATE TEMP TABLE mine AS SELECT 1",
    "ALTER TABLE prices ADD COLUMN x BIGINT",
    "COPY prices TO '{folder}/out.csv'",
    "COPY (SELECT 1) TO '{folder}/out.parquet'",
    "EXPORT DATABASE '{folder}/export'",
    "ATTACH '{folder}/other.duckdb'",
    "ATTACH ':memory:' AS other",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('{folder}/secret.txt')",
    "SELECT * FROM '{folder}/secret.csv'",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM read_parquet('https://127.0.0.1:1/x.parquet')",
    "SET enable_external_access = true",
    "SET memory_limit = '100GB'",
    "RESET lock_configuration",
    "PRAGMA enable_profiling",
    "INSTALL httpfs",
    "LOAD httpfs",
    "CALL pragma_version()",
    "CHECKPOINT",
    "VACUUM",
    "BEGIN",
    "PREPARE p AS SELECT 1",
    "SELECT 1; DROP TABLE prices",
    "SELECT 1; SELECT 2",
    "",
    "-- nothing",
    "SELEC 1",
    "SELECT * FROM no_such_table",
    "SELECT nothing FROM prices",
    "SELECT 1 / 'x'",
]


@pytest.mark.parametrize("sql", HOSTILE)
def test_anything_but_one_reading_statement_is_refused_in_one_line(
    workspace: Path, tmp_path: Path, sql: str
) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(UsageError) as caught:
        reader.query(workspace, sql.format(folder=tmp_path))
    assert "\n" not in str(caught.value) and str(caught.value)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT * FROM latest_forecasts", 4),
        ("WITH a AS (SELECT DISTINCT ticker FROM prices) SELECT * FROM a", 2),
        ("FROM prices_as_of('2024-01-02 22:00:00')", 2),
        ("VALUES (1), (2), (3)", 3),
        ("DESCRIBE runs", 18),
        ("SUMMARIZE prices", 13),
        ("PIVOT prices ON ticker USING max(close) GROUP BY session", 2),
        ("EXPLAIN SELECT 1", 1),
        ("SELECT 1;", 1),
    ],
)
def test_questions_are_answered(workspace: Path, sql: str, rows: int) -> None:
    assert len(reader.query(workspace, sql)) == rows


def test_at_most_the_rows_asked_for_in_the_order_asked_for(workspace: Path) -> None:
    answer = reader.query(
        workspace, "SELECT session, ticker FROM prices ORDER BY session DESC, ticker DESC", max_rows=3
    )
    assert answer["ticker"].tolist() == ["BBB", "AAA", "BBB"]


def test_a_query_that_never_ends_is_stopped(workspace: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(UsageError, match="took longer than 0.5 s and was stopped"):
        reader.query(
            workspace,
            "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range % 7 = b.range % 11",
            timeout_s=0.5,
        )
    assert time.monotonic() - begin < 10


@pytest.mark.slow
def test_a_query_that_needs_too_much_memory_is_stopped_and_writes_nothing(workspace: Path) -> None:
    with pytest.raises(UsageError, match="needs more memory than 1GB"):
        reader.query(
            workspace, "SELECT list(range || 'x' ORDER BY hash(range)) FROM range(200000000)", timeout_s=50
        )
    assert not list(workspace.glob("*.tmp"))


def test_an_open_connection_is_locked_down_too(workspace: Path) -> None:
    with pytest.raises(StoreDamaged, match="configuration"), reader.open_published(workspace) as con:
        con.execute("SET enable_external_access = true")
    with pytest.raises(StoreDamaged, match="disabled"), reader.open_published(workspace) as con:
        con.execute("SELECT * FROM read_text('/etc/passwd')").fetchall()


def test_a_missing_publication_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError,
        match="nothing is published in .*: expected published.duckdb; run `tickercast nightly` first",
    ):
        reader.query(tmp_path, "SELECT 1")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000])
def test_a_damaged_publication_says_what_to_run(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "published.duckdb").write_bytes(content)
    with pytest.raises(StoreDamaged, match="the published file is damaged: .*tickercast restore"):
        reader.query(tmp_path, "SELECT 1")


@pytest.mark.slow
def test_a_damaged_block_is_no_fault_of_the_question(workspace: Path) -> None:
    """A byte in each half block: an answer is either the right one or a damage report, never a wrong
    number.
    """
    path, sql = workspace / "published.duckdb", "SELECT sum(point), sum(close) FROM forecasts, prices"
    good, expected = path.read_bytes(), reader.query(workspace, sql)
    reported = 0
    for place in range(4096 * 3 + 1000, len(good), 262_144 // 2):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x40]) + good[place + 1 :])
        try:
            pd.testing.assert_frame_equal(reader.query(workspace, sql), expected)
        except StoreDamaged:
            reported += 1
    assert reported > 0


def test_a_file_open_in_another_way_in_this_program_is_told(workspace: Path) -> None:
    with (
        duckdb.connect(str(workspace / "published.duckdb"), read_only=True),
        pytest.raises(UsageError, match="open in this program with other settings"),
    ):
        reader.query(workspace, "SELECT 1")


def test_parquet_holds_what_the_frame_held(workspace: Path, tmp_path: Path) -> None:
    frame = reader.query(workspace, "SELECT * FROM latest_forecasts ORDER BY ALL")
    for _ in range(2):
        reader.write_parquet(frame, tmp_path / "out's.parquet")
    with duckdb.connect() as con:
        back = con.from_parquet(str(tmp_path / "out's.parquet")).df()
    pd.testing.assert_frame_equal(back, frame)
    assert not list(tmp_path.glob("*.next-*"))


def test_the_reader_loads_nothing_heavy() -> None:
    code = (
        "import sys, forecast_lib.store.published.reader; print([name for name in ('pandera', 'tensorflow',"
        " 'prefect') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
