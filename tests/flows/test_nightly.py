"""Nights as a user runs them: the command line in its own process, a real Prefect server, DuckDB files, SQL
from another process.
"""

import json
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast_lib.models.baselines import BASELINES
from forecast_lib.sessions import calendar_for
from tests.conftest import SMALL
from tests.reading import published

FIRST, SECOND = "2024-05-02", "2024-05-03"  # a Thursday and a Friday, both sessions in New York


@pytest.fixture(scope="module")
def two_nights(tickercast, tmp_path_factory):
    """A retrain on Thursday, a fine-tune on Friday, on two simulated tickers."""
    workspace = tmp_path_factory.mktemp("nights") / "workspace"
    first = tickercast.night(workspace, "--tickers", "SIM1,SIM2", "--as-of", FIRST)
    second = tickercast.night(
        workspace, "--tickers", "SIM1,SIM2", "--as-of", SECOND, "--strategy", "fine-tune"
    )
    assert (first.code in (0, 10), second.code in (0, 10)) == (True, True), first.err + second.err
    return workspace, first, second


def test_a_night_publishes_one_status_row_and_all_steps_for_each_ticker(two_nights):
    workspace, first, _ = two_nights
    run = first.summary["run_id"]
    assert published(
        workspace, f"SELECT ticker, decision, trigger FROM run_tickers WHERE run_id = '{run}' ORDER BY 1"
    ) == [("SIM1", "retrain", "no_model"), ("SIM2", "retrain", "no_model")]
    # 2 May 2024 was a Thursday: the next two New York sessions are Friday the 3rd and Monday the 6th.
    assert published(
        workspace,
        f"SELECT DISTINCT step, target_session::VARCHAR FROM forecasts WHERE run_id = '{run}' ORDER BY 1",
    ) == [(1, "2024-05-03"), (2, "2024-05-06")]
    assert published(workspace, f"SELECT count(*) FROM forecasts WHERE run_id = '{run}'") == [(4,)]


def test_the_exit_code_and_the_status_rows_agree(two_nights):
    workspace, first, second = two_nights
    for ended in (first, second):
        degraded = published(
            workspace,
            f"SELECT count(*) FROM run_tickers WHERE run_id = '{ended.summary['run_id']}' AND status <>"
            " 'fresh'",
        )
        assert ended.code == (10 if degraded[0][0] else 0)
        assert ended.summary["exit_code"] == ended.code


def test_the_second_night_has_its_own_scenarios_and_settles_the_first_ones_portfolios(two_nights):
    workspace, first, second = two_nights
    before, after = first.summary["run_id"], second.summary["run_id"]
    drawn = published(workspace, "SELECT DISTINCT run_id, step, len(prices) FROM scenarios ORDER BY step")
    assert drawn == [(after, 1, 1000), (after, 2, 1000)]
    [(run, step, portfolios, equal)] = published(
        workspace,
        "SELECT run_id, step, count(*), any_value(actual) FILTER (portfolio = 'equal') FROM"
        " portfolio_outcomes GROUP BY ALL",
    )
    assert (run, step, portfolios) == (before, 1, 103)
    [(came,)] = published(
        workspace,
        "SELECT avg(o.actual / f.last_close - 1) FROM forecast_outcomes AS o JOIN forecasts AS f USING"
        f" (run_id, ticker, step) WHERE run_id = '{before}' AND step = 1",
    )
    assert abs(equal - came) < 1e-12


def test_the_second_night_fine_tunes_the_first_nights_models_and_settles_its_forecasts(two_nights):
    workspace, first, second = two_nights
    before, after = first.summary["run_id"], second.summary["run_id"]
    parents = published(
        workspace,
        "SELECT parent_id IN (SELECT model_id FROM models WHERE ticker <> '*') FROM models WHERE run_id ="
        f" '{after}'",
    )
    promoted = published(
        workspace, f"SELECT count(*) FROM models WHERE run_id = '{before}' AND promoted AND ticker <> '*'"
    )[0][0]
    assert sum(parent for (parent,) in parents) == promoted
    outcomes = published(
        workspace,
        f"""SELECT o.ticker, o.step, o.error - (f.point - p.close), o.naive_error - (f.last_close - p.close)
            FROM forecast_outcomes AS o JOIN forecasts AS f USING (run_id, ticker, step)
            JOIN current_prices AS p ON p.ticker = o.ticker AND p.session = o.target_session
            WHERE o.run_id = '{before}' AND o.settled_by = '{after}' ORDER BY 1""",
    )
    assert [(ticker, step) for ticker, step, *_ in outcomes] == [("SIM1", 1), ("SIM2", 1)]
    assert all(abs(difference) < 1e-9 for _, _, *differences in outcomes for difference in differences)


