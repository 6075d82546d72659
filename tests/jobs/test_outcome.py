"""One status row a ticker, and the rows of models and of the run."""

import dataclasses
import datetime as dt
import json

import pandas as pd
import pytest

from forecast_lib.backtest.validation import Validation
from forecast_lib.jobs.ingest.ends import End
from forecast_lib.jobs.ingest.new_prices import Problem
from forecast_lib.jobs.record.status_rows import devices, model_rows, run_row, status_rows
from forecast_lib.jobs.record.statuses import degraded
from forecast_lib.jobs.refresh.decisions import Decision, Worth
from forecast_lib.jobs.refresh.models import Refreshed
from forecast_lib.jobs.refresh.pool import KeptPool
from forecast_lib.models.engine import Fit
from forecast_lib.models.training import Split, Trained
from tests import made_up

BUNDLE = made_up.bundle()
RETRAIN, SKIP = Decision("retrain", "no_model"), Decision("skip", "recent")
VALIDATION = Validation(60, 0.01, 0.01, 0.9, 1.0, 0.8, 0.95)
TRAINED = Trained(BUNDLE, Split((31, 237), (239, 299)), True, 2, (1.0, 0.9), 0.5, "Numba CPU")
FRIDAY = dt.date(2021, 2, 26)
"""The last of the 300 weekdays of `made_up` series."""
SERIES = made_up.noisy(300)


def served(problem: Problem | None = None, *, new: bool = False) -> Refreshed:
    return Refreshed("ACME", SKIP, BUNDLE, new, "m1", None, None, VALIDATION, problem)


def status(
    refreshed: Refreshed | None,
    *,
    problem: Problem | None = None,
    day=FRIDAY,
    answered=True,
    kind="nightly",
    end: End | None = None,
    flags: tuple[str, ...] = (),
) -> pd.Series:
    market = made_up.market(SERIES, problems={"ACME": problem} if problem else None)
    market = dataclasses.replace(market, ended={"ACME": end} if end else {}, flags={"ACME": flags})
    rows = status_rows(
        market,
        {"ACME": refreshed} if refreshed else {},
        {"ACME": "m1"} if refreshed and refreshed.served else {},
        frozenset({"ACME"} if answered else ()),
        made_up.run_config(day=day),
        kind,
    )
    assert len(made_up.stored("run_tickers", rows)) == 1
    return rows.iloc[0]


def test_served_on_fresh_prices_is_fresh():
    row = status(served())
    assert (row["status"], row["reason"], row["model_id"], row["made_by"]) == (
        "fresh",
        None,
        "m1",
        "combined",
    )
    assert (row["decision"], row["trigger"], row["sessions_behind"]) == ("skip", "recent", 0)
    assert (row["last_session"], row["calendar"]) == (pd.Timestamp(FRIDAY), "XNYS")


@pytest.mark.parametrize(
    ("day", "behind", "reason"),
    [
        (dt.date(2021, 2, 28), 0, None),  # Sunday
        (dt.date(2021, 3, 1), 1, "prices are 1 session behind; the next run asks for them again"),
        (dt.date(2021, 3, 3), 3, "prices are 3 sessions behind; the next run asks for them again"),
    ],
)
def test_old_prices_are_counted(day, behind, reason):
    row = status(served(), day=day)
    assert (row["sessions_behind"], row["reason"], row["status"]) == (
        behind,
        reason,
        "last_good" if behind else "fresh",
    )


def test_source_that_failed_is_named_first():
    row = status(
        served(Problem("diverged", "a weight became NaN")), problem=Problem("SourceOutage", "HTTP 503")
    )
    assert row["status"] == "last_good"
    assert row["reason"] == "SourceOutage: HTTP 503; diverged: a weight became NaN"


def test_model_that_answers_although_tonights_training_failed_is_the_last_good():
    row = status(served(Problem("diverged", "a weight became NaN")))
    assert (row["status"], row["made_by"]) == ("last_good", "combined")


def test_without_a_network_to_be_asked_a_ticker_is_naive_with_the_reason():
    row = status(Refreshed("ACME", RETRAIN, problem=Problem("too_short", "60 sessions of history")))
    assert (row["status"], row["made_by"], row["reason"]) == (
        "naive",
        "combined",
        "too_short: 60 sessions of history",
    )
    assert row["model_id"] is None
    assert status(None)["reason"] == "no network answers"


