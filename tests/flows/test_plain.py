"""A run without Prefect makes the same rows as one with it, and loads nothing of Prefect."""

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from flows.commands.status import EXIT_CODES
from tests.conftest import SMALL, CommandLine

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

WORDS = ("--tickers", "SIM1,SIM2,SIM3", "--as-of", "2024-05-02", "--shard-size", "1", "--json", *SMALL)
BRIEF = {"TICKERCAST_TEST_SHARE": "0.02"}
OF_THE_RUN = "run_id|backtest_id|model_id|parent_id|known_at|.*_at|.*seconds.*|config|config_hash|weights"
"""Columns that name a run, or say when it was and how long it took."""

TABLES = ("prices", "run_tickers", "models", "forecasts", "forecast_weights", "scenarios", "backtest_scores")


def stored(workspace: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the published tables, but for what names the run."""
    with duckdb.connect(str(workspace / "published.duckdb"), read_only=True) as con:
        return {
            table: con.execute(
                f"SELECT COLUMNS(lambda c: NOT regexp_full_match(c, '{OF_THE_RUN}'))"
                f" FROM {table} ORDER BY ALL"
            ).fetchall()
            for table in TABLES
        }


@pytest.fixture(scope="module")
def with_prefect(tickercast: CommandLine, tmp_path_factory) -> Path:
    workspace = tmp_path_factory.mktemp("prefect") / "w"
    assert tickercast("nightly", "--workspace", str(workspace), *WORDS, **BRIEF).code == EXIT_CODES["fresh"]
    return workspace


@pytest.mark.parametrize("runner", ["threads", "processes"])
def test_a_plain_night_makes_the_rows_of_a_night_with_prefect(runner, with_prefect, tickercast, tmp_path):
    words = ("--plain", "--runner", runner)
    ended = tickercast("nightly", "--workspace", str(tmp_path / "w"), *WORDS, *words, **BRIEF)
    assert (ended.code, ended.summary["status"], ended.summary["kind"]) == (0, "fresh", "nightly")
    expected, made = stored(with_prefect), stored(tmp_path / "w")
    assert {table: len(rows) for table, rows in made.items() if not rows} == {}
    assert made == expected
    assert "models done: 3 of 3" in ended.err


def test_ingest_and_backtest_too(tickercast, tmp_path):
    for way in ((), ("--plain",)):
        workspace = str(tmp_path / "-".join(("w", *way)))
        taken = tickercast("ingest", "--workspace", workspace, *WORDS[:4], "--json", *way)
        assert (taken.code, taken.summary["kind"]) == (0, "ingest")
        tested = tickercast("backtest", "--workspace", workspace, *WORDS, *way, **BRIEF)
        assert (tested.code, tested.summary["kind"], len(tested.summary["figures"]) > 0) == (
            0,
            "backtest",
            True,
        )
    with_it, without = (stored(tmp_path / name) for name in ("w", "w---plain"))
    assert without["prices"] == with_it["prices"] and len(without["backtest_scores"]) > 0
    assert without["backtest_scores"] == with_it["backtest_scores"]


def test_a_plain_night_leaves_metrics_and_loads_nothing_of_prefect(alone, tmp_path):
    """Neither a server nor its modules; what could not be done afterwards is a notice, as with Prefect."""
    code = (
        "import sys; from flows import cli; code = cli.main(sys.argv[1:]);"
        " print(sorted(name for name in sys.modules if name.partition('.')[0] == 'prefect')); sys.exit(code)"
    )
    words = ("--plain", "--workspace", str(tmp_path / "w"), "--publish-to", str(tmp_path / "nowhere"))
    ended = subprocess.run(
        [sys.executable, "-c", code, "nightly", "--strategy", "forecast", *WORDS[:4], *SMALL, *words],
        cwd=tmp_path,
        env=alone.env,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == EXIT_CODES["degraded"], ended.stderr
    assert ended.stdout.splitlines()[-1] == "[]"
    assert "the publication was not copied: " in ended.stdout and "Traceback" not in ended.stderr
    assert "tickercast_" in (tmp_path / "w" / "metrics.prom").read_text()


def test_a_plain_run_that_fails_says_why_and_is_noted(alone, tmp_path):
    words = ("--source", "files", "--files", str(tmp_path / "none.csv"), "--tickers", "ACME")
    ended = alone("nightly", "--plain", "--workspace", str(tmp_path / "w"), *words, "--json")
    assert (ended.code, ended.summary["status"]) == (1, "failed") and "none.csv" in ended.out
    assert "Traceback" not in ended.err
    assert (
        'tickercast_last_run_exit_code{kind="nightly",workspace="w"} 1.0'
        in (tmp_path / "w" / "metrics.prom").read_text()
    )


def test_a_plain_night_makes_up_for_missed_ones_where_somebody_asks(alone, tmp_path):
    words = ("nightly", "--plain", "--workspace", str(tmp_path / "w"), "--tickers", "SIM1", "--json", *SMALL)
    assert alone(*words, "--as-of", "2024-05-02", **BRIEF).code == 0
    ended = alone(*words, "--as-of", "2024-05-06", "--backfill", "2", **BRIEF)
    assert ended.code == 0, ended.err
    assert "2024-05-03 back-filled" in ended.summary["message"]
    first, second, *_ = ended.err.splitlines()
    assert first == "nightly of 1 ticker as of 2024-05-06" and second.startswith("evenings done in ")


@pytest.mark.parametrize("way", [(), ("--plain",)], ids=["Prefect", "plain"])
def test_a_night_goes_on_when_nobody_reads_what_it_says(way, tickercast, tmp_path):
    """As `tickercast nightly | head -1` has it, or a terminal that was closed; one ticker has no prices."""
    workspace = tmp_path / "w"
    options = ("--workspace", str(workspace), *SMALL, "--tickers", "SIM1,NOSUCH", "--as-of", "2024-05-02")
    with subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "nightly", *options, *way],
        cwd=tmp_path,
        env={**tickercast.env, **BRIEF},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as night:
        assert night.stdout is not None
        assert night.stdout.readline().startswith("nightly of 2 tickers as of 2024-05-02")
        night.stdout.close()
    assert night.returncode == EXIT_CODES["degraded"]
    assert len(stored(workspace)["forecasts"]) > 0


def test_a_full_disk_below_its_log_does_not_end_a_night(tickercast, tmp_path):
    words = ("nightly", "--workspace", str(tmp_path / "w"), *WORDS, "--plain")
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "flows.cli", *words],
            cwd=tmp_path,
            env={**tickercast.env, **BRIEF},
            stdout=subprocess.PIPE,
            stderr=full,
            check=False,
        )
    assert (ended.returncode, json.loads(ended.stdout.splitlines()[-1])["status"]) == (0, "fresh")
