"""neuralforecast's and darts's LSTM on one ticker: run by `tests.bench.engine` in their environment; JSON
comes in and goes out.

Each predicts every test session from the true closes before it, trained once on those before the test part.
Out: name to [seconds of training, RMSE over that of "the price stays"].
"""

import json
import sys
import time

import numpy as np
import pandas as pd


def rmse_ratio(predicted, close, cut):
    actual, before = close[cut:], close[cut - 1 : -1]
    return float(np.sqrt(((predicted - actual) ** 2).mean() / ((before - actual) ** 2).mean()))


def by_neuralforecast(close, cut, lookback, units, epochs):
    """Its own default of 1,000 steps."""
    from neuralforecast import NeuralForecast
    from neuralforecast.models import LSTM

    quiet = {
        "enable_progress_bar": False,
        "logger": False,
        "enable_checkpointing": False,
        "accelerator": "cpu",
    }
    model = LSTM(
        h=1,
        input_size=lookback,
        encoder_n_layers=2,
        encoder_hidden_size=units,
        max_steps=1000,
        scaler_type="standard",
        **quiet,
    )
    frame = pd.DataFrame({"unique_id": "A", "ds": np.arange(len(close)), "y": close})
    library = NeuralForecast(models=[model], freq=1)
    began = time.perf_counter()
    library.fit(frame[:cut])
    seconds = time.perf_counter() - began
    made = library.cross_validation(
        frame, n_windows=len(close) - cut, step_size=1, refit=False, use_init_models=False
    )
    return seconds, rmse_ratio(made.sort_values("ds")["LSTM"].to_numpy(), close, cut)


def by_darts(close, cut, lookback, units, epochs):
    from darts import TimeSeries
    from darts.dataprocessing.transformers import Scaler
    from darts.models import RNNModel

    series = TimeSeries.from_values(close.astype(np.float32))
    scaler = Scaler().fit(series[:cut])
    scaled = scaler.transform(series)
    quiet = {"pl_trainer_kwargs": {"accelerator": "cpu", "enable_progress_bar": False, "logger": False}}
    model = RNNModel(
        model="LSTM", hidden_dim=units, n_rnn_layers=2, input_chunk_length=lookback, training_length=lookback, n_epochs=epochs,
        batch_size=32, random_state=0, **quiet,
    )  # fmt: skip
    began = time.perf_counter()
    model.fit(scaled[:cut])
    seconds = time.perf_counter() - began
    made = model.historical_forecasts(scaled, start=cut, forecast_horizon=1, retrain=False, verbose=False)
    return seconds, rmse_ratio(scaler.inverse_transform(made).values()[:, 0], close, cut)


def main():
    request = json.load(sys.stdin)
    arguments = (
        np.array(request["close"]),
        request["cut"],
        request["lookback"],
        request["units"],
        request["epochs"],
    )
    answers = {
        "neuralforecast LSTM": by_neuralforecast(*arguments),
        "darts RNNModel LSTM": by_darts(*arguments),
    }
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