def test_the_retrained_night_was_backtested_against_naive_drift_and_garch(two_nights):
    workspace, first, _ = two_nights
    models = published(
        workspace,
        f"SELECT DISTINCT model FROM backtest_scores WHERE backtest_id = '{first.summary['run_id']}' ORDER"
        " BY 1",
    )
    assert models == [("combined",), ("drift",), ("ewma",), ("garch",), ("har",), ("naive",), ("stacked",)]
    ratios = published(workspace, "SELECT rmse_ratio FROM backtest_scores WHERE model = 'naive'")
    assert {ratio for (ratio,) in ratios} == {1.0}


def test_the_same_evening_in_another_workspace_gives_the_same_forecasts(two_nights, alone, tmp_path):
    """Also without a running server, with other shard mates, another shard size and one worker."""
    _, first, _ = two_nights
    again = alone.night(
        tmp_path / "other", "--tickers", "SIM2,SIM1", "--as-of", FIRST, "--shard-size", "1", "--workers", "1"
    )
    assert again.code == first.code, again.err
    columns = (
        "ticker, step, target_session, last_close, point, sigma, q025, q05, q10, q25, q50, q75, q90, q95,"
        " q975, model_id, made_by"
    )
    workspace, _, _ = two_nights
    mine = published(
        workspace, f"SELECT {columns} FROM forecasts WHERE run_id = '{first.summary['run_id']}' ORDER BY 1, 2"
    )
    assert published(tmp_path / "other", f"SELECT {columns} FROM latest_forecasts ORDER BY 1, 2") == mine


def test_an_evening_run_again_after_later_nights_gives_the_same_forecasts(two_nights, tickercast, tmp_path):
    workspace, first, _ = two_nights
    copy = shutil.copytree(workspace, tmp_path / "copy")
    again = tickercast.night(copy, "--tickers", "SIM1,SIM2", "--as-of", FIRST)
    assert again.summary["forecasts_hash"] == first.summary["forecasts_hash"]


def test_a_bad_ticker_has_a_row_and_changes_nothing_for_the_others(two_nights, tickercast, tmp_path):
    _, first, _ = two_nights
    with_bad = tickercast.night(tmp_path / "bad", "--tickers", "SIM1,NOSUCH,SIM2", "--as-of", FIRST)
    assert with_bad.code == 10
    [bad] = [row for row in with_bad.summary["degraded"] if row["ticker"] == "NOSUCH"]
    assert bad["status"] == "none"
    assert bad["reason"] == "unknown_ticker: no ticker of the simulated market: expected SIM1, SIM2, ..."
    assert with_bad.summary["forecasts_hash"] == first.summary["forecasts_hash"]


def write_csv(path: Path, closes: list[str], header: str = "Date,Open,High,Low,Close,Volume") -> None:
    """One row a New York session up to 2 May 2024, oldest first; open, high and low equal the close."""
    sessions = calendar_for("SIM1").sessions(pd.Timestamp("2022-01-03"), pd.Timestamp(FIRST))[-len(closes) :]
    rows = [
        f"{session.date()},{close},{close},{close},{close},1000"
        for session, close in zip(sessions, closes, strict=True)
    ]
    path.write_text("\n".join([header, *rows]) + "\n")


def test_what_tickers_have_in_common_is_the_same_without_one_that_has_a_problem(tickercast, tmp_path):
    """Five share a part of their volatility; the sixth never moves, so that nothing can be learned
    from it.
    """
    folder = tmp_path / "prices"
    folder.mkdir()
    returns = np.random.default_rng(3).standard_t(5, (5, 400)) * 0.01
    for number, path in enumerate(np.exp(np.cumsum(returns, axis=1))):
        write_csv(folder / f"T{number}.csv", [f"{100 * factor:.4f}" for factor in path])
    write_csv(folder / "STILL.csv", ["10"] * 400)
    names = [f"T{number}" for number in range(5)]
    made = []
    for place, tickers in enumerate((names, [*names, "STILL"])):
        ended = tickercast.night(
            tmp_path / f"w{place}", "--files", str(folder), "--tickers", ",".join(tickers), "--as-of", FIRST
        )
        assert ended.code in (0, 10), ended.err
        forecasts = (
            "SELECT ticker, step, made_by, point, sigma, q025, q975 FROM latest_forecasts WHERE ticker <>"
            " 'STILL' ORDER BY ticker, step"
        )
        # the pool's and each ticker's, volatility scale and all
        models = "SELECT ticker, weights_sha256 FROM models ORDER BY ticker"
        drivers = (
            "SELECT ticker, step, driver, effect FROM forecast_drivers WHERE ticker <> 'STILL' ORDER BY ALL"
        )
        made.append([published(tmp_path / f"w{place}", sql) for sql in (forecasts, models, drivers)])
    assert made[0] == made[1]
    forecasts, models, drivers = made[0]
    # Eleven drivers at least: events that pay are drivers of their own.
    assert (len(forecasts), len(models)) == (10, 6) and len(drivers) >= 10 * 11