def test_the_first_run_after_an_end_says_so_with_what_to_do_and_later_ones_only_mention_it():
    end = End(
        pd.Timestamp("2021-01-28"), "ended: no row since 2021-01-28, 20 sessions ago; take it off the list"
    )
    first, later = (
        status(None, answered=False, end=dataclasses.replace(end, said_before=said)) for said in (False, True)
    )
    assert (first["status"], first["reason"], first["flags"]) == (
        "ended",
        end.reason,
        "ended since 2021-01-28",
    )
    assert (later["status"], later["reason"], later["flags"]) == ("ended", None, "ended since 2021-01-28")
    assert degraded((row["status"], row["reason"]) for row in (first, later)) == [True, False]


def test_what_is_odd_about_a_fresh_ticker_is_a_flag_and_degrades_nothing():
    row = status(
        served(), flags=("real move of +104 % on 2021-02-25", "a split of 2:1 inferred for 2021-02-22")
    )
    assert (row["status"], row["reason"]) == ("fresh", None)
    assert row["flags"] == "real move of +104 % on 2021-02-25; a split of 2:1 inferred for 2021-02-22"


def test_no_forecast_is_none():
    row = status(None, answered=False)
    assert (row["status"], row["made_by"], row["reason"]) == ("none", None, "no prices are known")


def test_ingest_has_no_models_that_answer():
    row = status(None, kind="ingest")
    assert (row["status"], row["made_by"]) == ("fresh", None)
    assert status(None, kind="ingest", problem=Problem("SourceOutage", "HTTP 503"))["status"] == "last_good"


def test_every_ticker_asked_for_has_exactly_one_row_in_order():
    config = made_up.run_config("ZZZ", "ACME", "AAA")
    market = made_up.market(SERIES, problems={"ZZZ": Problem("unknown", "no such ticker")}, also=("ZZZ",))
    rows = status_rows(market, {"ACME": served()}, {"ACME": "m1"}, frozenset({"ACME"}), config, "nightly")
    assert rows[["ticker", "status"]].to_numpy().tolist() == [
        ["ZZZ", "none"],
        ["ACME", "fresh"],
        ["AAA", "none"],
    ]
    assert rows["reason"].fillna("-").tolist() == ["unknown: no such ticker", "-", "no prices are known"]
    assert len(made_up.stored("run_tickers", rows)) == 3


def models(*refreshed: Refreshed, pool: KeptPool | None = None) -> pd.DataFrame:
    weights = {each.ticker: "ab" * 32 for each in refreshed if each.trained}
    return model_rows(refreshed, weights, pool, made_up.run_config(), "{}")


def test_promoted_model_is_recorded_with_its_scores():
    rows = models(Refreshed("ACME", RETRAIN, BUNDLE, True, "m0", "p1", TRAINED, VALIDATION))
    row = made_up.stored("models", rows).iloc[0]
    assert (row["model_id"], row["promoted"], row["val_n"]) == ("ab" * 8, True, 60)
    # A retrained model descends from the pool, though "m0" stood ready to answer.
    assert row["parent_id"] == "p1"
    assert (row["val_pinball"], row["val_pinball_naive"], row["shrinkage"]) == (0.9, 1.0, 1.0)
    assert row["trained_as_of"] == pd.Timestamp(FRIDAY) and row["trained_through"] == pd.Timestamp(
        "2024-01-02"
    )


def test_fine_tuned_model_names_its_parent():
    rows = models(
        Refreshed("ACME", Decision("fine_tune", "new_data"), BUNDLE, True, "m0", "m0", TRAINED, VALIDATION)
    )
    assert rows["parent_id"].tolist() == ["m0"]


def test_model_that_lost_to_its_parent_says_so():
    row = models(Refreshed("ACME", RETRAIN, made_up.bundle(), False, "m0", "p1", TRAINED, VALIDATION)).iloc[0]
    assert not row["promoted"]
    assert row["gate_reason"] == "validation pinball 0.9000 of naive; the parent's is lower, so it stays"


