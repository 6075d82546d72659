"""Whether another version forecasts the same: `python -m tests.bench.same OTHER`, a folder with a checkout or
a revision of git (`HEAD~5`; the last commit where nothing is said). For whoever moves code.

Both versions do the same eight runs by the command line, in processes and workspaces of their own, and each
run is compared as soon as both have done it: how it ended, its two hashes, the figures that it said, and
every row of the published tables but for what names the run, says when it was or how long it took, or which
versions made it. A table or a column that only one of them has is named too. Ends with 1 where anything is
different.
"""

import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from tests.jobs import evenings

ROOT = Path(__file__).resolve().parents[2]
OF_THE_RUN = re.compile(
    r"(?:\w+_)?(?:run|backtest|model|parent)_id|settled_by|(?:\w+_)?at|\w*seconds\w*|config|config_hash|weights"
    r"|code_version|libraries|seed"
)
SMALL = "--units 4 --lookback 10 --horizon 2 --epochs 1 --json"
SIMULATED, FILES = "nightly --tickers SIM1,SIM2,SIM3", "nightly --plain --source files --files {market}"
THURSDAY, FRIDAY = f"{SMALL} --as-of {evenings.day(-2)}", f"{SMALL} --as-of {evenings.day(-1)}"
RUNS = {
    "simulated": ("one", f"{SIMULATED} {THURSDAY}"),
    "fine-tune": ("one", f"{SIMULATED} {FRIDAY} --plain"),
    "a past night again": ("one", f"{SIMULATED} {THURSDAY} --plain"),
    "processes": ("processes", f"{SIMULATED} {THURSDAY} --plain --runner processes --shard-size 1"),
    "files": ("files", f"{FILES} --tickers AAA,BBB {THURSDAY}"),
    "degraded": ("files", f"{FILES} --tickers AAA,ODD,NONE {FRIDAY}"),
    "backtest": ("backtest", f"backtest --tickers SIM1,SIM2 {FRIDAY} --plain"),
    "recipe": ("recipe", "recipe sine-small --units 2 --epochs 1 --seed 3 --json"),
}
"""Workspace and command; `{market}` is the folder with the files."""


@dataclasses.dataclass(frozen=True)
class Done:
    """How a run ended: exit code, what its summary says of it, and the published file (None without one)."""

    code: int
    summary: dict[str, Any]
    published: Path | None

    def figures(self) -> dict[str, Any]:
        """What it said beside its hashes: a recipe's values, a backtest's rows, by label or model; no
        durations.
        """
        said = self.summary.get("figures") or ()
        return {
            row.get("label", row.get("model")): row.get("value", row)
            for row in said
            if row.get("unit") != "s"
        }


def write_market(folder: Path) -> None:
    """Two good tickers, and one whose last high is below its low."""
    folder.mkdir()
    for seed, name in enumerate(("AAA", "BBB", "ODD")):
        rows = evenings.prices(seed)
        if name == "ODD":
            rows.loc[rows.index[-1], "High"] = rows["Low"].iloc[-1] / 2
        rows.to_csv(folder / f"{name}.csv", index=False, date_format="%Y-%m-%d")


