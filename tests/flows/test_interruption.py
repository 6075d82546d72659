"""A run that a signal ends says so, and what became of it: never an error of ours, never a failure that was
none.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

import duckdb
import pytest
from prefect.exceptions import TerminationSignal

from flows.cli import main
from flows.commands.status import EXIT_CODES
from flows.running.interruption import Terminated, noted, raising
from tests.conftest import SMALL
from tests.flows.interrupted import work_a_while
from tests.forked import Forked

LONG = "SELECT count(*) FROM range(400000000) AS a WHERE a.range % 7 = 3"
"""More than a second: DuckDB stops at once for SIGINT, and looks after any other signal when it is done."""


def started(
    way: tuple[str, ...], env: dict[str, str], folder: Path, *words: str
) -> "Forked | subprocess.Popen[str]":
    """`work_a_while` in a process: a forked one, and, as Prefect has last words when the interpreter ends, a
    whole one for a run with Prefect.
    """
    if way:
        return Forked(work_a_while, *words, env=env)
    code = "import sys; from tests.flows.interrupted import work_a_while; work_a_while(*sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], cwd=folder, env=env, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "means"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, TerminationSignal)]
)
def test_a_signal_while_duckdb_works_is_a_signal(number: signal.Signals, means: type[BaseException]) -> None:
    """DuckDB makes "RuntimeError: Query interrupted" of it."""

    def end(*_: object) -> None:
        raise TerminationSignal(signal=number)

    before = signal.signal(signal.SIGTERM, end)
    threading.Timer(0.2, os.kill, (os.getpid(), number)).start()
    try:
        with pytest.raises(means) as caught, noted():
            duckdb.sql(LONG).fetchall()
        assert "Query interrupted" in str(caught.value.__cause__)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_error_without_a_signal_stays_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="our mistake"), noted():
        raise RuntimeError("our mistake")


def test_a_library_that_makes_an_error_of_a_signal_ends_the_command_as_the_signal_does(
    monkeypatch, capsys
) -> None:
    """As pandas' modules do, whose import is cut short: "numpy.core.multiarray failed to import"."""

    def importing(call: object) -> NoReturn:
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException:
            raise ImportError("numpy.core.multiarray failed to import") from None
        raise AssertionError("the signal did not come")

    monkeypatch.setattr("flows.cli._Call.do", importing)
    assert main(["nightly"]) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == (
        "tickercast: interrupted by SIGTERM; what was published before stays\n"
    )


def test_a_signal_that_python_ignores_comes_again(capsys) -> None:
    """What a handler raises in a destructor is printed as "Exception ignored", and lost."""

    class Closing:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def work() -> None:
        Closing()
        time.sleep(30)

    with pytest.raises(Terminated), raising(), noted():
        work()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("module", "name", "number", "said"),
    [
        (
            "forecast_lib.store.working.audits",
            "check_run",
            signal.SIGINT,
            "stored nothing; what was published before stays",
        ),
        (
            "forecast_lib.store.disk.ledger",
            "append",
            signal.SIGTERM,
            "is stored, and will be published by the next run",
        ),
        (
            "forecast_lib.store.published.publication",
            "_build",
            signal.SIGINT,
            "is stored, and will be published by the next run",
        ),
        (
            "forecast_lib.jobs.record.publish",
            "show_latest",
            signal.SIGTERM,
            "SIGTERM came when all of it was stored and published",
        ),
    ],
    ids=["before the commit", "after the commit", "before the publication", "after the publication"],
)
@pytest.mark.parametrize("way", [(), ("--plain",)], ids=["Prefect", "plain"])
def test_a_night_that_is_interrupted_says_what_became_of_it(
    way, module, name, number, said, tickercast, tmp_path
):
    options = [
        "--workspace",
        str(tmp_path / "w"),
        "--json",
        *SMALL,
        "--tickers",
        "SIM1",
        "--as-of",
        "2024-05-02",
        *way,
    ]
    error = tmp_path / "err"
    env = {**tickercast.env, "TICKERCAST_TEST_SHARE": "0.02"}
    process = started(way, env, tmp_path, module, name, str(error), "nightly", *options)
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n", error.read_text()
    time.sleep(0.1)
    os.kill(process.pid, number)
    out, _ = process.communicate()
    err = error.read_text()
    published = "all of it" in said
    assert said in (out if published else err), (out, err)
    assert "Traceback" not in err and "RuntimeError" not in err
    assert not list((tmp_path / "w" / "reports").glob(".*"))
    stored = {"published": 1, "interrupted": 0}["published" if published else "interrupted"]
    if stored:
        assert process.returncode in (EXIT_CODES["fresh"], EXIT_CODES["degraded"])
        status = tickercast("status", "--workspace", str(tmp_path / "w"))
        assert "failed" not in status.out
    else:
        assert process.returncode == 128 + number
        assert err.splitlines()[-1].startswith(f"tickercast: interrupted by {number.name}: run ")


@pytest.mark.parametrize("seconds", [0.3, 2.0, 4.0])
def test_sigterm_in_the_first_seconds_is_one_line(seconds, alone, tmp_path):
    """The temporary server, which is just starting, has nothing to say either."""
    process = alone.start("nightly", "--workspace", str(tmp_path / "w"), *SMALL, "--tickers", "SIM1")
    time.sleep(seconds)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert "Traceback" not in err
    assert process.returncode in (143, -signal.SIGTERM), err
