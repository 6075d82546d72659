"""An analyst's DuckDB may be years older than ours: each release since 1.1 reads everything that is
published.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from forecast_lib.store import restoration
from forecast_lib.store.published import publication
from forecast_lib.store.working import compaction
from tests.apart import installed_apart
from tests.store.nights import now, store_and_publish

pytestmark = pytest.mark.slow

CLIENTS = ("1.1.3", "1.4.4", "1.5.0")

READ_ALL = """
import json, sys
import duckdb
with duckdb.connect(sys.argv[1], read_only=True) as con:
    tables = con.execute("SELECT table_name FROM information_schema.tables ORDER BY 1").fetchall()
    rows = {}
    for (name,) in tables:
        rows[name] = con.execute(f'SELECT count(*) FROM (SELECT * FROM "{name}")').fetchone()[0]
    for macro in ("prices_as_of", "adjusted_prices_as_of"):
        rows[macro] = con.execute(f"SELECT count(*) FROM {macro}(TIMESTAMP '2100-01-01')").fetchone()[0]
print(json.dumps({"version": duckdb.__version__, "rows": rows}))
"""


@pytest.fixture(scope="session", params=CLIENTS)
def client(request: pytest.FixtureRequest) -> tuple[str, Path]:
    """A version of DuckDB, and the folder that it lies in: kept from one test run to the next."""
    return request.param, installed_apart(request, f"duckdb=={request.param}")


def read_by(client: tuple[str, Path], path: Path) -> dict[str, int]:
    version, folder = client
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL, str(path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["version"] == version
    rows: dict[str, int] = answer["rows"]
    return rows


def test_tables_views_and_macros_of_publication_and_snapshot(
    workspace: Path, client: tuple[str, Path]
) -> None:
    rows = read_by(client, workspace / "published.duckdb")
    assert rows == read_by(
        client, publication.snapshot_path(workspace, publication.list_snapshots(workspace)[0])
    )
    assert (rows["latest_forecasts"], rows["forecasts"], rows["runs"]) == (4, 8, 2)
    assert rows["prices_as_of"] == rows["current_prices"] > 0


def test_a_restored_snapshot(workspace: Path, client: tuple[str, Path]) -> None:
    (workspace / "published.duckdb").unlink()
    restoration.restore(workspace, None, now=now(2))
    assert read_by(client, workspace / "published.duckdb")["latest_forecasts"] == 4


def _as_an_earlier_tickercast_made_it(workspace: Path) -> None:
    """The working database in DuckDB's newest format."""
    path, copy = workspace / "working.duckdb", workspace / "copy.duckdb"
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{path}' AS old (READ_ONLY)")
        con.execute(f"ATTACH '{copy}' AS new (STORAGE_VERSION 'latest')")
        con.execute("COPY FROM DATABASE old TO new")
    copy.replace(path)
    assert not publication.has_our_format(path)


def test_a_working_database_in_the_newest_format_is_published_for_all(workspace: Path) -> None:
    _as_an_earlier_tickercast_made_it(workspace)
    store_and_publish(workspace, 2)
    assert publication.has_our_format(workspace / "published.duckdb")


def test_compaction_brings_a_working_database_to_the_common_format(workspace: Path) -> None:
    _as_an_earlier_tickercast_made_it(workspace)
    compaction.compact(workspace, now(2))
    assert publication.has_our_format(workspace / "working.duckdb")
