"""The forecasting engine of Tickercast.

Prices in, windows cut, a model learns, a forecast is made, a backtest judges it.

For a notebook there are the names of `__all__`, loaded when they are first asked for:

    from forecast_lib import Workspace
    Workspace("workspace").forecasts("AAPL")
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors; a program loads what it asks for
    from forecast_lib.api.backtesting import backtest_long
    from forecast_lib.api.forecasting import Networks, forecast_long, train_long
    from forecast_lib.api.pictures import plot_long
    from forecast_lib.api.scoring import score_long
    from forecast_lib.api.workspace import Workspace
    from forecast_lib.config import BacktestConfig, ModelConfig, TrainConfig
    from forecast_lib.domain import QUANTILES
    from forecast_lib.errors import UsageError

__all__ = [
    "QUANTILES",
    "BacktestConfig",
    "ModelConfig",
    "Networks",
    "TrainConfig",
    "UsageError",
    "Workspace",
    "backtest_long",
    "forecast_long",
    "plot_long",
    "score_long",
    "train_long",
]

_HOMES = {
    "api.backtesting": ("backtest_long",),
    "api.forecasting": ("Networks", "forecast_long", "train_long"),
    "api.pictures": ("plot_long",),
    "api.scoring": ("score_long",),
    "api.workspace": ("Workspace",),
    "config": ("BacktestConfig", "ModelConfig", "TrainConfig"),
    "domain": ("QUANTILES",),
    "errors": ("UsageError",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"forecast_lib.{home}"), name)
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}: expected one of {', '.join(__all__)}"
    )


def __dir__() -> list[str]:
    return sorted(__all__)
