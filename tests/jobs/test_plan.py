"""Tonight's work: who is worked on, with which parent, in which shards."""

import dataclasses
import datetime as dt

import numpy as np
import pandas as pd
import pytest

from forecast_lib.jobs.forecast.tickers import (
    Question,
    driver_table,
    forecast_shard,
    forecast_table,
    questions,
    weight_table,
)
from forecast_lib.jobs.ingest.new_prices import Problem
from forecast_lib.jobs.refresh.decisions import Decision, Lineage, Promoted
from forecast_lib.jobs.refresh.plan import label, plan_refresh, read_lineages, shards, with_pool
from forecast_lib.jobs.refresh.pool import KeptPool
from forecast_lib.jobs.workspace import models_folder
from forecast_lib.models.bundle import save, to_bytes
from forecast_lib.store.working.store import Store
from tests import made_up

FRIDAY = pd.Timestamp("2021-02-26")
SERIES = made_up.noisy(300)
BUNDLE = made_up.bundle()


@pytest.fixture
def config(tmp_path):
    return made_up.run_config(workspace=tmp_path)


@pytest.fixture
def known(config) -> dict[str, Lineage]:
    digest = save(BUNDLE, models_folder(config.workspace))
    return {"ACME": Lineage(Promoted("m1", digest, FRIDAY), FRIDAY, FRIDAY)}


def planned(config, known, market=None):
    (work,) = plan_refresh(config, market or made_up.market(SERIES), known)
    return work


def test_new_ticker_is_trained(config):
    work = planned(config, {})
    assert (work.decision, work.parent, work.parent_id) == (Decision("retrain", "no_model"), None, None)
    assert work.series is SERIES


def test_last_good_model_comes_along(config, known):
    work = planned(config, known)
    assert (work.decision, work.parent_id) == (Decision("skip", "recent"), "m1")
    assert work.parent is not None and to_bytes(work.parent) == to_bytes(BUNDLE)


def test_damaged_model_is_replaced(config, known):
    (path,) = models_folder(config.workspace).iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    work = planned(config, known)
    assert (work.decision, work.parent, work.parent_id) == (Decision("retrain", "model_damaged"), None, None)


def test_missing_model_is_replaced_but_not_where_only_forecasts_were_asked_for(config, known):
    (path,) = models_folder(config.workspace).iterdir()
    path.unlink()
    assert planned(config, known).decision == Decision("retrain", "model_damaged")
    asked = dataclasses.replace(config, strategy="forecast")
    assert planned(asked, known).decision == Decision("skip", "model_damaged")


@pytest.mark.parametrize("strategy", ["auto", "retrain", "fine-tune"])
def test_without_new_prices_nothing_is_trained(config, known, strategy):
    market = made_up.market(SERIES, problems={"ACME": Problem("SourceOutage", "HTTP 503")})
    work = planned(dataclasses.replace(config, strategy=strategy), known, market)
    assert work.decision == Decision("skip", "no_new_prices") and work.parent is not None


def test_training_goes_on_from_the_pool_or_from_the_last_good_model(config, known):
    kept = KeptPool(made_up.pool(), "ab" * 32)
    (anew,) = with_pool(plan_refresh(config, made_up.market(SERIES), {}), kept)
    assert (anew.start, anew.start_id, anew.pool_sha256) == (kept.pool, "ab" * 8, "ab" * 32)
    (tuned,) = with_pool(
        plan_refresh(dataclasses.replace(config, strategy="fine-tune"), made_up.market(SERIES), known), None
    )
    assert tuned.start is tuned.parent is not None and tuned.start_id == "m1"
    (kept_as_it_is,) = with_pool(plan_refresh(config, made_up.market(SERIES), known), kept)
    assert kept_as_it_is.start is None
    (lost,) = with_pool(plan_refresh(config, made_up.market(SERIES), {}), Problem("diverged", "NaN"))
    assert lost.start is None and lost.problem == Problem("diverged", "NaN")


