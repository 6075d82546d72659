"""One run, one transaction: everything or nothing, and only what keeps the rules."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast_lib.errors import AuditFailed
from forecast_lib.store.disk import ledger
from forecast_lib.store.disk.files import wal_of
from forecast_lib.store.working import database
from forecast_lib.store.working.reads import read_table
from forecast_lib.tables import TABLES, validate
from tests import reading
from tests.store.nights import day, model_row, night, now, outcomes, prices, stamp, store_night

pytestmark = pytest.mark.slow

Frames = dict[str, pd.DataFrame]


COUNTS = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM {table}" for table in TABLES)


def counts(workspace: Path) -> dict[str, int]:
    return dict(reading.rows(workspace / "working.duckdb", COUNTS))


def test_a_recorded_run_is_there_after_closing_and_told_for_the_ledger(tmp_path: Path) -> None:
    entry = store_night(tmp_path, 0)
    assert entry["rows"] == {"prices": 2, "runs": 1, "run_tickers": 2, "models": 1, "forecasts": 4}
    assert (entry["run_id"], entry["kind"], entry["finished_at"]) == (
        "run-0",
        "nightly",
        "2024-01-02T22:05:00Z",
    )
    assert counts(tmp_path)["forecasts"] == 4
    assert not (tmp_path / "working.duckdb.wal").exists()


def test_what_is_committed_is_in_the_file_and_was_in_no_log(workspace: Path) -> None:
    logs = dict[str, bool]()
    log = wal_of(workspace / "working.duckdb")
    store_night(workspace, 2, reached=lambda point: logs.update({point: log.exists()}))
    assert {"before commit", "after commit"} <= set(logs) and not any(logs.values())


def test_a_frame_comes_back_as_it_was_given(tmp_path: Path) -> None:
    frames = night(0)
    frames["prices"].loc[0, ["open", "volume"]] = np.nan
    frames["prices"]["currency"] = ["USD", None]
    store_night(tmp_path, 0, frames)
    with database.open_working(tmp_path, now(1)) as con:
        for table, frame in frames.items():
            pd.testing.assert_frame_equal(read_table(con, table), validate(table, frame), check_dtype=True)


def spoil(table: str, column: str, value: object, rows: object = 0) -> Callable[[Frames], None]:
    def change(frames: Frames) -> None:
        frames[table].loc[rows, column] = value

    return change


def double(table: str) -> Callable[[Frames], None]:
    def change(frames: Frames) -> None:
        frames[table] = pd.concat([frames[table], frames[table].tail(1)])

    return change


def drop(table: str, *rows: int) -> Callable[[Frames], None]:
    def change(frames: Frames) -> None:
        frames[table] = frames[table].drop(index=list(rows))

    return change


def driver_rows(**changed: object) -> pd.DataFrame:
    """The width of a first step, from 98 to 102, as one driver."""
    row = {
        "run_id": "run-2",
        "ticker": "AAA",
        "step": 1,
        "driver": "usual level",
        "effect": math.log(math.log(102 / 98)),
        "change": None,
        "why_no_change": "first",
        "source": "simulated",
    }
    return pd.DataFrame([row | changed])


def test_drivers_that_add_up_are_stored(tmp_path: Path) -> None:
    store_night(tmp_path, 2, {**night(2), "forecast_drivers": driver_rows()})
    assert counts(tmp_path)["forecast_drivers"] == 1


def put(table: str, frame: pd.DataFrame) -> Callable[[Frames], None]:
    def change(frames: Frames) -> None:
        frames[table] = frame

    return change


def again_known(frames: Frames) -> None:
    """The prices of night 0 once more, as revision 0."""
    frames["prices"] = prices(0, ("AAA",)).assign(revision=0, known_at=stamp(now(2)), run_id="run-2")


def scores(backtest_id: str) -> pd.DataFrame:
    columns = TABLES["backtest_scores"].columns
    row = dict.fromkeys(columns, np.nan) | {
        "backtest_id": backtest_id,
        "ticker": "AAA",
        "model": "stacked",
        "step": 1,
        "n": 5,
    }
    return pd.DataFrame([row])


def value_row(**changed: object) -> pd.DataFrame:
    """A covariate's value of night 2."""
    row = {"name": "vix", "ticker": "*", "session": stamp(day(2)), "revision": 0, "value": 13.5}
    same = {"announced_at": pd.NaT, "source": "files", "known_at": stamp(now(2)), "run_id": "run-2"}
    return pd.DataFrame([row | same | changed])


