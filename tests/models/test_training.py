"""One ticker's training: what is fitted on, what is held out, and that the future and other tickers have no
say.
"""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from forecast_lib.config import TrainConfig
from forecast_lib.errors import TickerError, TooFewSessions, UsageError
from forecast_lib.models import training
from forecast_lib.models.bundle import to_bytes
from forecast_lib.models.training import (
    first_cutoff,
    join_pool,
    network_of,
    split_cutoffs,
    ticker_seed,
    train,
    train_alone,
    train_member,
)
from forecast_lib.windows.features import session_features
from forecast_lib.windows.scaling import future_log_returns
from forecast_lib.windows.sequences import corpus, framing_for, sample
from forecast_lib.windows.volatility_inputs import volatility_inputs
from tests import made_up
from tests.made_up import MODEL, TRAIN

pytestmark = pytest.mark.slow


def trained(series, seed=1):
    return train_alone(series, MODEL, TRAIN, seed=seed)


def same_weights(first, second) -> bool:
    return all(
        one[name].tobytes() == other[name].tobytes()
        for one, other in zip(first, second, strict=True)
        for name in one
    )


def test_split_by_hand():
    # First cutoff 22 + 10 - 1 = 31; the last with an outcome is 298, so validation is 239 to 298; training
    # ends 2 sessions before
    split = split_cutoffs(300, MODEL, TRAIN, "ACME")
    assert (split.training, split.validation) == ((31, 237), (239, 299))


def test_short_history_holds_out_a_quarter():
    split = split_cutoffs(132, MODEL, TRAIN, "ACME")  # (131 - 31) // 4 = 25
    assert split.validation == (106, 131)


def test_last_session_is_no_cutoff_and_the_one_before_it_is():
    # exclusive: the last is 298, its outcome 299.
    assert split_cutoffs(300, MODEL, TRAIN, "ACME").validation[1] == 299


@pytest.mark.parametrize("horizon", [1, 2, 5, 20])
@pytest.mark.parametrize("sessions", [200, 1000])
def test_no_training_target_touches_a_session_of_validation(horizon, sessions):
    split = split_cutoffs(sessions, dataclasses.replace(MODEL, horizon=horizon), TRAIN, "ACME")
    last_target_session = split.training[1] - 1 + horizon
    assert last_target_session < split.validation[0]


def shortest(config) -> int:
    for sessions in range(40, 3000):
        try:
            split_cutoffs(sessions, config, TRAIN, "ACME")
        except TooFewSessions:
            continue
        return sessions
    raise AssertionError("no history is long enough")


@pytest.mark.parametrize(("lookback", "horizon"), [(10, 2), (60, 5), (60, 20)])
def test_refusal_names_the_sessions_needed_within_a_few(lookback, horizon):
    config = dataclasses.replace(MODEL, lookback=lookback, horizon=horizon)
    needed = shortest(config)
    with pytest.raises(
        TooFewSessions, match=f"ACME: {needed - 1} sessions of history, but a window of {lookback}"
    ) as caught:
        split_cutoffs(needed - 1, config, TRAIN, "ACME")
    said = int(caught.value.reason.split("need about ")[1].split()[0])
    assert needed <= said <= needed + 3
    assert caught.value.rule == "too_short"


@pytest.mark.parametrize("sessions", [1, 10, 33])
def test_hardly_any_history_is_too_short(sessions):
    with pytest.raises(TooFewSessions):
        trained(made_up.noisy(sessions))


def test_horizon_longer_than_the_data_is_too_short():
    with pytest.raises(TooFewSessions, match="horizon of 20"):
        train_alone(made_up.noisy(15), dataclasses.replace(MODEL, horizon=20), TRAIN, seed=1)


def test_prices_that_stand_still_teach_nothing():
    with pytest.raises(
        TickerError, match="ACME: 100% of the last 250 closes repeat the one before"
    ) as caught:
        trained(made_up.ODD["constant"])
    assert caught.value.rule == "constant"


def test_seed_is_the_tickers_own():
    # SHA-256 by sha256sum: printf 7/ACME -> first 8 hex digits, modulo 2^31
    assert ticker_seed(7, "ACME") == int("ac286670", 16) % 2**31
    assert len({ticker_seed(7, "ACME"), ticker_seed(8, "ACME"), ticker_seed(7, "ACMF")}) == 3


