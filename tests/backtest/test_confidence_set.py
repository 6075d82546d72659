"""The model confidence set: what must be in it, what must not, and how often it is wrong."""

import numpy as np
import pytest

from forecast_lib.backtest.confidence_set import confidence_set


def noise(times: int, models: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((times, models))


def worse(times: int, *by: float) -> np.ndarray:
    """Losses of as many models, each worse by so many standard deviations."""
    return noise(times, len(by)) + np.array(by)


def test_best_model_has_a_pvalue_of_one():
    losses = worse(300, 0.3, 0.0, 0.1, 0.2)
    assert confidence_set(losses)[losses.mean(axis=0).argmin()] == 1.0


def test_clearly_worse_models_are_out_and_equals_stay():
    pvalues = confidence_set(worse(500, 0.0, 0.0, 0.5, 1.0))
    assert (pvalues[:2] >= 0.1).all()
    assert (pvalues[2:] < 0.01).all()


def test_a_dropped_models_pvalue_is_never_above_that_of_one_dropped_later():
    losses = worse(400, 0.0, 0.05, 0.1, 0.2, 0.4)
    pvalues = confidence_set(losses)
    assert pvalues.argmin() == losses.mean(axis=0).argmax()
    assert sorted(pvalues)[-1] == 1.0


def test_same_losses_are_equally_good():
    one = noise(100, 1)
    assert confidence_set(np.hstack([one, one, one])).tolist() == [1.0, 1.0, 1.0]


def test_several_at_once_are_each_as_if_alone():
    losses = np.stack([worse(200, 0.0, 0.1, 0.3), worse(200, 0.3, 0.2, 0.0)])
    alone = np.stack([confidence_set(each) for each in losses])
    np.testing.assert_allclose(confidence_set(losses), alone, atol=0.002)


def test_a_shift_of_all_losses_and_their_unit_do_not_matter():
    losses = worse(200, 0.0, 0.1, 0.3)
    np.testing.assert_allclose(confidence_set(5.0 + 100 * losses), confidence_set(losses), atol=0.01)


def test_equal_models_are_rarely_split():
    """At 10 % the set loses an equal model in about one of ten histories; 60 histories: expected 6, more than
    13 in less than 1 of 300.
    """
    lost = sum((confidence_set(noise(150, 3, seed), seed=seed) < 0.1).any() for seed in range(60))
    assert lost <= 13


@pytest.mark.parametrize("together", [1, 25])
def test_neighbouring_times_that_repeat_each_other_prove_less(together):
    """The same twenty differences, each counted once or 25 times in a row: repeating them is no more
    evidence.
    """
    difference = np.repeat(0.35 + noise(20, 1, 3)[:, 0], together)
    pvalue = confidence_set(np.column_stack([np.zeros_like(difference), difference]))[1]
    once = confidence_set(np.column_stack([np.zeros(20), 0.35 + noise(20, 1, 3)[:, 0]]))[1]
    independent = (
        0.0005  # what 500 independent differences of that mean (0.35 of a standard deviation) would leave
    )
    assert pvalue > independent
    assert abs(pvalue - once) < 0.35