def test_each_bad_file_of_a_folder_is_one_status_row_and_the_good_one_is_forecast(tickercast, tmp_path):
    folder = tmp_path / "prices"
    folder.mkdir()
    write_csv(folder / "GOOD.csv", [f'"1,{100 + number * 7 % 50}.{number % 10}"' for number in range(400)])
    write_csv(folder / "SHORT.csv", ["10.5", "10.6", "10.7"])
    write_csv(folder / "CONST.csv", ["10"] * 400)
    write_csv(folder / "NOCLOSE.csv", ["10"] * 400, "Date,Open,High,Low,Settle,Volume")
    write_csv(folder / "COMMA.csv", ['"10,5"'] * 400)
    (folder / "TWO.csv").write_text("Date,Close\n01-02-2024,10\n1/30/2024,11\n")
    ended = tickercast.night(tmp_path / "w", "--files", str(folder), "--as-of", FIRST)
    assert ended.code == 10, ended.err
    assert "Traceback" not in ended.err
    found = dict(
        published(
            tmp_path / "w",
            "SELECT ticker, status || ' ' || coalesce(split_part(reason, ':', 1), '') FROM run_tickers",
        )
    )
    good = found.pop("GOOD")
    assert good.split()[0] in ("fresh", "naive")
    assert found == {
        "SHORT": "none too_short",
        "CONST": "naive constant",
        "NOCLOSE": "none file_refused",
        "COMMA": "none file_refused",
        "TWO": "none file_refused",
    }
    # Refused files say what came, what was expected and what to do, naming the place.
    reasons = dict(published(tmp_path / "w", "SELECT ticker, reason FROM run_tickers"))
    assert "no column 'close'" in reasons["NOCLOSE"]
    assert "line 2" in reasons["COMMA"]
    assert "line 3" in reasons["TWO"]


def test_no_usable_prices_at_all_ends_with_1_and_publishes_nothing(tickercast, tmp_path):
    ended = tickercast.night(tmp_path / "none", "--tickers", "NOSUCH,NEITHER", "--as-of", FIRST)
    assert ended.code == 1
    assert "Traceback" not in ended.err
    assert not (tmp_path / "none" / "published.duckdb").exists()


def test_a_second_run_in_the_same_workspace_says_so_and_stops(tickercast, tmp_path):
    workspace = tmp_path / "busy"
    holder = (
        "import sys, time; from pathlib import Path; from forecast_lib.store.disk.lock import"
        " hold_workspace\n"
    )
    holder += (
        "with hold_workspace(Path(sys.argv[1]), 'the first'): print('held', flush=True); time.sleep(200)"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", holder, str(workspace)], env=tickercast.env, stdout=subprocess.PIPE, text=True
    )
    try:
        assert first.stdout is not None and first.stdout.readline() == "held\n"
        second = tickercast.night(workspace, "--tickers", "SIM1", "--as-of", FIRST)
    finally:
        first.kill()
        first.wait()
    assert second.code == 75
    assert "the first" in second.err
    assert "Traceback" not in second.err


READ = """
import duckdb, sys, time
from pathlib import Path
path, slowest, count, seen = sys.argv[1], 0.0, 0, set()
while not Path("enough").exists():
    began = time.time()
    with duckdb.connect(path, read_only=True) as con:
        counts = "SELECT run_id, count(*), count(DISTINCT ticker) FROM latest_forecasts GROUP BY 1"
        found = con.execute(counts).fetchall()
    slowest = max(slowest, time.time() - began)
    assert len(found) == 1 and found[0][1:] == (4, 2), found
    seen.add(found[0][0])
    count += 1
    if count == 1:
        print("reading", flush=True)
print(count, len(seen), slowest)
"""


