"""A past that comes on another basis than it is stored on: divided as a whole, or with dividends
taken out.
"""

import numpy as np
import pytest

from forecast_lib.prices.overlap import judge_factor
from tests.prices.bars import quiet_bars

NONE = (np.empty(0, "M8[D]"), np.empty(0))
BARS = quiet_bars()
DAYS, CLOSE = BARS.sessions.astype("M8[D]"), BARS.close.round(2)


@pytest.mark.parametrize(
    ("factor", "kind"),
    [
        (1.0, "none"),
        (0.25, "split"),
        (10.0, "split"),
        (100.0, "unit"),
        (0.001, "unit"),
        (1.2, "unexplained"),
        (0.999, "unexplained"),
    ],
)
def test_a_factor_of_the_whole_past(factor, kind):
    found = judge_factor(DAYS, CLOSE, (CLOSE * factor).round(4), NONE)
    assert (found.kind, found.since) == (kind, None)
    assert found.ratio == pytest.approx(1 / factor, rel=1e-4)


def test_single_revisions_are_no_factor():
    offered = CLOSE.copy()
    offered[[3, 50, 90]] *= [1.2, 0.5, 100]
    assert judge_factor(DAYS, CLOSE, offered, NONE).kind == "none"


def test_rounding_is_no_factor():
    cents = CLOSE / 40  # some 2.50 each: rounding to cents moves them by up to 0.2 %
    assert judge_factor(DAYS, cents, cents.round(2), NONE).kind == "none"


def test_a_past_with_the_dividends_taken_out_is_one_of_dividends():
    """By hand: 1.00 paid on rows 100 and 140; before each the close loses 1 / (close of the row before)."""
    paid = np.array([100, 140])
    factors = np.ones(len(CLOSE))
    for at in paid:
        factors[:at] *= 1 - 1.0 / CLOSE[at - 1]
    known = judge_factor(DAYS, CLOSE, CLOSE * factors, (DAYS[paid], np.ones(2)))
    unknown = judge_factor(DAYS, CLOSE, CLOSE * factors, NONE)
    assert (known.kind, unknown.kind, known.since) == ("dividends", "dividends", DAYS[140])


def test_a_split_within_the_common_sessions_has_its_day():
    offered = CLOSE.copy()
    offered[:120] /= 2
    found = judge_factor(DAYS, CLOSE, offered, NONE)
    assert (found.kind, found.ratio, found.since) == ("split", 2.0, DAYS[120])


def test_two_sessions_say_nothing():
    assert judge_factor(DAYS[:2], CLOSE[:2], CLOSE[:2] * 100, NONE).kind == "none"
