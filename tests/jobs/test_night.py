"""What a night's results lead to: who is backtested."""

from forecast_lib.jobs import night
from forecast_lib.jobs.night import Night
from forecast_lib.jobs.refresh.decisions import Decision
from forecast_lib.jobs.refresh.models import Refreshed
from forecast_lib.models.training import Split, Trained
from tests import made_up

TRAINED = Trained(made_up.bundle(), Split((31, 237), (239, 299)), False, 1, (1.0, 0.9), 0.5, "Numba CPU")
DECISIONS = {
    "NEW": Decision("retrain", "no_model"),
    "AGED": Decision("retrain", "age"),
    "TUNED": Decision("fine_tune", "new_data"),
    "FAILED": Decision("retrain", "age"),
}


def test_tickers_trained_anew_are_backtested():
    refreshed = [
        Refreshed(ticker, each, trained=None if ticker == "FAILED" else TRAINED)
        for ticker, each in DECISIONS.items()
    ]
    market = made_up.market(*(made_up.noisy(300, ticker=ticker) for ticker in DECISIONS))
    tonight = Night(market, tuple(refreshed))
    assert [series.ticker for series in night.to_backtest(tonight)] == ["NEW", "AGED"]
