"""A shard of models: who answers, why, and that each ticker stands alone."""

import dataclasses

import numpy as np
import pytest

from forecast_lib.jobs.ingest.new_prices import Problem
from forecast_lib.jobs.refresh.decisions import Decision
from forecast_lib.jobs.refresh.models import Refreshed, Work, refresh_shard
from forecast_lib.models.bundle import to_bytes
from tests import made_up
from tests.made_up import MODEL, TRAIN

RETRAIN = Decision("retrain", "no_model")
SKIP = Decision("skip", "recent")
HARMFUL = made_up.bundle(location=2.0, shrinkage=1.0)
"""Calls a rise of nearly one standard deviation every day."""


def skilled():
    """A rise of one per cent a session, plus or minus a little, and a model that knows it."""
    random = np.random.default_rng(2)
    series = made_up.closes_only(100 * np.exp(np.cumsum(0.01 + 0.002 * random.standard_normal(300))))
    return series, made_up.bundle(location=2.0)


POOL = made_up.pool()


def started(work: Work) -> Work:
    """With what the flow gives it to go on from: the pool, or its own last model."""
    if work.decision.action == "skip":
        return work
    own = work.decision.action == "fine_tune"
    return dataclasses.replace(
        work, start=work.parent if own else POOL, start_id=work.parent_id if own else "p1"
    )


def refreshed(*works: Work, model=MODEL, train=TRAIN) -> list[Refreshed]:
    return refresh_shard([started(work) for work in works], model, train, 1)


def one(work: Work) -> Refreshed:
    return refreshed(work)[0]


def test_skipped_ticker_is_answered_by_its_last_good_model():
    series, parent = skilled()
    result = one(Work(series, SKIP, parent, "m1"))
    assert (
        result.served is parent
        and not result.served_new
        and result.trained is None
        and result.problem is None
    )


def test_ticker_without_any_model_says_so():
    result = one(Work(made_up.noisy(300), SKIP))
    assert result.served is None and result.problem is not None and result.problem.rule == "no_model"


def test_ticker_whose_pool_could_not_be_trained_says_why():
    lost = Problem("diverged", "the pooled network could not be trained")
    work = dataclasses.replace(Work(made_up.noisy(300), RETRAIN), problem=lost)
    assert refresh_shard([work], MODEL, TRAIN, 1)[0].problem == lost


def test_new_model_answers_and_has_its_validation():
    result = one(Work(made_up.noisy(300), RETRAIN))
    assert result.trained is not None and result.validation is not None and result.validation.n > 0
    assert result.served is result.trained.bundle and result.served_new and result.problem is None


def test_worse_parent_gives_way_to_the_new_model():
    with_parent, alone = (
        one(Work(made_up.noisy(300), RETRAIN, HARMFUL, "m1")),
        one(Work(made_up.noisy(300), RETRAIN)),
    )
    assert with_parent.validation == alone.validation and with_parent.served_new
    assert with_parent.gain > 0 and alone.gain is None


def test_better_of_parent_and_new_model_answers():
    series, parent = skilled()  # two small epochs do not find what the parent knows
    result = one(Work(series, RETRAIN, parent, "m1"))
    assert result.trained is not None and result.served is parent and not result.served_new
    assert result.problem is None


def test_training_that_fails_leaves_the_parent_and_says_why():
    series, parent = skilled()
    other = made_up.bundle(location=2.0, horizon=2)
    # Another shape: no fine-tuning.
    wrong = dataclasses.replace(other, network=dataclasses.replace(other.network, dropout=0.5))
    result = one(Work(series, Decision("fine_tune", "new_data"), wrong, "m1"))
    assert result.problem is not None and result.problem.rule == "parent_shape"
    assert result.served is wrong and result.trained is None
    assert parent is not wrong


@pytest.mark.parametrize(
    ("kind", "sessions", "rule"),
    [("constant", 400, "constant"), ("closes only", 50, "too_short"), ("closes only", 10, "too_short")],
)
def test_ticker_that_cannot_be_trained_says_why(kind, sessions, rule):
    result = one(Work(made_up.ODD[kind].until(sessions), RETRAIN))
    assert result.served is None and result.problem is not None and result.problem.rule == rule


def test_fine_tuned_model_descends_from_its_parent():
    series = made_up.noisy(300)
    parent = made_up.bundle()
    result = one(Work(series, Decision("fine_tune", "new_data"), parent, "m1"))
    assert result.trained is not None and (result.parent_id, result.start_id) == ("m1", "m1")


def bad_tickers() -> list[Work]:
    diverging = made_up.bundle()
    diverging.members[0]["rnn0/kernel"].fill(np.inf)
    broken = dataclasses.replace(made_up.noisy(300, ticker="BROKEN"), close=np.array([1.0]))
    return [
        Work(made_up.closes_only(np.full(300, 5.0), "FROZEN"), RETRAIN),
        Work(made_up.noisy(12, ticker="SHORT"), RETRAIN),
        Work(made_up.noisy(300, ticker="WILD"), Decision("fine_tune", "new_data"), diverging, "m1"),
        Work(broken, RETRAIN),
    ]


# The wild ticker's infinite weights reach NumPy too, when its parent is judged.
infinite = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@infinite
def test_one_bad_ticker_changes_nothing_for_the_others():
    works = [Work(made_up.noisy(300, seed, ticker=f"T{seed}"), RETRAIN) for seed in range(3)]
    alone = [refreshed(work)[0] for work in works]
    mixed = refreshed(bad_tickers()[0], works[0], *bad_tickers()[1:], works[2], works[1])
    by_ticker = {result.ticker: result for result in mixed}
    assert len(mixed) == 7
    for result in alone:
        other = by_ticker[result.ticker]
        assert result.trained is not None and other.trained is not None
        assert to_bytes(result.trained.bundle) == to_bytes(other.trained.bundle)
        assert (result.validation, result.problem) == (other.validation, other.problem)


@infinite
def test_each_bad_ticker_has_its_own_problem():
    results = {result.ticker: result for result in refreshed(*bad_tickers())}
    assert {ticker: result.problem.rule for ticker, result in results.items() if result.problem} == {
        "FROZEN": "constant",
        "SHORT": "too_short",
        "WILD": "diverged",
        "BROKEN": "internal_error",
    }
    served = {ticker for ticker, result in results.items() if result.served}
    assert served == {"WILD"}  # by its last good model


def test_order_of_the_shard_does_not_matter():
    works = [Work(made_up.noisy(300, seed, ticker=f"T{seed}"), RETRAIN) for seed in range(3)]
    forward = {
        result.ticker: to_bytes(result.trained.bundle) for result in refreshed(*works) if result.trained
    }
    backward = {
        result.ticker: to_bytes(result.trained.bundle) for result in refreshed(*works[::-1]) if result.trained
    }
    assert forward == backward and len(forward) == 3