def test_drift_of_the_loss_fits_a_model_anew(config, known):
    older = {"ACME": dataclasses.replace(known["ACME"], tried_through=FRIDAY - pd.Timedelta(days=14))}
    (work,) = plan_refresh(config, made_up.market(SERIES), older, frozenset({"ACME"}))
    assert work.decision == Decision("retrain", "drift")


def test_tickers_without_history_are_no_work(config):
    config = made_up.run_config("NONE", "TEN", "NINE", "ACME", workspace=config.workspace)
    market = made_up.market(
        made_up.noisy(9, ticker="NINE"), SERIES, made_up.noisy(10, ticker="TEN"), also=("NONE",)
    )
    assert [work.series.ticker for work in plan_refresh(config, market, {})] == ["TEN", "ACME"]


def test_registry_of_a_new_workspace_is_empty(config):
    with Store(config.workspace, config.as_of.now) as store:
        assert read_lineages(store, config) == {}


@pytest.mark.parametrize(
    ("items", "workers", "size", "lengths"),
    [
        (10, 2, 8, [3, 3, 3, 1]),  # 10 / (2 * 2), rounded up
        (100, 2, 8, [8] * 12 + [4]),
        (1, 4, 8, [1]),
        (3, 4, 8, [1, 1, 1]),
        (0, 2, 8, []),
    ],
)
def test_every_worker_gets_several_shards(config, items, workers, size, lengths):
    cut = shards(range(items), dataclasses.replace(config, workers=workers, shard_size=size))
    assert [len(shard) for shard in cut] == lengths
    assert [item for shard in cut for item in shard] == list(range(items))


def test_light_work_goes_in_larger_shards_but_still_to_every_worker(config):
    two = dataclasses.replace(config, workers=2, shard_size=16)
    assert [len(shard) for shard in shards(range(500), two, light=True)] == [125] * 4
    assert [len(shard) for shard in shards(range(10), two, light=True)] == [3, 3, 3, 1]


def test_shard_is_called_by_its_ends():
    assert (label(["A"]), label(["A", "B", "C"])) == ("A", "A..C")


def test_forecasts_name_the_sessions_they_are_for(config):
    config = made_up.run_config("ACME", "NINE", "TEN", workspace=config.workspace)
    market = made_up.market(SERIES, made_up.noisy(9, ticker="NINE"), made_up.noisy(10, ticker="TEN"))
    asked = questions(market, {"ACME": (BUNDLE, "m1")}, config.tickers)
    answers = [each.forecast for each in forecast_shard(asked, 2)]
    made = made_up.stored("forecasts", forecast_table(asked, answers, market, "run-1", dt.date(2024, 6, 3)))
    assert (
        made[["ticker", "made_by"]].to_numpy().tolist()
        == [["ACME", "combined"]] * 2 + [["TEN", "combined"]] * 2
    )
    # Friday, 26 February 2021 is followed by Monday and Tuesday; the tenth weekday of 2020's series is
    # Friday, 17 January, and Monday, 20 January 2020 is Martin Luther King Day, no session
    assert made["target_session"].tolist() == [
        pd.Timestamp(day) for day in ("2021-03-01", "2021-03-02", "2020-01-21", "2020-01-22")
    ]
    assert made["model_id"].isna().tolist() == [False, False, True, True]
    weights = made_up.stored("forecast_weights", weight_table(asked, answers, "run-1"))
    assert weights.groupby(["ticker", "step"])["weight"].sum().round(9).tolist() == [1.0] * 4
    assert weights.loc[weights["ticker"] == "ACME", "model"].unique().tolist() == ["lstm", "ewma", "naive"]
    assert weights.loc[weights["ticker"] == "TEN", "model"].unique().tolist() == ["har", "ewma", "naive"]
    product = (weights["weight"] * np.log(weights["q10"])).groupby([weights["ticker"], weights["step"]]).sum()
    np.testing.assert_allclose(np.exp(product), made["q10"])