def test_readers_in_another_process_never_wait_fail_or_see_a_mixture(two_nights, tickercast, tmp_path):
    """SQL in a loop while another night is published."""
    workspace, _, _ = two_nights
    copy = shutil.copytree(workspace, tmp_path / "read")
    command = [sys.executable, "-c", READ, str(copy / "published.duckdb")]
    reader = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert reader.stdout.readline() == "reading\n"
    tickercast.night(copy, "--tickers", "SIM1,SIM2", "--as-of", "2024-05-06", "--strategy", "forecast")
    (tmp_path / "enough").touch()
    out, err = reader.communicate()
    assert reader.returncode == 0, err
    count, versions, slowest = out.split()
    assert int(count) > 20
    assert int(versions) == 2, "the night must be published while the reader reads"
    assert float(slowest) < 5.0


def test_a_killed_night_leaves_the_publication_and_the_next_one_needs_no_help(
    two_nights, tickercast, tmp_path
):
    workspace, _, _ = two_nights
    copy = shutil.copytree(workspace, tmp_path / "killed")
    before = published(copy, "SELECT * FROM latest_forecasts ORDER BY ALL")
    words = ("--workspace", str(copy), "--json", *SMALL, "--tickers", "SIM1,SIM2", "--as-of", "2024-05-06")
    night = tickercast.start("nightly", *words)
    assert night.stderr is not None
    for line in night.stderr:
        if line.startswith("ingest done"):
            break
    night.kill()
    night.communicate()
    assert published(copy, "SELECT * FROM latest_forecasts ORDER BY ALL") == before
    again = tickercast("nightly", *words)
    assert again.code in (0, 10), again.err
    assert published(copy, "SELECT count(DISTINCT run_id) FROM runs") == [(3,)]


def test_a_damaged_model_file_is_found_and_the_ticker_trained_anew(two_nights, tickercast, tmp_path):
    workspace, _, _ = two_nights
    copy = shutil.copytree(workspace, tmp_path / "damaged")
    for path in (copy / "models").glob("*.npz"):
        path.write_bytes(path.read_bytes()[:-7])
    ended = tickercast.night(copy, "--tickers", "SIM1", "--as-of", "2024-05-06")
    assert ended.code in (0, 10), ended.err
    decision = published(
        copy, f"SELECT decision, trigger FROM run_tickers WHERE run_id = '{ended.summary['run_id']}'"
    )
    assert decision == [("retrain", "model_damaged")]


def test_an_ingest_stores_prices_and_leaves_the_latest_forecasts(two_nights, tickercast, tmp_path):
    workspace, _, second = two_nights
    copy = shutil.copytree(workspace, tmp_path / "ingest")
    ended = tickercast(
        "ingest", "--workspace", str(copy), "--tickers", "SIM1,SIM3", "--as-of", "2024-05-06", "--json"
    )
    assert ended.code == 0, ended.err
    assert published(copy, "SELECT max(session)::VARCHAR FROM current_prices WHERE ticker = 'SIM3'") == [
        ("2024-05-06",)
    ]
    assert published(copy, "SELECT DISTINCT run_id FROM latest_forecasts") == [(second.summary["run_id"],)]


def test_a_backtest_replays_the_nights(tickercast, tmp_path):
    ended = tickercast(
        "backtest", "--workspace", str(tmp_path / "b"), "--json", *SMALL, "--model", "lstm", "--tickers",
        "SIM1",
        "--as-of", FIRST, "--test-share", "0.02", "--arms", "fine-tune,none",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    arms = ["lstm_fine_tune", "lstm_none"]
    scores = published(tmp_path / "b", "SELECT DISTINCT model FROM backtest_scores ORDER BY 1")
    assert scores == [(name,) for name in sorted([*BASELINES, *arms])]
    assert published(tmp_path / "b", "SELECT libraries ->> 'trained_by' FROM runs") == [("Numba CPU",)]
    costs = dict(
        published(
            tmp_path / "b",
            "SELECT model, cpu_seconds FROM latest_backtest_scores WHERE arm IS NOT NULL AND ticker = '*'",
        )
    )
    assert 0 < costs["lstm_none"] < costs["lstm_fine_tune"]
    assert {row["model"] for row in ended.summary["figures"] if row["CPU s"]} == set(arms)
    splits = json.loads(published(tmp_path / "b", "SELECT splits FROM backtests")[0][0])
    assert {split["model"] for split in splits} == set(arms)


def test_the_runs_page_in_prefect_has_its_artifacts(two_nights, prefect_server):
    request = urllib.request.Request(
        f"{prefect_server}/artifacts/filter", b"{}", {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        keys = {artifact["key"] for artifact in json.load(reply)}
    assert {"nightly-summary", "nightly-tickers", "nightly-report"} <= keys
