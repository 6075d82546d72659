"""The bench of the scenarios, on simulated shares that move together, with margins known to be right."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

from forecast_lib.domain import QUANTILES
from forecast_lib.tables import QUANTILE_COLUMNS
from tests import made_up
from tests.bench import joint

pytestmark = pytest.mark.slow

SESSIONS, TESTED, DAILY, SHARED = 1300, 40, 0.01, 0.6
TICKERS = [f"T{number:02d}" for number in range(joint.FEWEST)]


@pytest.fixture(scope="module")
def series():
    """Normal returns, of whose variance so much is common to all."""
    random = np.random.default_rng(3)
    common = np.sqrt(SHARED) * random.standard_normal(SESSIONS)
    return [
        made_up.closes_only(
            100 * np.exp(DAILY * (common + np.sqrt(1 - SHARED) * random.standard_normal(SESSIONS)).cumsum()),
            ticker,
        )
        for ticker in TICKERS
    ]


@pytest.fixture(scope="module")
def margins(series) -> pd.DataFrame:
    """What the returns are drawn from, at the last cutoffs but the very last."""
    return pd.concat(
        [
            pd.DataFrame(
                each.close[-TESTED - 1 : -1, None] * np.exp(DAILY * ndtri(QUANTILES)),
                columns=list(QUANTILE_COLUMNS),
            ).assign(ticker=each.ticker, cutoff=pd.to_datetime(each.sessions[-TESTED - 1 : -1]))
            for each in series
        ]
    )


@pytest.fixture
def period(series, monkeypatch):
    monkeypatch.setitem(joint.PERIODS, "then", (str(series[0].sessions[0]), str(series[0].sessions[-1])))
    monkeypatch.setattr(joint, "series_until", lambda *_: series)
    return "then"


def test_margins_are_those_given_and_judged_where_there_are_enough(series, margins, period):
    last_but_one = margins["cutoff"].max()
    few = margins[(margins["cutoff"] < last_but_one) | (margins["ticker"] > TICKERS[0])]
    for given, sessions in ((margins, TESTED), (few, TESTED - 1)):
        found = list(joint.worlds(series, given, period, 1))
        assert len(found) == sessions
        names, moves, quantiles, last, actual = found[-1]
        at = SESSIONS - 2 - (TESTED - sessions)
        assert names == TICKERS and moves.shape == (len(TICKERS), 1, joint.WORLDS)
        np.testing.assert_array_equal(last, [each.close[at] for each in series])
        np.testing.assert_array_equal(actual, [each.close[at + 1] for each in series])
        np.testing.assert_allclose(
            np.log(quantiles[:, 0] / last[:, None]), np.tile(DAILY * ndtri(QUANTILES), (20, 1))
        )


def test_what_moves_together_is_found_out(margins, period):
    """Half of a random portfolio's money lies in four of its ten shares, whose squared weights sum to about
    0.18: its deviation is 0.82 of one share's, 0.42 were they independent, so that their 2.5 % quantile
    is passed as often as a normal falls below -1.96 * 0.42 / 0.82: in 16 % of cases, of long-short ones
    in fewer.
    """
    found = joint.judged((margins, period, 1)).set_index("rival")
    assert found["sessions"].tolist() == [TESTED] * 3
    assert found.loc["independent", "below025"] > 0.1
    assert (found.loc[["observed", "gaussian"], "below025"] < 0.08).all()
    assert (found.loc[["observed", "gaussian"], "pinball"] < 0.95).all()
    assert found.loc["independent", ["pinball", "energy"]].tolist() == [1.0, 1.0]


def test_the_command_judges_what_is_served_at_each_step(margins, period, monkeypatch, tmp_path, capsys):
    rows = pd.concat(
        [margins.assign(model=model, step=step) for model in ("combined", "har") for step in (1, 5)]
    )
    asked, seen = [], []

    def replayed(*task):
        asked.append(task)
        return {period: joint.goals.Tested(rows, pd.DataFrame(), 0.0)}

    class InProcess:
        def __init__(self, *_): ...
        def __enter__(self):
            return self

        def __exit__(self, *_): ...
        def imap(self, _, tasks):
            seen.extend(tasks)
            return [pd.DataFrame({"figure": [1.0]})] * len(tasks)

    monkeypatch.setattr(joint.goals, "tested_periods", replayed)
    monkeypatch.setattr(
        joint.multiprocessing, "get_context", lambda _: type("Context", (), {"Pool": InProcess})
    )
    monkeypatch.setattr(joint.goals, "DATA", tmp_path)
    joint.main(["--periods", period])
    assert asked == [((period,), "stacked", ())]
    assert [(set(rows["model"]), set(rows["step"]), *task) for rows, *task in seen] == [
        ({"combined"}, {step}, period, step) for step in (1, 5)
    ]
    assert capsys.readouterr().out.count("figure") == 2
