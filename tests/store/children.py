"""What the tests of the store run in another process: a night that may be killed, a reader in a loop, a
holder of a lock or a file.
"""

import os
import signal
import sys
import time
from io import FileIO
from pathlib import Path

import duckdb

from forecast_lib.store.disk import lock
from forecast_lib.store.disk.files import temporary_name
from forecast_lib.store.published import reader
from forecast_lib.store.working import database
from forecast_lib.store.working.appending import Arriving
from forecast_lib.store.working.store import Store
from tests.forked import Forked
from tests.store.many_prices import many_prices
from tests.store.nights import now, store_and_publish


def start(task: str, *arguments: object) -> Forked:
    """One of the functions below, by name, in a process of its own."""
    return Forked(globals()[task], *map(str, arguments))


def run_night(workspace: str, number: str, killed_at: str) -> None:
    """Store and publish a night; the process kills itself (SIGKILL) when it reaches the named point."""

    def reached(point: str) -> None:
        if point == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)

    store_and_publish(Path(workspace), int(number), reached=reached)


def be_killed_while_rows_come(workspace: str) -> None:
    """Hand over prices of a night, and be killed when all but the last are in the transaction."""
    with (
        database.open_working(Path(workspace), now(2)) as con,
        Arriving(con, "prices", "simulated") as arriving,
    ):
        for part in (*many_prices(), *many_prices()):
            arriving.add(part)
        os.kill(os.getpid(), signal.SIGKILL)


def be_killed_while_copying_ahead(workspace: str) -> None:
    """Copy the publication ahead, and be killed with half of it on the disk."""
    with Store(Path(workspace), now(2)) as store:
        store._ahead._write = half_written
        store.copy_ahead()
        time.sleep(60)


def half_written(read: FileIO) -> None:
    half = Path(read.name).stat().st_size // 2
    temporary_name(Path(read.name).with_name("published.duckdb")).write_bytes(read.read(half))
    os.kill(os.getpid(), signal.SIGKILL)


def read_in_a_loop(workspace: str, stop_file: str) -> None:
    """Read the latest forecasts until the stop file appears; print a line a read: runs, rows, runs in the
    status table.
    """
    sql = "SELECT list(DISTINCT run_id), count(*), (SELECT max(run_id) FROM runs) FROM latest_forecasts"
    while True:
        ending = Path(stop_file).exists()
        runs, rows, newest = reader.query(Path(workspace), sql).iloc[0]
        print(len(runs), rows, runs[0] == newest, newest, flush=True)
        if ending:
            return


def hold_lock(workspace: str) -> None:
    """Take the workspace, say so, and keep it until standard input ends."""
    with lock.hold_workspace(Path(workspace), "run-elsewhere"):
        print("held", flush=True)
        sys.stdin.read()


def hold_file(path: str, purpose: str = "reading") -> None:
    """Open a database, say so, and keep it until standard input ends."""
    con = duckdb.connect(path, read_only=purpose == "reading")
    con.execute("SELECT 1").fetchall()
    print("held", flush=True)
    sys.stdin.read()


def lock_and_die(workspace: str) -> None:
    """Take the workspace and be killed with it."""
    with lock.hold_workspace(Path(workspace), "run-killed"):
        print("held", flush=True)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)