def test_same_series_and_seed_give_the_same_bundle_byte_for_byte():
    series = made_up.noisy(300)
    assert (
        to_bytes(trained(series).bundle)
        == to_bytes(trained(series).bundle)
        != to_bytes(trained(series, seed=2).bundle)
    )


def test_side_by_side_is_the_same_as_one_after_the_other():
    many = [made_up.noisy(300, seed, ticker=f"T{seed}") for seed in range(6)]
    alone = [to_bytes(trained(series).bundle) for series in many]
    with ThreadPoolExecutor(2) as threads:
        together = [to_bytes(each.bundle) for each in threads.map(trained, many)]
    assert together == alone


def test_bundle_says_what_it_has_seen():
    bundle = trained(made_up.noisy(300)).bundle
    # 300 weekdays from Monday, 6 January 2020: 59 weeks and 5 days.
    assert bundle.trained_through == "2021-02-26"
    assert bundle.network == network_of(MODEL)
    other = made_up.noisy(300)
    other.volume[5] += 1
    assert trained(other).bundle.data_sha256 != bundle.data_sha256


def test_validation_does_not_reach_the_gradient():
    """Other prices in the validation part: the same batches to learn from, the same volatility scale."""
    series = made_up.noisy(300)
    split = split_cutoffs(300, MODEL, TRAIN, "ACME")
    last_seen = split.training[1] - 1 + MODEL.horizon
    here, there = trained(series), trained(made_up.scrambled(series, last_seen))
    assert here.bundle.scale.coefficients.tobytes() == there.bundle.scale.coefficients.tobytes()
    assert here.validation_loss != there.validation_loss
    drawn = [
        _epoch(each, here.bundle.scale, split.training)
        for each in (series, made_up.scrambled(series, last_seen))
    ]
    for part in ("inputs", "targets", "weights"):
        assert getattr(drawn[0], part).tobytes() == getattr(drawn[1], part).tobytes()


def _epoch(series, scale, cutoffs):
    features = session_features(series)
    scores = future_log_returns(features.log_close, MODEL.horizon) / scale.sigma(volatility_inputs(series))
    framing = framing_for(MODEL.lookback, looks_back=False)
    return sample(corpus([(features.values, scores, cutoffs)]), framing, (3, 4), np.random.default_rng(0))


def test_weights_after_fixed_epochs_do_not_depend_on_validation(monkeypatch):
    """With the choice of the epoch taken away, other prices in the validation part leave every weight as it
    was.
    """
    from forecast_lib.models import engine

    chosen = engine.fit

    def last_epoch(network, framing, start, batches, validation, schedule, **more):
        return chosen(
            network, framing, start, batches, None, dataclasses.replace(schedule, patience=None), **more
        )

    monkeypatch.setattr(engine, "fit", last_epoch)
    series = made_up.noisy(300)
    last_seen = split_cutoffs(300, MODEL, TRAIN, "ACME").training[1] - 1 + MODEL.horizon
    here, there = (
        train_member([each], MODEL, TRAIN, seed=1, member=0).weights
        for each in (series, made_up.scrambled(series, last_seen))
    )
    assert same_weights([here], [there])
    sooner = train_member(
        [made_up.scrambled(series, last_seen - 20)], MODEL, TRAIN, seed=1, member=0
    ).weights  # the test would notice
    assert not same_weights([here], [sooner])


def test_sessions_after_the_evening_do_not_exist():
    series, evening = made_up.noisy(320), 300
    other = made_up.scrambled(series, evening - 1)
    assert to_bytes(trained(series.until(evening)).bundle) == to_bytes(trained(other.until(evening)).bundle)


def test_shrinkage_looks_at_validation_only():
    series = made_up.noisy(300)
    split = trained(series).split
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            training,
            "shrinkage_of",
            lambda location, score: seen.append((location, score)) or np.zeros(MODEL.horizon),
        )
        trained(series)
    location, score = seen[0]
    assert len(location) == len(score) == split.validation[1] - split.validation[0]
    # The last validation cutoff is the last session but one: its second step is not known.
    assert np.isnan(score).sum(axis=0).tolist() == [0, 1]


