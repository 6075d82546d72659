"""What is done about a ticker's model, trigger by trigger, and what the registry says about it."""

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast_lib.config import ModelConfig, RunConfig, TrainConfig
from forecast_lib.domain import AsOf, Ticker
from forecast_lib.jobs.refresh.decisions import (
    Decision,
    Lineage,
    Promoted,
    chunks_of,
    decide,
    lineages,
    model_config_json,
    worths,
)
from forecast_lib.sessions import calendar_for

NEW_YORK = calendar_for("AAPL")
CUTOFF = pd.Timestamp("2024-06-28")  # a Friday
TRAIN = TrainConfig(refit_sessions=60, fine_tune_every=5)
# Sessions of New York before it, from the exchange's calendar: Juneteenth (Wednesday, 19 June) is none
FOUR_AGO, FIVE_AGO = pd.Timestamp("2024-06-24"), pd.Timestamp("2024-06-21")
# April to June 2024 has 63 sessions, 22 + 22 + 19; so 60 sessions before 28 June is 3 April, the third of
# April
SIXTY_AGO, FIFTY_NINE_AGO = pd.Timestamp("2024-04-03"), pd.Timestamp("2024-04-04")


def good(trained: pd.Timestamp, retrained: pd.Timestamp | None = None) -> Lineage:
    return Lineage(
        Promoted("m1", "0" * 64, trained), trained, retrained if retrained is not None else trained
    )


@pytest.mark.parametrize(
    ("strategy", "lineage", "action", "trigger"),
    [
        ("auto", Lineage(), "retrain", "no_model"),
        ("auto", Lineage(other_settings=True), "retrain", "changed_settings"),
        ("auto", Lineage(tried_through=FOUR_AGO), "retrain", "no_model"),
        ("auto", good(CUTOFF), "skip", "recent"),
        ("auto", good(FOUR_AGO), "skip", "recent"),
        ("auto", good(FIVE_AGO), "fine_tune", "new_data"),
        ("auto", good(FIVE_AGO, FIFTY_NINE_AGO), "fine_tune", "new_data"),
        ("auto", good(FIVE_AGO, SIXTY_AGO), "retrain", "age"),
        # a retrain whose model lost to its parent is not done again tonight, nor as soon as a fine-tune is
        # due
        ("auto", Lineage(good(SIXTY_AGO).last_good, FOUR_AGO, FOUR_AGO), "skip", "recent"),
        ("auto", Lineage(good(SIXTY_AGO).last_good, FIVE_AGO, FIVE_AGO), "fine_tune", "new_data"),
        ("retrain", good(CUTOFF), "retrain", "asked_for"),
        ("fine-tune", good(CUTOFF), "fine_tune", "asked_for"),
        ("fine-tune", Lineage(), "retrain", "no_model"),
        ("fine-tune", Lineage(tried_through=FOUR_AGO), "retrain", "no_model"),
        ("forecast", Lineage(), "skip", "asked_for"),
        ("forecast", good(SIXTY_AGO), "skip", "asked_for"),
    ],
)
def test_decision(strategy, lineage, action, trigger):
    assert decide(strategy, lineage, NEW_YORK, CUTOFF, TRAIN) == Decision(action, trigger)


def test_age_is_counted_on_the_tickers_own_exchange():
    """A share that trades every day is fine-tuned after five days, one of New York after five sessions."""
    trained = good(pd.Timestamp("2024-06-23"))
    assert decide("auto", trained, calendar_for("BTC-USD"), CUTOFF, TRAIN).action == "fine_tune"
    assert decide("auto", good(FOUR_AGO), NEW_YORK, CUTOFF, TRAIN).action == "skip"


def row(
    model_id: str, day: str, *, ticker="ACME", promoted=True, parent=None, config="{}"
) -> dict[str, object]:
    return {
        "model_id": model_id,
        "ticker": ticker,
        "parent_id": parent,
        "trained_as_of": pd.Timestamp(day),
        "trained_through": pd.Timestamp(day),
        "config": config,
        "weights_sha256": model_id * 8,
        "promoted": promoted,
    }


def lineage(*rows: dict[str, object]) -> Lineage:
    return lineages(pd.DataFrame(rows), "{}")["ACME"]


def test_last_promoted_model_answers():
    found = lineage(row("a", "2024-06-03"), row("b", "2024-06-10"))
    assert found.last_good == Promoted("b", "b" * 8, pd.Timestamp("2024-06-10"))


def test_age_is_that_of_the_retrained_ancestor():
    found = lineage(
        row("a", "2024-06-03"), row("b", "2024-06-10", parent="a"), row("c", "2024-06-17", parent="b")
    )
    assert found.last_good is not None
    assert (found.last_good.model_id, found.anew_through) == ("c", pd.Timestamp("2024-06-03"))