def event_row(**changed: object) -> pd.DataFrame:
    """A date a year ahead."""
    row = {"kind": "fomc", "ticker": "*", "session": stamp(day(365)), "revision": 0, "expected": True}
    same = {"announced_at": pd.NaT, "source": "files", "known_at": stamp(now(2)), "run_id": "run-2"}
    return pd.DataFrame([row | same | {"value": np.nan} | changed])


def test_values_of_tonight_and_dates_to_come_are_stored(tmp_path: Path) -> None:
    store_night(tmp_path, 2, {**night(2), "covariates": value_row(), "events": event_row()})
    assert counts(tmp_path)["covariates"] == counts(tmp_path)["events"] == 1


def tomorrow() -> pd.Timestamp:
    return stamp(day(3))


BREACHES = {
    "a status row is missing": (
        drop("run_tickers", 1),
        "one run_tickers row for each ticker asked for: 1 found, .*1 rows for 2",
    ),
    "a ticker has no status row": (
        spoil("run_tickers", "ticker", "ZZZ"),
        "every forecast ticker has a status",
    ),
    "a ticker without a forecast has status none only": (
        drop("forecasts", 2, 3),
        "other than none has forecasts.*BBB",
    ),
    "a price is stored a second time": (
        again_known,
        "prices has its own ticker, session, revision: 1 found, .*AAA 2024-01-02 0",
    ),
    "a revision is skipped": (spoil("prices", "revision", 1), "revisions of a price are 0, 1, 2"),
    "a step is missing": (drop("forecasts", 1), "same steps, 1 to the horizon.*AAA has 1 steps from 1 to 1"),
    "a step is zero": (spoil("forecasts", "step", 0), "same steps, 1 to the horizon"),
    "target sessions run backwards": (
        spoil("forecasts", "target_session", stamp(day(2))),
        "follow its cutoff in order",
    ),
    "a model is unknown": (
        spoil("forecasts", "model_id", "model-nobody", [0, 1]),
        "model is in models.*AAA model-nobody",
    ),
    "a model is stored again": (
        put("models", pd.DataFrame([model_row("run-2", 2, model_id="model-run-1")])),
        "models has its own",
    ),
    "a price is of tomorrow": (spoil("prices", "session", tomorrow()), "no session of prices lies after"),
    "a covariate is of tomorrow": (
        put("covariates", value_row(session=tomorrow())),
        "no session of covariates lies after",
    ),
    "a covariate's revision is skipped": (
        put("covariates", value_row(revision=1)),
        "revisions of a covariate's value are 0, 1, 2",
    ),
    "a covariate is infinite": (
        put("covariates", value_row(value=float("inf"))),
        "covariates.value breaks must be finite",
    ),
    "a date is listed twice": (
        put("events", pd.concat([event_row(), event_row(expected=False)], ignore_index=True)),
        "events.* breaks|events has its own",
    ),
    "an event's revision is skipped": (
        put("events", event_row(revision=2)),
        "revisions of an event's date are 0, 1, 2",
    ),
    "a cutoff is of tomorrow": (
        spoil("forecasts", "cutoff", tomorrow(), [0, 1]),
        "follow its cutoff|no cutoff of forecasts",
    ),
    "a model has seen tomorrow": (
        spoil("models", "trained_through", tomorrow()),
        "no trained_through of models",
    ),
    "an outcome has no forecast": (
        put("forecast_outcomes", outcomes("run-9", "run-2", 2, 1)),
        "belongs to a forecast",
    ),
    "an outcome is of another session": (
        put("forecast_outcomes", outcomes("run-1", "run-2", 2, 0)),
        "belongs to a forecast",
    ),
    "an outcome is settled by another run": (
        put("forecast_outcomes", outcomes("run-1", "run-1", 2, 1)),
        "only its own rows",
    ),
    "a row is of another run": (
        spoil("prices", "run_id", "run-1"),
        "prices has 1 rows written by it, 2 were given",
    ),
    "scores have no backtest": (
        put("backtest_scores", scores("nobody")),
        "backtest_scores has 0 rows written by it, 1 were given",
    ),
    "drivers do not add up": (
        put("forecast_drivers", driver_rows(effect=0.0)),
        "drivers of a forecast add up.*AAA step 1 adds up to 0",
    ),
    "drivers are of no forecast": (
        put("forecast_drivers", driver_rows(ticker="ZZZ")),
        "drivers of a forecast add up.*ZZZ step 1",
    ),
    "a driver neither has a change nor says why": (
        put("forecast_drivers", driver_rows(why_no_change=None)),
        "drivers of a forecast add up",
    ),
    "quantiles cross": (spoil("forecasts", "q05", 300.0), "forecasts.*quantiles"),
    "a price is infinite": (spoil("prices", "close", np.inf), "prices.close breaks"),
    "a session has a time of day": (
        spoil("prices", "session", stamp(day(2)) + pd.Timedelta("4h")),
        "prices.session has a time of day",
    ),
    "a table is unknown": (put("secrets", pd.DataFrame({"x": [1]})), "secrets is not a table"),
    "there are two runs": (double("runs"), "runs.*unique|expected one row of runs"),
    "JSON is broken": (spoil("runs", "config", "{"), "runs has a value that does not fit: .*Malformed JSON"),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_run_that_breaks_a_rule_leaves_nothing_behind(workspace: Path, breach: str) -> None:
    before = counts(workspace)
    change, message = BREACHES[breach]
    frames = night(2)
    change(frames)
    with pytest.raises(AuditFailed, match=message) as caught:
        store_night(workspace, 2, frames)
    assert "\n" not in str(caught.value)
    assert counts(workspace) == before
    store_night(workspace, 2)
    assert counts(workspace)["runs"] == 3


def test_a_run_cannot_be_recorded_twice(workspace: Path) -> None:
    with pytest.raises(AuditFailed, match="expected a new run"):
        store_night(workspace, 1)


def test_outcomes_count_for_the_run_that_settled_them(workspace: Path) -> None:
    entry = store_night(workspace, 2, night(2) | {"forecast_outcomes": outcomes("run-1", "run-2", 2, 1)})
    assert entry["rows"]["forecast_outcomes"] == 2


def test_an_ingest_run_needs_no_forecasts(workspace: Path) -> None:
    frames = night(2, kind="ingest")
    entry = store_night(workspace, 2, {table: frames[table] for table in ("prices", "runs", "run_tickers")})
    assert entry["rows"] == {"prices": 2, "runs": 1, "run_tickers": 2}


def test_the_same_refused_row_may_come_twice(workspace: Path) -> None:
    refused = {
        "ticker": "AAA",
        "session": pd.NaT,
        "row": "no JSON, '; DROP TABLE prices; -- \u20ac",
        "origin": "AAA.csv line 3",
        "rule": "unreadable",
        "reason": "not a date",
        "run_id": "run-2",
        "known_at": stamp(now(2)),
        "released_at": pd.NaT,
        "field": None,
    }
    entry = store_night(workspace, 2, night(2) | {"quarantined_prices": pd.DataFrame([refused, refused])})
    assert entry["rows"]["quarantined_prices"] == 2
    assert ledger.read(workspace).runs()["run-2"]["rows"]["quarantined_prices"] == 2


def test_a_run_interrupted_between_two_tables_is_rolled_back(workspace: Path) -> None:
    before = counts(workspace)

    def stop(point: str) -> None:
        if point == "appended models":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store_night(workspace, 2, reached=stop)
    assert counts(workspace) == before
