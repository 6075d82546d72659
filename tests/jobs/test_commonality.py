"""What the tickers of a night have in common: exchange by exchange, and without those that have a problem."""

import dataclasses

import numpy as np

from forecast_lib.jobs.forecast.commonality import with_common_volatility
from forecast_lib.jobs.ingest.new_prices import Problem
from forecast_lib.sessions import calendar_for
from tests import made_up
from tests.made_up import MODEL, TRAIN

NAMES = tuple(f"T{place}" for place in range(7))
SERIES = tuple(
    dataclasses.replace(made_up.noisy(300, seed=place), ticker=name) for place, name in enumerate(NAMES)
)


def common_of(market, tickers=NAMES):
    known = with_common_volatility(market, tickers, MODEL, TRAIN)
    return {
        ticker: None if series.inputs is None else series.inputs.at_close[0]
        for ticker, series in known.series.items()
    }


def test_all_tickers_of_an_exchange_share_one_part():
    shared = common_of(made_up.market(*SERIES))
    assert len({id(common) for common in shared.values()}) == 1
    assert shared["T0"].values.any()


def test_a_ticker_with_a_problem_has_no_part_in_it_but_reads_it():
    held = common_of(made_up.market(*SERIES, problems={"T3": Problem("held", "a jump")}))
    never = common_of(made_up.market(*(each for each in SERIES if each.ticker != "T3")))
    assert held["T0"].values.tobytes() == never["T0"].values.tobytes()
    assert held["T3"] is held["T0"]
    assert held["T0"].values.tobytes() != common_of(made_up.market(*SERIES))["T0"].values.tobytes()


def test_a_ticker_that_nothing_can_be_learned_from_has_no_part_in_it():
    still = dataclasses.replace(made_up.ODD["constant"].until(300), ticker="T3")
    others = [each for each in SERIES if each.ticker != "T3"]
    here, never = (common_of(made_up.market(*given)) for given in ([*others, still], others))
    assert here["T0"].values.tobytes() == never["T0"].values.tobytes()


def test_exchanges_have_nothing_in_common():
    """Tokyo's session is over long before New York's of the same date begins."""
    market = made_up.market(*SERIES)
    market = dataclasses.replace(
        market, calendars={**market.calendars, "T5": calendar_for("7203.T"), "T6": calendar_for("7203.T")}
    )
    shared = common_of(market)
    assert shared["T5"] is None and shared["T6"] is None  # two are too few
    alone = common_of(made_up.market(*SERIES[:5]))
    assert shared["T0"].values.tobytes() == alone["T0"].values.tobytes()


def test_a_lonely_ticker_has_nothing_in_common():
    assert common_of(made_up.market(SERIES[0])) == {"T0": None}


def test_sessions_of_another_future_do_not_reach_back():
    cut = 250
    here, there = (
        common_of(made_up.market(*given))["T0"]
        for given in (SERIES, [made_up.scrambled(each, cut) for each in SERIES])
    )
    before = here.sessions <= SERIES[0].sessions[cut]
    assert np.array_equal(here.values[before], there.values[before])
    assert not np.array_equal(here.values[~before], there.values[~before])


def test_the_shape_of_all_returns_is_the_same_without_a_ticker_that_has_a_problem():
    long = [made_up.noisy(700, seed=place, ticker=name) for place, name in enumerate(NAMES)]

    def shape(*series, **given):
        return (
            with_common_volatility(made_up.market(*series, **given), NAMES, MODEL, TRAIN).series["T0"].shape
        )

    held, never, whole = (
        shape(*long, problems={"T3": Problem("held", "a jump")}),
        shape(*(long[:3] + long[4:])),
        shape(*long),
    )
    assert held.share.any() and held.middle.tobytes() == never.middle.tobytes() != whole.middle.tobytes()
