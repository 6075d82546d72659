"""The forecasting engine of Tickercast: prices in, windows cut, a model learns, a forecast is made, a backtest judges it."""
