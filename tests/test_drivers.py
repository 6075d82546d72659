"""Why an interval is as wide as it is: what each part means by hand, and that the parts add up, whatever the
history and the models.
"""

import dataclasses

import numpy as np
import pytest

from forecast_lib.covariates.inputs import Ahead, AtClose, Inputs
from forecast_lib.drivers import Before, Drivers, driver_of, driver_rows, drivers, log_width
from forecast_lib.forecast import last_evenings
from forecast_lib.models.bundle import Bundle
from forecast_lib.windows.scaling import VolatilityScale
from forecast_lib.windows.series import TickerSeries
from forecast_lib.windows.volatility_inputs import VOLATILITY_INPUTS, volatility_inputs
from tests import made_up

SERIES = made_up.noisy(700, seed=5)
EXACT = 1e-12
ADDED_LAST = ("revised prices", "new weights")


def lively(seed: int = 1, horizon: int = 2, **head: float) -> Bundle:
    """A model whose scale listens to every input."""
    random = np.random.default_rng(seed)
    bundle = made_up.bundle(horizon=horizon, **head)
    slopes = 0.05 * random.standard_normal(bundle.slopes.shape)
    slopes[2] += 0.8
    coefficients = np.concatenate([np.full((1, horizon), -1.8), slopes])
    usual = np.tile(volatility_inputs(SERIES)[100:].mean(axis=0)[:, None], horizon)
    return dataclasses.replace(bundle, scale=VolatilityScale(coefficients, usual))


def published(bundle: Bundle | None, series: TickerSeries, horizon: int = 2) -> np.ndarray:
    """The log width that a night said."""
    return log_width(last_evenings(bundle, series, horizon).forecasts.quantiles[-1])


def tonight(
    bundle: Bundle | None, series: TickerSeries = SERIES, before: Before | str = "first", horizon: int = 2
) -> Drivers:
    return drivers(bundle, series, last_evenings(bundle, series, horizon), before)


def since(bundle: Bundle | None, before: TickerSeries = SERIES.until(699), **more) -> Before:
    """What the night at the end of `before` said by that model."""
    return Before(before.sessions[-1], published(bundle, before), **more)


def of(made: Drivers, driver: str, *, change: bool = False) -> np.ndarray:
    return (made.changes if change else made.effects)[made.names.index(driver)]


@pytest.mark.parametrize("model", ["network", "none"])
@pytest.mark.parametrize("kind", [*made_up.ODD, "ten sessions", "noisy"])
def test_effects_add_up_to_the_log_width_of_what_was_forecast(model, kind):
    series = {**made_up.ODD, "ten sessions": SERIES.until(10), "noisy": SERIES}[kind]
    bundle = lively(log_scale=0.3) if model == "network" else None
    made = tonight(bundle, series)
    np.testing.assert_allclose(made.effects.sum(axis=0), published(bundle, series), rtol=0, atol=EXACT)
    assert len(driver_rows([made])) == 2 * len(made.names)


def test_every_input_of_the_scale_has_a_driver_in_words():
    found = {driver_of(name) for name in VOLATILITY_INPUTS}
    words = "last session, last week, last months, falls, weekday, season, market-wide"
    assert found == set(words.split(", "))


def test_a_covariate_and_an_event_are_drivers_of_their_own():
    assert driver_of("covariate ^VIX/level") == driver_of("covariate ^VIX/mean") == "covariate ^VIX"
    assert driver_of("event month end") == "event month end"


def test_an_input_counts_half_its_coefficient_times_its_distance_from_the_usual():
    bundle = made_up.bundle()
    coefficients, usual = bundle.scale.coefficients.copy(), bundle.scale.usual.copy()
    coefficients[1 + VOLATILITY_INPUTS.index("log_var_1")] = [0.4, 0.2]
    usual[VOLATILITY_INPUTS.index("log_var_1")] = -9.0
    made = tonight(dataclasses.replace(bundle, scale=VolatilityScale(coefficients, usual)))
    above = volatility_inputs(SERIES)[-1, VOLATILITY_INPUTS.index("log_var_1")] + 9.0
    np.testing.assert_allclose(of(made, "last session"), [0.2 * above, 0.1 * above])
    assert of(made, "weekday").tolist() == [0.0, 0.0]
    # By hand: an untrained network reaches 1.1756 volatilities (t with 6 degrees of freedom and unit
    # variance, 90 %) to both sides; the volatility is 1 % times exp(0.2 * -9) and exp(0.1 * -9).
    expected = np.log(2 * 1.1756 * 0.01 * np.sqrt([1, 2])) - np.array([1.8, 0.9])
    np.testing.assert_allclose(of(made, "usual level"), expected, atol=1e-3)


