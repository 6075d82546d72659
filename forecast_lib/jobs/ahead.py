"""What a run loads as it comes to it, loaded at once: for whoever has to wait for something else meanwhile.

Nothing is read, written or decided; a run for which nothing was loaded ahead is the same run.
"""

import numpy as np

from forecast_lib.config import RunConfig
from forecast_lib.forecast import combined_forecast
from forecast_lib.models.forward import outputs
from forecast_lib.models.network import first_weights
from forecast_lib.models.training import network_of
from forecast_lib.sessions import calendar_for
from forecast_lib.tables import empty, validate
from forecast_lib.windows.series import TickerSeries

__all__ = ["load_ahead"]


def load_ahead(config: RunConfig) -> None:
    """The sessions of the run's exchanges, the checks of its tables, the compiled code of its forecasts."""
    for calendar in dict.fromkeys(map(calendar_for, config.tickers)):
        calendar.last_known(config.as_of)
    validate("runs", empty("runs"))
    network = network_of(config.model)
    nothing = np.zeros((2 * network.lookback, network.inputs), np.float32)
    first = network.lookback - 1
    outputs(network, first_weights(network, 0), nothing, np.array([first]), first=first)
    combined_forecast(None, _flat(60), config.model.horizon)


def _flat(sessions: int) -> TickerSeries:
    """Days on which nothing happened."""
    days = np.datetime64("2024-01-01", "D") + np.arange(sessions)
    price, volume = np.ones(sessions), np.ones(sessions)
    return TickerSeries("FLAT", days, price, price, price, price, volume)
