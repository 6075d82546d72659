"""The jobs that the flows put in order: here the rims (prices, store, report) meet the core (windows, models,
forecast, backtest).
"""