def test_an_untrained_network_adds_nothing_and_a_wider_one_its_scale():
    np.testing.assert_allclose(of(tonight(made_up.bundle()), "network"), 0.0, atol=1e-9)
    # By hand: the head's log scale is 2 tanh(0.4 / 2) = 0.39475.
    np.testing.assert_allclose(of(tonight(made_up.bundle(log_scale=0.4)), "network"), 0.39475, atol=1e-5)


def test_calibration_is_what_came_true_beside_what_the_network_says():
    """Prices move by 1 % a day; a model that says half of it is made twice as wide, and nearly so at two
    steps.
    """
    made = tonight(made_up.bundle(daily=0.005), made_up.noisy(3000, seed=11, daily=0.01))
    np.testing.assert_allclose(of(made, "calibration"), np.log(2), atol=0.12)


def test_a_network_that_answers_alone_is_changed_by_no_combination():
    wild = SERIES.close * np.where(np.arange(700) < 698, 1.0, 2.0)
    series = made_up.closes_only(wild)
    np.testing.assert_allclose(of(tonight(lively(), series), "combination"), 0.0, atol=EXACT)
    assert np.abs(of(tonight(lively(), made_up.closes_only(SERIES.close)), "combination")).max() > 1e-4


def test_without_a_network_the_usual_level_is_the_volatility_of_250_sessions():
    made = tonight(None)
    assert made.names == ("usual level", "recent sessions", "calibration", "combination")
    returns = np.log(SERIES.close[1:] / SERIES.close[:-1])
    # Measured from ranges, which is about the same as from closes.
    expected = np.log(2 * 1.1756 * returns[-250:].std() * np.sqrt([1, 2]))
    np.testing.assert_allclose(of(made, "usual level"), expected, atol=0.2)


@pytest.mark.parametrize("model", ["network", "none"])
@pytest.mark.parametrize("nights", [1, 4])
def test_a_new_session_changes_a_width_by_what_it_brings_alone(model, nights):
    """However many sessions it is: nothing else was revised."""
    bundle = lively() if model == "network" else None
    before = since(bundle, SERIES.until(700 - nights))
    made = tonight(bundle, before=before)
    assert made.why == (None, None)
    np.testing.assert_allclose(
        made.changes.sum(axis=0), published(bundle, SERIES) - before.width, rtol=0, atol=EXACT
    )
    for name in ADDED_LAST:
        assert of(made, name).tolist() == [0.0, 0.0]
        np.testing.assert_allclose(of(made, name, change=True), 0.0, atol=1e-9)
    session = "last session" if bundle else "recent sessions"
    then = of(tonight(bundle, SERIES.until(700 - nights)), session)
    np.testing.assert_allclose(of(made, session, change=True), of(made, session) - then, atol=EXACT)


def test_without_a_new_session_nothing_changed():
    before = since(lively(), SERIES)
    np.testing.assert_allclose(tonight(lively(), before=before).changes, 0.0, atol=1e-9)


@pytest.mark.parametrize(
    ("old", "new"), [(lively(1), lively(2, log_scale=0.5)), (None, lively(2)), (lively(1), None)]
)
def test_another_model_is_exchanged_before_the_session_comes(old, new):
    before = since(old, same_model=False, model=old)
    made = tonight(new, before=before)
    np.testing.assert_allclose(
        made.changes.sum(axis=0), published(new, SERIES) - before.width, rtol=0, atol=EXACT
    )
    exchanged = published(new, SERIES.until(699)) - published(old, SERIES.until(699))
    assert np.abs(exchanged).min() > 0.001
    np.testing.assert_allclose(of(made, "new weights", change=True), exchanged, atol=1e-9)
    np.testing.assert_allclose(of(made, "revised prices", change=True), 0.0, atol=1e-9)


def test_revised_prices_are_told_from_a_new_session():
    """The close of the evening before was 4 % too high when it was forecast from."""
    wrong = dataclasses.replace(SERIES, close=SERIES.close * np.where(np.arange(700) == 698, 1.04, 1.0))
    before = since(lively(), wrong.until(699))
    made = tonight(lively(), before=before)
    np.testing.assert_allclose(
        made.changes.sum(axis=0), published(lively(), SERIES) - before.width, rtol=0, atol=EXACT
    )
    revised = published(lively(), SERIES.until(699)) - before.width
    assert np.abs(revised).min() > 0.01
    np.testing.assert_allclose(of(made, "revised prices", change=True), revised, atol=1e-9)
    session = of(tonight(lively(), before=since(lively())), "last session", change=True)
    np.testing.assert_allclose(of(made, "last session", change=True), session, atol=EXACT)


