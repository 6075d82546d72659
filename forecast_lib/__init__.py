"""The forecasting engine of Tickercast: prices in, windows cut, a model learns, a forecast is made, a
backtest judges it.

For a notebook there are the names of `forecast_lib.api`, loaded when they are first asked for:

    from forecast_lib import Workspace
    Workspace("workspace").forecasts("AAPL")
"""

import importlib
from typing import Any

__all__ = ["QUANTILES", "Picture", "Workspace", "backtest_long", "forecast_long", "score_long"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}: expected one of {', '.join(__all__)}"
        )
    return getattr(importlib.import_module("forecast_lib.api"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