def test_members_of_a_pool_differ_and_learn_from_all_tickers():
    many = [made_up.noisy(300, seed, ticker=f"T{seed}") for seed in range(3)]
    first, second = (train_member(many, MODEL, TRAIN, seed=1, member=member) for member in range(2))
    assert not same_weights([first.weights], [second.weights])
    other = [*many[:2], made_up.noisy(300, 9, ticker="T2")]
    assert not same_weights([first.weights], [train_member(other, MODEL, TRAIN, seed=1, member=0).weights])


def test_order_of_the_tickers_does_not_matter_to_the_pool():
    many = [made_up.noisy(300, seed, ticker=f"T{seed}") for seed in range(3)]
    here, there = (train_member(each, MODEL, TRAIN, seed=1, member=0) for each in (many, many[::-1]))
    assert same_weights([here.weights], [there.weights])


def test_large_universe_is_drawn_from_and_each_member_draws_its_own(monkeypatch):
    monkeypatch.setattr(training, "_POOL_TICKERS", 2)
    many = [made_up.noisy(300, seed, ticker=f"T{seed}") for seed in range(6)]
    drawn = [{each.ticker for each in training.drawn(many, seed)} for seed in range(5)]
    assert all(len(tickers) == 2 for tickers in drawn) and len(set(map(frozenset, drawn))) > 1
    # One that is not there does not move who else is drawn, but for the one in its place.
    assert training.drawn(many[1:], 0)[0] in training.drawn(many, 0)


def test_tie_goes_to_the_pool_and_a_clear_gain_to_the_ticker():
    rng = np.random.default_rng(0)
    pooled = rng.standard_normal(100)
    assert not training._clearly_better(pooled, pooled)
    assert not training._clearly_better(pooled - 0.01 * rng.standard_normal(100), pooled)
    assert training._clearly_better(pooled - 0.1, pooled) and not training._clearly_better(
        pooled + 0.1, pooled
    )


@pytest.mark.parametrize("better", [True, False])
def test_model_has_its_own_weights_or_refers_to_its_pool(monkeypatch, better):
    monkeypatch.setattr(training, "_clearly_better", lambda tuned, pooled: better)
    pool = join_pool(
        [train_member([made_up.noisy(300)], MODEL, TRAIN, seed=1, member=0)],
        [made_up.noisy(300)],
        MODEL,
        TRAIN,
        1,
    )
    made = train(made_up.noisy(300), MODEL, TRAIN, start=pool, seed=1, pool_sha256="5" * 64)
    assert made.own is better and made.bundle.pool_sha256 == (None if better else "5" * 64)
    assert same_weights(made.bundle.members, pool.members) is not better


def pool_of(many):
    fits = [train_member(many, MODEL, TRAIN, seed=1, member=member) for member in range(TRAIN.members)]
    return join_pool(fits, many, MODEL, TRAIN, 1)


def test_ticker_whose_first_epoch_gains_nothing_costs_one_epoch_of_one_member(monkeypatch):
    from forecast_lib.models import engine

    taken, fit = [], engine.fit

    def counted(*arguments, **more):
        made = fit(*arguments, **more)
        taken.append(made.epochs)
        return made

    pool, config = pool_of([made_up.noisy(300)]), dataclasses.replace(TRAIN, fine_tune_epochs=2)
    monkeypatch.setattr(engine, "fit", counted)
    judged = iter([False, True, True, True, False])
    monkeypatch.setattr(training, "_clearly_better", lambda tuned, pooled: next(judged))
    no = train(made_up.noisy(300), MODEL, config, start=pool, seed=1, pool_sha256="5" * 64)
    assert (taken, no.epochs, no.own, len(no.validation_loss)) == ([1], 1, False, 1)
    assert same_weights(no.bundle.members, pool.members)
    taken.clear()
    yes = train(made_up.noisy(300), MODEL, config, start=pool, seed=1, pool_sha256="5" * 64)
    assert taken == [2] * TRAIN.members
    assert yes.own and len(yes.validation_loss) == 2 and yes.validation_loss[0] == no.validation_loss[0]
    # What the first epoch promised, the rest did not keep.
    not_after_all = train(made_up.noisy(300), MODEL, config, start=pool, seed=1, pool_sha256="5" * 64)
    assert not not_after_all.own and same_weights(not_after_all.bundle.members, pool.members)