def do(run: str, checkout: Path, home: Path) -> Done:
    """One of RUNS by a version, in `home`, where its workspaces and Prefect's tables are."""
    name, words = RUNS[run]
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "TICKERCAST_"))
    }
    env = {**kept, "PREFECT_HOME": str(home / "prefect"), "PYTHONPATH": str(checkout), "DO_NOT_TRACK": "1"}
    command = [sys.executable, "-m", "flows.cli", *words.format(market=home.parent / "market").split()]
    ended = subprocess.run(
        [*command, "--workspace", str(home / name)],
        cwd=home,
        env={**env, "TICKERCAST_TEST_SHARE": "0.02"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = ended.stdout.splitlines()
    if not lines or not lines[-1].startswith("{"):
        raise SystemExit(f"{run} by {checkout} ended with {ended.returncode}: {ended.stderr[-2000:]}")
    file = home / name / "published.duckdb"
    return Done(ended.returncode, json.loads(lines[-1]), file if file.exists() else None)


def differences(ours: Done, theirs: Done) -> list[str]:
    """In sentences; none where both did the same."""
    found = []
    if ours.code != theirs.code:
        found.append(f"exit code {ours.code}, was {theirs.code}")
    for name in ("status", "prices_hash", "forecasts_hash"):
        now, before = ours.summary.get(name), theirs.summary.get(name)
        if now != before:
            found.append(f"{name} {now}, was {before}")
    figures, earlier = ours.figures(), theirs.figures()
    for label in {**figures, **earlier}:
        if figures.get(label) != earlier.get(label):
            found.append(f"{label} {figures.get(label)}, was {earlier.get(label)}")
    if (ours.published is None) != (theirs.published is None):
        found.append("only one of them published")
    if ours.published and theirs.published:
        found += different_rows(ours.published, theirs.published)
    return found


def different_rows(ours: Path, theirs: Path) -> list[str]:
    """Tables whose rows differ, with how many and in which columns."""
    found = []
    with duckdb.connect() as con:
        columns: list[dict[str, set[str]]] = []
        for name, path in (("ours", ours), ("theirs", theirs)):
            con.execute(f"ATTACH '{path}' AS {name} (READ_ONLY)")
            sql = f"SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = '{name}'"
            sql += (
                f" AND table_name IN (SELECT table_name FROM duckdb_tables() WHERE database_name = '{name}')"
            )
            of_table: dict[str, set[str]] = {}
            for table, column in con.execute(sql).fetchall():
                of_table.setdefault(table, set()).add(column)
            columns.append({table: of_table[table] for table in of_table if table != "schema_migrations"})
        now, before = columns
        found += [f"only one of them has the table {table}" for table in sorted(now.keys() ^ before.keys())]
        for table in sorted(now.keys() & before.keys()):
            if apart := sorted(now[table] ^ before[table]):
                found.append(f"{table}: only one of them has {', '.join(apart)}")
            both = sorted(name for name in now[table] & before[table] if not OF_THE_RUN.fullmatch(name))
            if gone := _beyond(con, table, both):
                different = [name for name in both if _beyond(con, table, [name])]
                ((count,),) = con.execute(f"SELECT count(*) FROM ours.{table}").fetchall()
                found.append(
                    f"{table}: {gone} rows differ ({count} now), in {', '.join(different) or 'pairs'}"
                )
    return found


def _beyond(con: duckdb.DuckDBPyConnection, table: str, columns: Sequence[str]) -> int:
    """The rows that only one of them has; as many as the one that has more of them."""
    listed = ", ".join(f'"{name}"' for name in columns)
    ours, theirs = (f"SELECT {listed} FROM {name}.{table}" for name in ("ours", "theirs"))
    counts = [
        con.execute(f"SELECT count(*) FROM (({one}) EXCEPT ALL ({other}))").fetchall()[0][0]
        for one, other in ((ours, theirs), (theirs, ours))
    ]
    return max(counts)


def main(argv: Sequence[str] | None = None) -> int:
    other = ([*(sys.argv[1:] if argv is None else argv)] or ["HEAD"])[0]
    with tempfile.TemporaryDirectory() as folder:
        homes = [Path(folder) / name for name in ("ours", "theirs")]
        for home in homes:
            home.mkdir()
        write_market(Path(folder) / "market")
        checkout = Path(other).resolve()
        if not (checkout / "flows").is_dir():
            checkout = Path(folder) / "checkout"
            checkout.mkdir()
            kept = subprocess.run(["git", "archive", other], cwd=ROOT, capture_output=True, check=True).stdout
            subprocess.run(["tar", "x", "-C", str(checkout)], input=kept, check=True)
        worst = 0
        for run in RUNS:
            ours, theirs = (do(run, *each) for each in zip((ROOT, checkout), homes, strict=True))
            found = differences(ours, theirs)
            worst = max(worst, len(found) > 0)
            print(f"{run:20}", f"the same as {other}" if not found else "; ".join(found), flush=True)
    return int(worst)


if __name__ == "__main__":
    sys.exit(main())