def test_a_parent_that_is_no_model_of_the_ticker_is_a_pool():
    assert lineage(row("c", "2024-06-17", parent="pool")).anew_through == pd.Timestamp("2024-06-17")


def test_a_model_fitted_anew_that_was_refused_counts_as_fitted_anew():
    """Else it would be fitted again as soon as anything may be trained, week after week."""
    found = lineage(row("a", "2024-03-04"), row("b", "2024-06-03", promoted=False, parent="pool"))
    assert found.last_good is not None and found.last_good.model_id == "a"
    assert found.anew_through == pd.Timestamp("2024-06-03")


def test_refused_model_counts_as_tried():
    found = lineage(row("a", "2024-06-03"), row("b", "2024-06-10", promoted=False))
    assert found.last_good is not None and found.last_good.model_id == "a"
    assert found.tried_through == pd.Timestamp("2024-06-10")


def test_only_refused_models_leave_nobody_to_answer():
    assert lineage(row("a", "2024-06-03", promoted=False)) == Lineage(
        None, pd.Timestamp("2024-06-03"), pd.Timestamp("2024-06-03")
    )


def test_models_of_other_settings_are_no_models():
    assert lineage(row("a", "2024-06-03", config="other")) == Lineage(other_settings=True)


def test_evening_run_twice_finds_what_its_first_run_made():
    found = lineage(row("first", "2024-06-03"), row("again", "2024-06-03"))
    assert found.last_good is not None and found.last_good.model_id == "first"


def test_each_ticker_has_its_own_lineage():
    found = lineages(
        pd.DataFrame([row("a", "2024-06-03"), row("b", "2024-06-10", ticker="OTHER", promoted=False)]), "{}"
    )
    assert found["ACME"].last_good is not None and found["OTHER"].last_good is None


def config(**more) -> RunConfig:
    now = dt.datetime(2024, 6, 28, 22, tzinfo=dt.UTC)
    return RunConfig("run-1", Path("w"), (Ticker("ACME"),), AsOf(now.date(), now, now), **more)


def test_models_are_of_one_kind_by_network_training_and_seed():
    plain = model_config_json(config())
    assert plain == model_config_json(config(workers=7, strategy="retrain"))
    for other in (config(seed=1), config(model=ModelConfig(units=51)), config(train=TrainConfig(epochs=13))):
        assert model_config_json(other) != plain


def log(*kinds: tuple[str, float, float], n: int = 40) -> pd.DataFrame:
    """Trainings of each kind: mean gain, seconds; gains scatter by 0.01, so that the standard error of 40 is
    0.0016.
    """
    scatter = np.resize([-0.01, 0.01], n)
    return pd.concat(
        [
            pd.DataFrame({"decision": kind, "val_gain": gain + scatter, "cost_seconds": cost})
            for kind, gain, cost in kinds
        ]
    )


CHUNKS = {"fine_tune": 100.0, "retrain": 300.0}


@pytest.mark.parametrize(
    ("past", "action", "trigger"),
    [
        (log(("fine_tune", 0.01, 1.0)), "fine_tune", "new_data"),
        (log(("fine_tune", 0.001, 1.0)), "skip", "no_gain"),  # within its standard error
        (log(("fine_tune", -0.01, 1.0)), "skip", "no_gain"),
        # retraining, thrice the work, gains five times as much.
        (log(("fine_tune", 0.01, 1.0), ("retrain", 0.05, 1.0)), "skip", "no_gain"),
        (log(("fine_tune", 0.01, 1.0), ("retrain", 0.02, 1.0)), "fine_tune", "new_data"),
        (log(("fine_tune", -0.01, 1.0), n=29), "fine_tune", "new_data"),  # too few to say
    ],
)
def test_fine_tuning_goes_on_where_the_log_of_past_gains_pays_for_its_seconds(past, action, trigger):
    made = decide("auto", good(FIVE_AGO), NEW_YORK, CUTOFF, TRAIN, log=worths(past, CHUNKS))
    assert (made.action, made.trigger) == (action, trigger)
    assert (made.worth is None) == (len(past) < 30)
    assert (
        decide("fine-tune", good(FIVE_AGO), NEW_YORK, CUTOFF, TRAIN, log=worths(past, CHUNKS)).action
        == "fine_tune"
    )
    assert (
        decide("auto", good(FIVE_AGO, SIXTY_AGO), NEW_YORK, CUTOFF, TRAIN, log=worths(past, CHUNKS)).trigger
        == "age"
    )


def test_work_is_counted_in_chunks_by_hand():
    # 3 networks * 2 epochs * 2 steps * 16 chunks = 192; the pool: 3 * 30 * 20 * 32 = 57,600, for a hundred
    # tickers 576 each
    assert chunks_of(TrainConfig(), 100) == {"fine_tune": 192, "retrain": 768}
