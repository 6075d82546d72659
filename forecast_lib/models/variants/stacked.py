"""Several LSTM layers, one on top of the other."""

from forecast_lib.models.variants.lstm import LSTM

VARIANT = LSTM()
