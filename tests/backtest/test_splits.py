"""Rolling origins: where folds begin and end."""

import pytest

from forecast_lib.backtest.splits import folds_of, known_at, rolling_folds
from forecast_lib.config import BacktestConfig, ModelConfig, TrainConfig
from forecast_lib.domain import MAX_HORIZON
from forecast_lib.errors import TooFewSessions
from forecast_lib.models.training import split_cutoffs
from tests import made_up


def test_one_fold_by_hand():
    (fold,) = rolling_folds(1000, 0.2, 1, "ACME")
    # 200 cutoffs; the last session, 999, has no outcome, so they end with 998 and begin with 799, the last of
    # 800 sessions known
    assert (fold.fit_sessions, fold.cutoffs) == (800, (799, 999))


@pytest.mark.parametrize(("sessions", "folds"), [(100, 1), (101, 2), (103, 3), (1000, 7), (50, 10)])
def test_folds_follow_each_other_without_gap_up_to_the_last_outcome(sessions, folds):
    made = rolling_folds(sessions, 0.2, folds, "ACME")
    assert len(made) == folds
    covered = [cutoff for fold in made for cutoff in range(*fold.cutoffs)]
    assert covered == list(range(covered[0], sessions - 1))
    assert len(covered) == round(sessions * 0.2)


def test_folds_are_as_equal_as_can_be():
    lengths = [last - first for first, last in (fold.cutoffs for fold in rolling_folds(103, 0.2, 6, "ACME"))]
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("folds", [1, 4])
def test_model_of_a_fold_knows_no_session_after_its_first_cutoff(folds):
    for fold in rolling_folds(300, 0.3, folds, "ACME"):
        assert fold.fit_sessions - 1 == fold.cutoffs[0]


@pytest.mark.parametrize(("sessions", "share", "folds"), [(10, 0.2, 3), (2, 0.9, 1), (1, 0.2, 1)])
def test_too_short_a_history_is_refused(sessions, share, folds):
    with pytest.raises(TooFewSessions, match=f"ACME: {sessions} sessions give"):
        rolling_folds(sessions, share, folds, "ACME")


def last_targets(known: int, model: ModelConfig, train: TrainConfig) -> tuple[int, int]:
    """Index of the last session whose return training, and validation, of so many known sessions has for a
    target.
    """
    split = split_cutoffs(known, model, train, "ACME")
    # the last cutoff's farthest step; a validation target beyond what is known is not there
    return split.training[1] - 1 + model.horizon, min(split.validation[1] - 1 + model.horizon, known - 1)


@pytest.mark.parametrize("horizon", [1, 5, MAX_HORIZON])
@pytest.mark.parametrize(("sessions", "validation"), [(300, 20), (300, 250), (4000, 250)])
def test_no_target_of_training_or_validation_lies_after_the_first_tested_cutoff(
    sessions, validation, horizon
):
    model, train = ModelConfig(horizon=horizon), TrainConfig(validation_sessions=validation)
    for embargo in (0, 1, horizon):
        (fold,) = rolling_folds(sessions, 0.1, 1, "ACME", embargo)
        training, judging = last_targets(fold.fit_sessions, model, train)
        # With 0 the cutoff's own close, which is known there and no part of a tested return.
        assert judging == fold.cutoffs[0] - embargo
        assert training < fold.cutoffs[0] - embargo - horizon


def test_embargo_keeps_the_tested_cutoffs_as_they_are():
    series = made_up.noisy(300)
    with_embargo, without = (folds_of(series, BacktestConfig(folds=2, embargo=embargo)) for embargo in (5, 0))
    assert [fold.cutoffs for fold in with_embargo] == [fold.cutoffs for fold in without]
    assert [fold.fit_sessions for fold in with_embargo] == [fold.fit_sessions - 5 for fold in without]


def test_embargo_that_leaves_nothing_to_know_is_refused():
    with pytest.raises(TooFewSessions):
        rolling_folds(100, 0.9, 1, "ACME", embargo=20)


def test_window_is_the_newest_of_what_is_known():
    series = made_up.noisy(300)
    rolling, first = known_at(series, 250, BacktestConfig(window_sessions=120))
    assert (len(rolling), first, rolling.sessions[-1]) == (120, 130, series.sessions[249])
    expanding, first = known_at(series, 250, BacktestConfig())
    assert (len(expanding), first) == (250, 0)
