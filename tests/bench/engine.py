"""One ticker's model: ours against the walkthroughs' way, stock Keras on windows of min-max scaled closes, same data, same run.

`python -m tests.bench.engine` prints, as medians of `REPEATS`: seconds to train, test RMSE as a multiple of "the price stays", and the
ratio of both. Data: TSLA from `../shared/data/classics` where it is there, else a simulated ticker.
"""

import datetime as dt
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.preprocessing import MinMaxScaler

from forecast_lib.backtest.run import backtest_ticker
from forecast_lib.config import BacktestConfig, ModelConfig, TrainConfig
from forecast_lib.domain import Ticker
from forecast_lib.models.training import train
from forecast_lib.prices.files import FilesSource
from forecast_lib.prices.simulated import SimulatedMarket
from forecast_lib.windows.series import TickerSeries, series_of

REPEATS = 3
LOOKBACK, EPOCHS, BATCH, TEST_SHARE = 60, 10, 32, 0.2
TSLA = Path(__file__).resolve().parents[3] / "shared" / "data" / "classics" / "TSLA.csv"


def history() -> TickerSeries:
    """The ticker's whole history."""
    if TSLA.exists():
        return series_of("TSLA", FilesSource(TSLA).fetch(Ticker("TSLA"), None, dt.date(2024, 3, 8)).prices)
    return series_of("SIM1", SimulatedMarket(0).fetch(Ticker("SIM1"), None, dt.date(2024, 3, 8)).prices)


def walkthrough(series: TickerSeries) -> tuple[float, float]:
    """Seconds of `fit`, and test RMSE over naive, of the `aapl-stacked` network; the scaler sees the whole series, as there."""
    import keras

    closes = series.close[:, None]
    scaler = MinMaxScaler().fit(closes)
    scaled = scaler.transform(closes)[:, 0].astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(scaled, LOOKBACK)[:-1, :, None]
    targets = scaled[LOOKBACK:]
    cut = round(len(scaled) * (1 - TEST_SHARE)) - LOOKBACK
    layers = [keras.layers.LSTM(50, return_sequences=True), keras.layers.LSTM(50), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((LOOKBACK, 1)), *layers])
    model.compile(optimizer="adam", loss="mse")
    began = time.perf_counter()
    model.fit(windows[:cut], targets[:cut], epochs=EPOCHS, batch_size=BATCH, verbose=0)
    seconds = time.perf_counter() - began
    predicted = scaler.inverse_transform(model.predict(windows[cut:], verbose=0))[:, 0]
    actual, before = series.close[LOOKBACK + cut :], series.close[LOOKBACK + cut - 1 : -1]
    return seconds, float(np.sqrt(((predicted - actual) ** 2).mean() / ((before - actual) ** 2).mean()))


def ours(series: TickerSeries) -> tuple[float, float]:
    """Seconds of a nightly retrain of the same history, and the backtest's test RMSE over naive for the same test part."""
    known = series.until(round(len(series) * (1 - TEST_SHARE)))
    began = time.perf_counter()
    train(known, ModelConfig(), TrainConfig(), seed=0)
    seconds = time.perf_counter() - began
    scores = backtest_ticker(series, (ModelConfig(),), TrainConfig(), BacktestConfig(TEST_SHARE), seed=0).scores
    return seconds, float(scores[(scores["model"] == "stacked") & (scores["step"] == 1)]["rmse_ratio"].iloc[0])


def main(arguments: list[str]) -> None:
    """Print the table."""
    repeats = int(arguments[0]) if arguments else REPEATS
    series = history()
    ours(series)  # traces the program once, as the first ticker of a night does
    pairs = [(walkthrough(series), ours(series)) for _ in range(repeats)]
    theirs, mine = ([statistics.median(values) for values in zip(*side, strict=True)] for side in zip(*pairs, strict=True))
    print(f"{series.ticker}, {len(series)} sessions, medians of {repeats}")
    print(f"stock Keras, walkthrough  {theirs[0]:7.2f} s   RMSE {theirs[1]:.4f} of naive")
    print(f"nightly retrain           {mine[0]:7.2f} s   RMSE {mine[1]:.4f} of naive")
    print(f"ratio                     {theirs[0] / mine[0]:7.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
