"""What the tickers of a night have in common: exchange by exchange an input of every model's volatility
scale, and the shape of returns.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from forecast_lib.config import ModelConfig, TrainConfig
from forecast_lib.jobs.ingest.new_prices import Market
from forecast_lib.jobs.refresh.pool import learners
from forecast_lib.models.training import drawn
from forecast_lib.windows.common import common_volatility, sharing
from forecast_lib.windows.pooled_shape import pooled_shape
from forecast_lib.windows.series import TickerSeries

__all__ = ["with_common_volatility", "with_pooled_shape"]

_SHAPED_BY = 64  # tickers: on a day they all say much the same
_DRAW = 0  # the same tickers whatever the run's seed: the common part belongs to the prices


def with_common_volatility(
    market: Market, tickers: Sequence[str], model: ModelConfig, train: TrainConfig
) -> Market:
    """The market with each series knowing what it has in common with the others of its exchange.

    As in a pool, a ticker with a problem tonight has no part in it, so that all others get the same as if it
    had not been asked for. Who belongs is decided by tonight's histories for past sessions too; a session's
    figure is made of prices up to it, whoever belongs.
    """
    members = learners(market, tickers, model, train)
    exchange_of = {ticker: calendar.name for ticker, calendar in market.calendars.items()}
    series = dict(market.series)
    for exchange in dict.fromkeys(exchange_of.values()):
        common = common_volatility(
            drawn([each for each in members if exchange_of[each.ticker] == exchange], _DRAW)
        )
        of_it = [each for ticker, each in market.series.items() if exchange_of.get(ticker) == exchange]
        series |= {each.ticker: each for each in sharing(of_it, common)}
    known = with_pooled_shape(list(series.values()), members, model.horizon, _a_quarter_ago(members))
    return dataclasses.replace(market, series={each.ticker: each for each in known})


def _a_quarter_ago(members: Sequence[TickerSeries]) -> np.datetime64 | None:
    """For tickers whose prices are somewhat older; older ones go without."""
    return max(each.sessions[-1] for each in members) - np.timedelta64(90, "D") if members else None


def with_pooled_shape(
    series: Sequence[TickerSeries], members: Sequence[TickerSeries], horizon: int, since: np.datetime64 | None
) -> list[TickerSeries]:
    """The series knowing how the members' returns lie, at cutoffs from `since` on."""
    shape = pooled_shape(drawn(members, _DRAW)[:_SHAPED_BY], horizon, since) if since is not None else None
    return [dataclasses.replace(each, shape=shape) for each in series]
