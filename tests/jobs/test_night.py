"""What a night's results lead to: who is backtested, and who is missed."""

import datetime as dt
from types import SimpleNamespace

import pandas as pd
import pytest

from flows.settings.layers import gather
from flows.settings.run_config import resolve
from forecast_lib.backtest.run import TickerBacktest
from forecast_lib.jobs import night as night_job
from forecast_lib.jobs import results
from forecast_lib.jobs.ingest.new_prices import Problem
from forecast_lib.jobs.night import run_night
from forecast_lib.jobs.refresh.decisions import Decision
from forecast_lib.jobs.refresh.models import Refreshed
from forecast_lib.jobs.results import Night
from forecast_lib.jobs.stages import InOrder
from forecast_lib.models.training import Split, Trained
from forecast_lib.store.published import ahead
from forecast_lib.store.working.store import Store
from tests import made_up, plain_runs

pytestmark = pytest.mark.slow

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
    assert results.fitted_anew(tonight) == {"NEW", "AGED"}


def test_of_a_ticker_whose_own_model_fails_no_backtest_is_kept():
    stored, averaged = [], []
    frame = {ticker: pd.DataFrame({"ticker": [ticker]}) for ticker in ("NEW", "FAILED")}
    made = [TickerBacktest(ticker, rows, rows) for ticker, rows in frame.items()]
    rows = SimpleNamespace(add=stored.append)
    panels = SimpleNamespace(add=lambda place, losses: averaged.append(len(losses)))
    keep = night_job._kept_by(made_up.run_config(), rows, panels, {"NEW"})
    assert [each.ticker for each in keep(0, [*made, ("GONE", Problem("constant", "it stands"))])] == ["NEW"]
    assert [each["ticker"].tolist() for each in stored] == [["NEW"]] and averaged == [1]


class Named(InOrder):
    """Remembers what was worked on, by stage."""

    def begin(self, name, work, shards, names, **arguments):
        vars(self).setdefault("names", {})[name] = names
        return super().begin(name, work, shards, names, **arguments)


def test_networks_of_the_night_and_of_its_backtest_are_trained_side_by_side(tmp_path):
    small = {"units": "4", "lookback": "10", "horizon": "2", "epochs": "1", "workspace": str(tmp_path / "w")}

    def networks(day, tickers):
        now = dt.datetime(2024, 5, day, 23, tzinfo=dt.UTC)
        given = {**small, "tickers": tickers, "as_of": f"2024-05-0{day}"}
        stages = Named(config := resolve(gather(given, environ={}), now=now), lambda: now)
        run_night(config, stages)
        return stages.names

    own = [f"network {place} of 3" for place in (1, 2, 3)]
    first = networks(1, "SIM1,SIM2")
    assert first["pool"] == first["backtest pool"] == own
    assert first["backtest"] == ["SIM1", "SIM2"]
    # A new ticker is fitted from the pool that is there, and tried on its own past.
    second = networks(2, "SIM1,SIM2,SIM3")
    assert second["pool"] == [] and second["backtest pool"] == own
    assert second["backtest"] == ["SIM3"]


def resolved(workspace, day, tickers, universe=""):
    given = {"workspace": str(workspace), "strategy": "forecast", "as_of": f"2024-05-0{day}"}
    path = workspace.with_suffix(".toml")
    path.write_text(f"tickers = {tickers}\n{universe}")
    now = dt.datetime(2024, 5, day, 23, tzinfo=dt.UTC)
    return resolve(gather({**given, "universe": str(path)}, environ={}), now=now)


def night(*asked):
    return plain_runs.night(resolved(*asked))


def test_a_ticker_that_is_no_longer_asked_for_is_named_on_the_first_evening(tmp_path):
    """Its file may have been mislaid, or its line lost; one that goes on under another name is not."""
    assert night(tmp_path / "w", 1, ["SIM1", "SIM2", "SIM3"]).notices == ()
    renamed = '[renames]\nSIM2 = { now = "SIM9", on = 2024-05-02 }'
    assert night(tmp_path / "w", 2, ["SIM1", "SIM9"], renamed).notices == (
        "forecast on 2024-05-01 and not asked for now: SIM3",
    )
    assert night(tmp_path / "w", 3, ["SIM1", "SIM9"], renamed).notices == ()


def test_a_publication_is_copied_ahead_once_beside_the_forecasts(tmp_path, monkeypatch):
    """Not before the first of them: until then whoever shows the run needs the other processor."""
    night(tmp_path / "w", 1, ["SIM1", "SIM2", "SIM3"])
    happened, begin, answers = [], ahead.Ahead.begin, night_job.tickers.forecast_shard

    def noted(self):
        happened.append("copy")
        begin(self)

    def forecast(shard, **arguments):
        happened.append("forecast")
        return answers(shard, **arguments)

    monkeypatch.setattr(ahead.Ahead, "begin", noted)
    monkeypatch.setattr(night_job.tickers, "forecast_shard", forecast)
    night(tmp_path / "w", 2, ["SIM1", "SIM2", "SIM3"])
    assert happened == ["forecast", "copy", "forecast", "forecast"]
    happened.clear()
    config = resolved(tmp_path / "w", 3, ["SIM1"])
    with Store(config.workspace, config.as_of.now) as store:  # as `verify` does it, which publishes nothing
        night_job.made(store, config, InOrder(config, lambda: config.as_of.now))
    assert happened == ["forecast"]