def test_forecasts_of_nobody_are_an_empty_table(config):
    market = made_up.market(also=("ACME",))
    assert questions(market, {}, config.tickers) == []
    assert made_up.stored("forecasts", forecast_table([], [], market, "run-1", dt.date(2024, 6, 3))).empty
    assert made_up.stored("forecast_weights", weight_table([], [], "run-1")).empty
    assert made_up.stored("forecast_drivers", driver_table([], [], "run-1")).empty


def test_forecasts_are_the_same_whatever_the_shards():
    asked = [
        Question(made_up.noisy(300, seed, ticker=f"T{seed}"), BUNDLE if seed % 2 else None)
        for seed in range(4)
    ]
    whole = forecast_shard(asked, 2)
    for question, beside in zip(asked, whole, strict=True):
        alone = forecast_shard([question], 2)[0]
        assert np.array_equal(alone.forecast.forecasts.quantiles, beside.forecast.forecasts.quantiles)
        assert np.array_equal(alone.forecast.weights, beside.forecast.weights)
        assert np.array_equal(alone.drivers.effects, beside.drivers.effects)


def test_an_answer_holds_its_own_numbers_only():
    """Hundreds of cutoffs weigh the parts: with them thousands of answers were gigabytes."""
    (made,) = (each.forecast for each in forecast_shard([Question(SERIES, BUNDLE)], 2))
    for each in (made.forecasts, *made.parts.values()):
        for values in (each.cutoffs, each.point, each.sigma, each.quantiles):
            assert len(values) == 1
            assert values.base is None or values.base.nbytes == values.nbytes


def test_models_of_the_runs_own_evening_do_not_count_except_to_forecast(config, tmp_path):
    """A rerun of an evening must find what its first run found."""
    from forecast_lib.jobs.refresh.decisions import model_config_json
    from tests.store import nights

    evening = nights.night(0, tickers=("ACME",))
    row = evening["models"].iloc[[0]].assign(ticker="ACME", variant="lstm", promoted=True, parent_id=None)
    config = dataclasses.replace(config, as_of=nights.as_of(0))
    evening["models"] = row.assign(
        config=model_config_json(config), trained_as_of=pd.Timestamp(nights.day(0))
    )
    with Store(tmp_path, nights.now(0)) as store:
        store.record(evening)
        assert read_lineages(store, config) == {}
        asked = dataclasses.replace(config, strategy="forecast")
        assert read_lineages(store, asked)["ACME"].last_good is not None
        later = dataclasses.replace(config, as_of=nights.as_of(1))
        assert read_lineages(store, later)["ACME"].last_good is not None
        reseeded = dataclasses.replace(later, seed=5)
        assert read_lineages(store, reseeded)["ACME"] == Lineage(other_settings=True)
    assert dt.date(2024, 1, 2) == nights.day(0)


def test_log_of_trainings_is_of_earlier_evenings_and_the_same_settings(config, tmp_path):
    from forecast_lib.jobs.refresh.decisions import model_config_json
    from forecast_lib.store.working import database, reads
    from tests.store import nights

    evening, settings = nights.night(0, tickers=("ACME",)), model_config_json(config)
    row = (
        evening["models"]
        .iloc[[0]]
        .assign(ticker="ACME", variant="lstm", parent_id=None, config=settings, val_gain=0.02)
    )
    evening["models"] = row.assign(trained_as_of=pd.Timestamp(nights.day(0)))
    with database.open_working(tmp_path, nights.now(0)) as con:
        database.record_run(con, evening)
        known = nights.now(5)
        (found,) = reads.read_training_log(con, "lstm", settings, nights.day(1), known).to_dict("records")
        assert found == {"decision": "retrain", "val_gain": 0.02, "cost_seconds": 2.0}
        year_later = nights.day(0) + dt.timedelta(days=366)
        for other in (
            ("gru", settings, nights.day(1)),
            ("lstm", "{}", nights.day(1)),
            ("lstm", settings, nights.day(0)),
            ("lstm", settings, year_later),
        ):
            assert reads.read_training_log(con, *other, known).empty
        assert reads.read_training_log(
            con, "lstm", settings, nights.day(1), nights.now(0) - dt.timedelta(days=1)
        ).empty