def test_pool_trained_tonight_has_a_row_of_its_own_and_a_kept_one_has_none():
    fit = Fit(made_up.pool().members[0], 2, 3, (1.0, 0.9, 0.9), (1.0, 0.9, 0.95, 0.96), 0.5, "kernel")
    rows = made_up.stored("models", models(pool=KeptPool(made_up.pool(), "cd" * 32, (fit, fit))))
    assert rows[["model_id", "ticker", "variant", "epochs", "promoted"]].to_numpy().tolist() == [
        ["cd" * 8, "*", "lstm", 3, True]
    ]
    assert models(pool=KeptPool(made_up.pool(), "cd" * 32)).empty


def test_decision_has_its_cost_and_the_gain_that_validation_promises():
    row = status(Refreshed("ACME", RETRAIN, BUNDLE, True, None, "p1", TRAINED, VALIDATION, seconds=1.5))
    assert row["cost_seconds"] == 1.5 and row["expected_gain"] == pytest.approx(0.1)  # 0.9 of naive's 1.0
    assert status(served())["expected_gain"] == pytest.approx(0.1)
    assert status(Refreshed("ACME", SKIP, BUNDLE))["expected_gain"] is None


def test_night_without_training_has_no_model_rows():
    assert models(served()).empty
    assert made_up.stored("models", models(served())).empty


def test_what_trained_and_what_answered_is_said_once_each():
    fit = Fit(made_up.pool().members[0], 2, 3, (1.0,), (1.0, 0.9), 0.5, "tensorflow-gpu", "NVIDIA H100")
    pool = KeptPool(made_up.pool(), "cd" * 32, (fit, fit))
    trained = Refreshed("ACME", RETRAIN, BUNDLE, True, None, "p1", TRAINED, VALIDATION)
    both = {"trained_by": "Numba CPU, TensorFlow GPU NVIDIA H100", "answered_by": "Numba CPU"}
    assert devices([trained, trained], pool) == both
    assert devices([served()], None) == {"answered_by": "Numba CPU"}
    assert devices([Refreshed("ACME", SKIP)], None) == {}
    assert devices([], None, {"TensorFlow CPU"}) == {"trained_by": "TensorFlow CPU"}


@pytest.mark.parametrize(
    ("statuses", "status", "degraded", "message"),
    [
        (["fresh", "fresh"], "fresh", 0, "2 of 2 tickers fresh"),
        (["fresh", "naive", "last_good", "none"], "degraded", 3, "1 of 4 tickers fresh"),
        (["naive"], "degraded", 1, "0 of 1 tickers fresh"),
        (["none", "none"], "failed", 2, "no ticker has usable prices"),
        (["fresh", "ended", "ended since long"], "degraded", 1, "1 of 3 tickers fresh; 2 ended"),
        (["fresh", "ended since long"], "fresh", 0, "1 of 2 tickers fresh; 1 ended"),
        (
            ["ended", "none"],
            "failed",
            2,
            "no ticker has usable prices; 1 ended, give --as-of to look from an earlier evening",
        ),
    ],
)
def test_run_is_as_good_as_its_tickers(statuses, status, degraded, message):
    reasons = [None if " " in each else "why" for each in statuses]
    row = run_row(
        made_up.run_config(),
        "nightly",
        pd.DataFrame({"status": [each.partition(" ")[0] for each in statuses], "reason": reasons}),
        finished_at=pd.Timestamp("2021-02-26 22:40"),
        prices_hash=None,
        forecasts_hash=None,
        seconds={"ingest": 1.23456},
        computed_by={"trained_by": "TensorFlow GPU NVIDIA H100"},
    )
    valid = made_up.stored("runs", row).iloc[0]
    assert (valid["status"], valid["degraded"], valid["message"]) == (status, degraded, message)
    assert (
        valid["started_at"] == pd.Timestamp("2021-02-26 22:30")
        and valid["seconds_per_stage"] == '{"ingest": 1.235}'
    )
    assert json.loads(valid["libraries"])["trained_by"] == "TensorFlow GPU NVIDIA H100"


def test_gain_over_the_model_before_and_a_decision_by_the_log_are_recorded():
    made = Refreshed("ACME", RETRAIN, BUNDLE, True, "m0", "p1", TRAINED, VALIDATION, gain=0.02)
    assert models(made)["val_gain"].tolist() == [0.02]
    row = status(
        Refreshed("ACME", Decision("skip", "no_gain", Worth(0.001, 0.002, 576, 1.5)), BUNDLE, parent_id="m1")
    )
    assert (row["status"], row["expected_gain"], row["expected_seconds"]) == ("fresh", 0.001, 1.5)
