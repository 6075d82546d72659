"""What must hold after every trial, found with plain DuckDB and hashlib: nothing here comes from the product.

The witness is told what a night was given and what it reported as stored. It opens copies of the files, never
the files themselves.
"""

import copy
import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

__all__ = ["Witness", "digest"]

SAID = {
    "prices": (
        "SELECT ticker, session::DATE::VARCHAR, open, high, low, close, volume FROM prices WHERE run_id ="
        " $run ORDER BY ALL"
    ),
    "forecasts": (
        "SELECT ticker, step, target_session::DATE::VARCHAR, point, sigma, q50 FROM forecasts WHERE run_id ="
        " $run ORDER BY ALL"
    ),
}
"""What a night says, by table, as the witness compares it."""


def digest(rows: Sequence[tuple[Any, ...]]) -> str:
    """SHA-256 over rows in their order."""
    return hashlib.sha256(repr([tuple(row) for row in rows]).encode()).hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy of the file with its write-ahead log."""
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder) / "copy.duckdb"
        shutil.copyfile(path, copied)
        log = path.with_name(path.name + ".wal")
        if log.exists():
            shutil.copyfile(log, copied.with_name(copied.name + ".wal"))
        with duckdb.connect(str(copied), config={"threads": 1}) as con:
            con.execute("SET enable_progress_bar = false")
            yield con


@dataclass
class Witness:
    """Of one workspace.

    Attributes:
        given: by run, the digest of each table's rows that it was given to store.
        reported: runs that were reported as stored, in their order.
        shown: runs that readers saw, in their order.
    """

    workspace: Path
    given: dict[str, dict[str, str]] = field(default_factory=dict)
    reported: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)

    def violations(self, *, at_rest: bool, lost: Sequence[str] = (), working: bool = True) -> list[str]:
        """What does not hold.

        Args:
            at_rest: a night has ended since the trouble: nothing may be half done any more.
            lost: reported runs that the product itself named as lost.
            working: look at the working file too.
        """
        found = [*self._published(), *(self._working(lost, ledger=at_rest) if working else ())]
        if at_rest:
            found += [f"left over: {path.name}" for path in self._leftovers()]
        return found

    def of_a_copy(self, workspace: Path) -> "Witness":
        """The same of a copy of the workspace."""
        return dataclasses.replace(copy.deepcopy(self), workspace=workspace)

    def remember(self) -> None:
        """Take what is stored of runs that nothing is known of as what they were given: from now on it has to
        stay.
        """
        with _opened(self.workspace / "working.duckdb") as con:
            for (run,) in con.execute("SELECT run_id FROM runs").fetchall():
                if run not in self.given:
                    said = {table: con.execute(sql, {"run": run}).fetchall() for table, sql in SAID.items()}
                    self.given[run] = {table: digest(rows) for table, rows in said.items()}

    def _published(self) -> Iterator[str]:
        """Readers see one whole, finished run, never an earlier one than before."""
        path = self.workspace / "published.duckdb"
        if not path.exists():
            if self.shown:
                yield "the published file is gone"
            return
        try:
            with _opened(path) as con:
                yield from self._read_whole(con, "published")
                runs = con.execute(
                    "SELECT run_id, count(*), count(DISTINCT (ticker, step)) FROM latest_forecasts GROUP BY 1"
                ).fetchall()
                if len(runs) != 1 or runs[0][1] != runs[0][2] or not runs[0][1]:
                    yield f"readers see {runs}"
                    return
                run = runs[0][0]
                yield from self._whole_run(con, "published", run)
        except duckdb.Error as error:
            yield f"published: {type(error).__name__}: {str(error)[:200]}"
            return
        if run in self.shown[:-1]:
            yield f"readers went back from {self.shown[-1]} to {run}"
        elif run not in self.shown:
            self.shown.append(run)

    def _working(self, lost: Sequence[str], *, ledger: bool) -> Iterator[str]:
        """What was reported as stored is there, bit by bit; no run is there in part; `ledger`: it says so
        too.
        """
        path = self.workspace / "working.duckdb"
        if not path.exists():
            if self.reported:
                yield "the working file is gone"
            return
        try:
            with _opened(path) as con:
                yield from self._read_whole(con, "working")
                there = [run for (run,) in con.execute("SELECT run_id FROM runs ORDER BY 1").fetchall()]
                yield from (
                    f"{run} was reported as stored and is gone"
                    for run in self.reported
                    if run not in (*there, *lost)
                )
                for run in there:
                    yield from self._whole_run(con, "working", run)
                for table in ("prices", "forecasts", "run_tickers"):
                    sql = f"SELECT DISTINCT run_id FROM {table} WHERE run_id NOT IN (SELECT run_id FROM runs)"
                    yield from (
                        f"{table} has rows of {run}, which is in no row of runs"
                        for (run,) in con.execute(sql).fetchall()
                    )
                if ledger:
                    yield from self._ledger(con, lost)
        except duckdb.Error as error:
            yield f"working: {type(error).__name__}: {str(error)[:200]}"

    @staticmethod
    def _read_whole(con: duckdb.DuckDBPyConnection, name: str) -> Iterator[str]:
        tables = "SELECT table_name FROM duckdb_tables() WHERE NOT internal AND estimated_size > 0"
        for (table,) in con.execute(tables).fetchall():
            con.execute(f'SELECT count(*), bit_xor(hash(t)) FROM "{table}" AS t').fetchall()
        twice = con.execute("SELECT run_id FROM runs GROUP BY 1 HAVING count(*) > 1").fetchall()
        yield from (f"{name}: {run} is there twice" for (run,) in twice)

    def _whole_run(self, con: duckdb.DuckDBPyConnection, name: str, run: str) -> Iterator[str]:
        ((asked,),) = con.execute(
            "SELECT tickers FROM runs WHERE run_id = $run", {"run": run}
        ).fetchall() or [(0,)]
        rows = con.execute(
            "SELECT count(*), count(DISTINCT ticker) FROM run_tickers WHERE run_id = $run", {"run": run}
        ).fetchall()
        if rows != [(asked, asked)]:
            yield f"{name}: {run} asked for {asked} tickers and has {rows[0]} status rows and tickers"
        for table, sql in SAID.items():
            expected = self.given.get(run, {}).get(table)
            if expected is not None and digest(con.execute(sql, {"run": run}).fetchall()) != expected:
                yield f"{name}: {table} of {run} are not what was given"

    def _ledger(self, con: duckdb.DuckDBPyConnection, lost: Sequence[str]) -> Iterator[str]:
        """Each run that it records has its rows in the tables; each reported run is recorded."""
        path = self.workspace / "ledger.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        recorded = {line["run_id"]: line.get("rows", {}) for line in lines if "run_id" in line}
        gone = {run for line in lines for run in line.get("lost", ())} | set(lost)
        yield from (
            f"{run} was reported as stored and is not in the ledger"
            for run in self.reported
            if run not in {*recorded, *gone}
        )
        for table in ("prices", "forecasts", "run_tickers"):
            counts = dict(con.execute(f"SELECT run_id, count(*) FROM {table} GROUP BY 1").fetchall())
            yield from (
                f"the ledger says {said.get(table, 0)} rows of {run} in {table}, and there are"
                f" {counts.get(run, 0)}"
                for run, said in recorded.items()
                if run not in gone and counts.get(run, 0) != said.get(table, 0)
            )

    def _leftovers(self) -> list[Path]:
        return [
            *self.workspace.rglob("*.next-*"),
            *self.workspace.glob("*.wal"),
            *self.workspace.rglob(".*.tmp"),
        ]
