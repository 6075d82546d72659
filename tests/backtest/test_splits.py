"""Rolling origins: where folds begin and end."""

import pytest

from forecast_lib.backtest.splits import rolling_folds
from forecast_lib.errors import TooFewSessions


def test_one_fold_by_hand():
    (fold,) = rolling_folds(1000, 0.2, 1, "ACME")
    # 200 cutoffs; the last session, 999, has no outcome, so they end with 998 and begin with 799, the last of 800 sessions known
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
