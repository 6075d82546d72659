"""What a night's results lead to: who is backtested."""

import pytest

from forecast_lib.jobs import night
from forecast_lib.jobs.decisions import Decision
from forecast_lib.jobs.night import Night
from forecast_lib.jobs.pool import KeptPool
from forecast_lib.jobs.refresh import Refreshed
from forecast_lib.models.engine import Fit
from forecast_lib.models.training import Split, Trained
from tests import made_up

TRAINED = Trained(made_up.bundle(), Split((31, 237), (239, 299)), False, 1, (1.0, 0.9), 0.5, "Numba CPU")
FIT = Fit(made_up.pool().members[0], 1, 1, (1.0,), (1.0, 0.9), 0.5, "kernel")
DECISIONS = {
    "NEW": Decision("retrain", "no_model"),
    "REFUSED": Decision("retrain", "refused_before"),
    "TUNED": Decision("fine_tune", "new_data"),
    "FAILED": Decision("retrain", "age"),
}


@pytest.mark.parametrize(("fits", "expected"), [((FIT,), ["NEW", "REFUSED"]), ((), ["NEW"])])
def test_tickers_trained_anew_are_backtested_and_refused_ones_once_for_each_pool(fits, expected):
    refreshed = [Refreshed(ticker, each, trained=None if ticker == "FAILED" else TRAINED) for ticker, each in DECISIONS.items()]
    market = made_up.market(*(made_up.noisy(300, ticker=ticker) for ticker in DECISIONS))
    tonight = Night(market, tuple(refreshed), pool=KeptPool(made_up.pool(), "ab" * 32, fits))
    assert [series.ticker for series in night.to_backtest(tonight)] == expected