def test_what_the_first_member_is_judged_by_is_its_own_loss(monkeypatch):
    pool = pool_of([made_up.noisy(300, seed, ticker=f"T{seed}") for seed in range(2)])
    series, judged = made_up.noisy(300, 5), []
    monkeypatch.setattr(
        training, "_clearly_better", lambda tuned, pooled: judged.append((tuned, pooled)) or False
    )
    first_alone = dataclasses.replace(pool, members=pool.members[:1])
    train(series, MODEL, TRAIN, start=pool, seed=1)
    alone = train(series, MODEL, TRAIN, start=first_alone, seed=1)
    (tuned, before), (tuned_alone, before_alone) = judged
    assert tuned.tobytes() == tuned_alone.tobytes() and before.tobytes() == before_alone.tobytes()
    assert before.mean() == alone.validation_loss[0] and not np.array_equal(tuned, before)


def test_fine_tuning_goes_on_from_the_parent(monkeypatch):
    monkeypatch.setattr(training, "_clearly_better", lambda tuned, pooled: True)
    series = made_up.noisy(320)
    parent = trained(series.until(300)).bundle
    tuned = train(series, MODEL, TRAIN, start=parent, seed=1)
    assert tuned.epochs <= TRAIN.fine_tune_epochs and len(tuned.bundle.members) == len(parent.members)
    for own, before in zip(tuned.bundle.members, parent.members, strict=True):
        moved = np.abs(own["rnn0/kernel"] - before["rnn0/kernel"]).max()
        assert moved < 0.05  # three small steps, not a new draw


def test_parent_of_another_shape_is_refused():
    parent = made_up.bundle(horizon=3)
    with pytest.raises(TickerError, match="ACME: the last good model has another shape") as caught:
        train(made_up.noisy(300), MODEL, TRAIN, start=parent, seed=1)
    assert caught.value.rule == "parent_shape"


@pytest.mark.parametrize(
    "kind",
    sorted(set(made_up.ODD) - {"constant", "doubles after standing still", "halves after standing still"}),
)
def test_odd_history_trains_to_finite_weights(kind):
    bundle = trained(made_up.ODD[kind]).bundle
    assert all(np.isfinite(array).all() for member in bundle.members for array in member.values())
    assert np.isfinite(bundle.scale.coefficients).all()
    assert ((bundle.shrinkage >= 0) & (bundle.shrinkage <= 1)).all()


def test_direction_of_a_random_walk_is_hardly_ever_believed():
    """At two steps 0.13 % each pass three standard errors by chance: two or more of 25 tickers would do so
    once in 500 tries.
    """
    calm = TrainConfig(members=2, batch_size=8, steps_per_epoch=5, epochs=5, validation_sessions=250)
    walks = [made_up.noisy(1300, seed, ticker=f"T{seed}") for seed in range(25)]
    believed = [train_alone(series, MODEL, calm, seed=1).bundle.shrinkage.any() for series in walks]
    assert sum(believed) < 2


def test_held_out_part_fits_its_tiles_for_every_length():
    for sessions in (130, 200, 299, 300, 301):
        assert trained(made_up.noisy(sessions)).split.validation[1] == sessions - 1


def test_first_cutoff_has_a_window_without_warm_up():
    assert first_cutoff(10) == 31  # sessions 22 to 31


@pytest.mark.parametrize(
    ("variant", "drawn", "held_out"),
    [("lstm", (3, 4, 20, 13), (1, 6, 20, 13)), ("bidirectional", (3, 64, 10, 13), (1, 60, 10, 13))],
)
def test_network_that_looks_back_learns_from_windows(monkeypatch, variant, drawn, held_out):
    from forecast_lib.models import engine

    asked = []

    def refuse(network, framing, start, batches, validation, schedule, **more):
        asked.extend([batches(0).inputs.shape, validation.inputs.shape])
        raise TickerError("ACME", "seen enough")

    monkeypatch.setattr(engine, "fit", refuse)
    with pytest.raises(TickerError, match="seen enough"):
        train_alone(made_up.noisy(300), dataclasses.replace(MODEL, variant=variant), TRAIN, seed=1)
    assert asked == [drawn, held_out]


def test_settings_allow_no_rate_that_overflows():
    with pytest.raises(UsageError, match="learning_rate 2.0 is out of range"):
        TrainConfig(learning_rate=2.0)