def informed(level: float, known: int = 700) -> TickerSeries:
    """The series with a covariate, 1 up to the session before last and `level` then, and an event on the last
    session; of the first `known` sessions.
    """
    values = np.where(np.arange(700) < 698, 1.0, level)[:, None]
    always = np.array(["0001-01-01"], "M8[D]"), np.array(["9999-12-31"], "M8[D]")
    event = Ahead(("event month_end",), SERIES.sessions, np.zeros(1, int), SERIES.sessions[-1:], *always)
    inputs = Inputs((AtClose(("covariate vix/level",), SERIES.sessions, values),), (event,))
    return dataclasses.replace(SERIES, inputs=inputs).until(known)


def listening(inputs: tuple[str, ...] = ("covariate vix/level", "event month_end")) -> Bundle:
    """A model whose scale listens to them too: 0.3 times the covariate, usually 1, and 0.2 times the event,
    usually on a twentieth of the sessions.
    """
    scale = lively().scale
    more, usual = np.array([[0.3, 0.3], [0.2, 0.2]]), np.array([[1.0, 1.0], [0.05, 0.05]])
    heard = VolatilityScale(np.concatenate([scale.coefficients, more]), np.concatenate([scale.usual, usual]))
    return dataclasses.replace(lively(), scale=heard, inputs=inputs)


def test_covariates_and_events_count_like_all_inputs_and_by_step():
    """By hand: half of 0.3 times 3 - 1; half of 0.2 times 1 - 0.05 where the event is on the session, and
    times 1/2 - 0.05 where it is on one of two.
    """
    made = tonight(listening(), informed(3.0, known=699))
    np.testing.assert_allclose(of(made, "covariate vix"), 0.3)
    np.testing.assert_allclose(of(made, "event month_end"), [0.095, 0.045])
    np.testing.assert_allclose(
        made.effects.sum(axis=0), published(listening(), informed(3.0, known=699)), rtol=0, atol=EXACT
    )
    # A covariate that is not known tonight counts as usual.
    assert of(tonight(listening(), informed(np.nan, known=699)), "covariate vix").tolist() == [0.0, 0.0]


def test_revised_covariates_are_told_from_revised_prices():
    """The covariate was 3 as published, and is known to have been 2; no price was revised."""
    then = tonight(listening(), informed(3.0, known=699))
    said = {"covariate vix": of(then, "covariate vix")}
    before = since(listening(), informed(3.0, known=699), covariates=said)
    made = tonight(listening(), informed(2.0), before)
    np.testing.assert_allclose(
        made.changes.sum(axis=0), published(listening(), informed(2.0)) - before.width, rtol=0, atol=EXACT
    )
    revised = published(listening(), informed(2.0, known=699)) - before.width
    # By hand: half of 0.3 less in the network, of which the answer is a part only.
    assert (revised < -0.05).all() and (revised > -0.15).all()
    np.testing.assert_allclose(of(made, "new covariates", change=True), revised, atol=1e-9)
    np.testing.assert_allclose(of(made, "revised prices", change=True), 0.0, atol=1e-9)
    np.testing.assert_allclose(of(made, "covariate vix", change=True), 0.0, atol=EXACT)


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (Before(np.datetime64("2022-09-10"), np.zeros(2)), "session"),  # a Saturday
        (Before(np.datetime64("2099-01-01"), np.zeros(2)), "session"),
        (Before(SERIES.sessions[-2], np.zeros(2), False, lively(horizon=3)), "settings"),
        (Before(SERIES.sessions[-2], np.full(2, -np.inf)), "width"),
        (Before(SERIES.sessions[-2], np.full(2, np.nan)), "first"),
        ("version", "version"),
    ],
    ids=["no session", "later", "horizon", "no width", "no step", "as said"],
)
def test_what_cannot_be_compared_has_no_changes_and_says_why(before, why):
    made = tonight(lively(), before=before)
    assert made.why == (why, why)
    assert np.isnan(made.changes).all() and np.isfinite(made.effects).all()


def test_a_step_that_the_run_before_did_not_have_leaves_the_others_theirs():
    before = dataclasses.replace(since(lively()), width=np.array([since(lively()).width[0], np.nan]))
    made = tonight(lively(), before=before)
    assert made.why == (None, "first")
    assert np.isfinite(made.changes[:, 0]).all() and np.isnan(made.changes[:, 1]).all()


def test_a_step_without_a_width_has_no_rows():
    made = tonight(lively())
    narrow = made.effects.copy()
    narrow[-1, 0] = -np.inf
    rows = driver_rows([dataclasses.replace(made, effects=narrow), made])
    assert rows.groupby(["of", "step"]).size().to_dict() == {
        (0, 2): len(made.names),
        (1, 1): len(made.names),
        (1, 2): len(made.names),
    }
