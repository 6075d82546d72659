"""The training engine beside the alternatives: `python -m tests.bench.engine [--only SECTIONS] [--repeats
N]`.

- `arithmetic`: one epoch of the walkthroughs' network (2 x 50, windows of 60, batches of 32, same start, same
  order) in stock Keras, in our
  TensorFlow program and in the compiled kernel, with the share of this machine's own matrix products,
  measured in the same rounds.
- `ticker`: a ticker's night against the walkthroughs' way, seconds and test RMSE as a multiple of "the price
  stays".
- `profile`: where a step's time goes.
- `memory`: resident memory over 1,000 fits.
- `growth`: processor time of training, judging and forecasting 50 to 5,000 tickers with short histories, and
  its exponent.
- `others`: neuralforecast's and darts's LSTM on the same ticker, in an environment of their own that is built
  under `build/`.

Whatever is compared takes turns, so that a busy machine slows all of them; figures are medians over the
turns. Beside seconds on the clock stand the processors' seconds, which do not count waiting for other
programs. Stock Keras has a process of its own, with the threads that
TensorFlow gives it. Prices: TSLA from `../shared/data/classics` where it is there, else a simulated ticker.
"""

import argparse
import contextlib
import datetime as dt
import json
import math
import multiprocessing
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from sklearn.preprocessing import MinMaxScaler

from forecast_lib.config import ModelConfig, TrainConfig
from forecast_lib.domain import Ticker
from forecast_lib.forecast import forecast_with_model
from forecast_lib.jobs.forecast.tickers import Question, forecast_shard
from forecast_lib.jobs.refresh.decisions import Decision
from forecast_lib.jobs.refresh.models import Work, refresh_shard
from forecast_lib.models import engine, kernel
from forecast_lib.models.bundle import Pool
from forecast_lib.models.network import Network, first_weights
from forecast_lib.models.training import join_pool, train, train_member
from forecast_lib.prices.sources.files import FilesSource
from forecast_lib.prices.sources.simulated import SimulatedMarket
from forecast_lib.windows.sequences import Batches, Framing
from forecast_lib.windows.series import TickerSeries, series_of
from forecast_lib.windows.threads import use_one_thread
from tests import made_up

LOOKBACK, UNITS, EPOCHS, BATCH, TEST_SHARE, RATE = 60, 50, 10, 32, 0.2, 1e-3
WALKTHROUGH = Network("stacked", 2, UNITS, 1, 1, LOOKBACK, zero_head=False)
WINDOW = Framing(LOOKBACK, 1)
ROOT = Path(__file__).resolve().parents[2]
TSLA = ROOT.parent / "shared" / "data" / "classics" / "TSLA.csv"
GROWTH, GROWTH_SESSIONS = (50, 150, 500, 1500, 5000), 400
OTHERS = ROOT / "build" / "bench-others"
OTHERS_NEED = ("neuralforecast", "darts", "torch", "pandas")


def history() -> TickerSeries:
    """The ticker's whole history."""
    if TSLA.exists():
        return series_of(
            "TSLA",
            FilesSource(TSLA).fetch({Ticker("TSLA"): None}, dt.date(2024, 3, 8)).of(Ticker("TSLA")).prices,
        )
    return series_of(
        "SIM1",
        SimulatedMarket(0).fetch({Ticker("SIM1"): None}, dt.date(2024, 3, 8)).of(Ticker("SIM1")).prices,
    )


def cut_of(series: TickerSeries) -> int:
    """How many sessions come before the test part."""
    return round(len(series) * (1 - TEST_SHARE))


def scaled_windows(series: TickerSeries) -> tuple[MinMaxScaler, np.ndarray, np.ndarray, int]:
    """The walkthroughs' data, oldest first, and how many windows come before the test part; the scaler sees
    all of it, as there.
    """
    scaler = MinMaxScaler().fit(series.close[:, None])
    scaled = scaler.transform(series.close[:, None])[:, 0].astype(np.float32)
    return (
        scaler,
        np.lib.stride_tricks.sliding_window_view(scaled, LOOKBACK)[:-1, :, None],
        scaled[LOOKBACK:],
        cut_of(series) - LOOKBACK,
    )


def one_epoch(series: TickerSeries) -> Batches:
    """The training windows in order, in whole batches."""
    _, windows, targets, cut = scaled_windows(series)
    steps = cut // BATCH
    wanted = targets[: steps * BATCH].reshape(steps, BATCH, 1, 1)
    return Batches(
        np.ascontiguousarray(windows[: steps * BATCH]).reshape(steps, BATCH, LOOKBACK, 1),
        wanted,
        np.ones_like(wanted),
    )


def rmse_ratio(predicted: np.ndarray, series: TickerSeries) -> float:
    """RMSE on the test part over that of "the price stays"."""
    actual, before = series.close[cut_of(series) :], series.close[cut_of(series) - 1 : -1]
    return float(np.sqrt(((predicted - actual) ** 2).mean() / ((before - actual) ** 2).mean()))


def _stock_keras(pipe: Any, series: TickerSeries) -> None:
    """A process of stock Keras: answers "epoch" with both kinds of seconds and the loss, "walkthrough" with
    seconds and RMSE ratio.
    """
    import keras

    scaler, windows, targets, cut = scaled_windows(series)
    data = one_epoch(series)

    def compiled() -> Any:
        layers = [
            keras.layers.LSTM(UNITS, return_sequences=True),
            keras.layers.LSTM(UNITS),
            keras.layers.Dense(1),
        ]
        model = keras.Sequential([keras.Input((LOOKBACK, 1)), *layers])
        model.compile(optimizer="adam", loss="mse")
        return model

    def fitted(model: Any, x: np.ndarray, y: np.ndarray, **more: Any) -> tuple[float, float, float]:
        losses: list[float] = []
        clock, processors = seconds_of(
            lambda: losses.extend(model.fit(x, y, batch_size=BATCH, verbose=0, **more).history["loss"])
        )
        return clock, processors, losses[0]

    start = list(first_weights(WALKTHROUGH, 0).values())
    same = compiled()
    pipe.send("ready")
    for request in iter(pipe.recv, None):
        if request == "epoch":
            same.set_weights(start)
            flat = data.inputs.reshape(-1, LOOKBACK, 1), data.targets.reshape(-1, 1)
            pipe.send(fitted(same, *flat, shuffle=False))
        else:
            model = compiled()
            seconds, _, _ = fitted(model, windows[:cut], targets[:cut], epochs=EPOCHS)
            pipe.send(
                (
                    seconds,
                    rmse_ratio(
                        scaler.inverse_transform(model.predict(windows[cut:], verbose=0))[:, 0], series
                    ),
                )
            )


@contextlib.contextmanager
def stock_keras(series: TickerSeries) -> Iterator[Callable[[str], tuple[float, ...]]]:
    """Ask stock Keras in its own process."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_stock_keras, args=(there, series))
    process.start()

    def ask(request: str) -> tuple[float, ...]:
        here.send(request)
        return tuple(here.recv())

    try:
        here.recv()
        yield ask
    finally:
        here.send(None)
        process.join()


def seconds_of(work: Callable[[], Any]) -> tuple[float, float]:
    """How long it takes once: on the clock, and of all this process's threads' own time."""
    clock, processors = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processors


def flops(network: Network, framing: Framing, batch: int) -> float:
    """Operations of one optimiser step: 4h(d + h + 1) multiply-adds a layer, sample and session, three times,
    two operations each.
    """
    inputs = [network.inputs] + [network.units] * (network.layers - 1)
    return 6.0 * sum(4 * network.units * (d + network.units + 1) for d in inputs) * framing.length * batch


def product_seconds(threads: int, size: int = 1024) -> tuple[float, float]:
    """Of a GFLOP of this machine's single-precision matrix products, as many side by side as threads."""
    use_one_thread()
    factors = [
        np.random.default_rng(0).standard_normal((size, size)).astype(np.float32) for _ in range(threads)
    ]
    results = [np.empty_like(each) for each in factors]

    def several(at: int) -> None:
        for _ in range(8):
            np.matmul(factors[at], factors[at], out=results[at])

    with ThreadPoolExecutor(threads) as pool:
        clock, processors = seconds_of(lambda: list(pool.map(several, range(threads))))
    work = 16.0 * threads * size**3 / 1e9
    return clock / work, processors / work


def kernel_trainer() -> kernel.Kernel:
    """The kernel at the walkthrough's network."""
    return kernel.Kernel(WALKTHROUGH, WINDOW, first_weights(WALKTHROUGH, 0), loss="mse", clip_norm=None)


def program_trainer() -> Any:
    """The TensorFlow program at the walkthrough's network."""
    from forecast_lib.models.program import Trainer

    return Trainer(WALKTHROUGH, WINDOW, first_weights(WALKTHROUGH, 0), loss="mse", clip_norm=None, seed=0)


def arithmetic(series: TickerSeries, repeats: int) -> None:
    """The same steps in stock Keras, our TensorFlow program and the kernel."""
    data = one_epoch(series)
    work = flops(WALKTHROUGH, WINDOW, BATCH) * len(data.inputs) / 1e9
    makers = {"our TensorFlow program": program_trainer, "kernel": kernel_trainer}
    loss = {name: make().epoch(RATE, data) for name, make in makers.items()}  # compiles, too
    rows: dict[tuple[str, int], list[tuple[float, float]]] = {}

    def note(name: str, threads: int, seconds: tuple[float, ...]) -> None:
        rows.setdefault((name, threads), []).append((seconds[0] / threads, seconds[1] / threads))

    with stock_keras(series) as ask, ThreadPoolExecutor(2) as pool:
        loss["stock Keras"] = ask("epoch")[2]
        for _ in range(repeats):
            rows.setdefault(("stock Keras", 2), []).append(ask("epoch")[:2])
            for name, make in makers.items():
                trainers = make(), make()
                note(name, 1, seconds_of(lambda trainer=trainers[0]: trainer.epoch(RATE, data)))
                note(
                    name,
                    2,
                    seconds_of(
                        lambda pair=trainers: list(pool.map(lambda trainer: trainer.epoch(RATE, data), pair))
                    ),
                )
            for threads in (1, 2):
                rows.setdefault(("ceiling", threads), []).append(product_seconds(threads))
    medians = {
        key: tuple(statistics.median(values) for values in zip(*pairs, strict=True))
        for key, pairs in rows.items()
    }
    ceiling = {threads: medians.pop(("ceiling", threads)) for threads in (1, 2)}
    base = medians["stock Keras", 2]
    print(
        f"{len(data.inputs)} steps of {BATCH} windows of {LOOKBACK}, {work:.1f} GFLOP; medians of {repeats}"
    )
    print(
        f"the machine's matrix products: {1 / ceiling[1][0]:.0f} GFLOP/s in one thread,"
        f" {1 / ceiling[2][0]:.0f} in two"
    )
    for (name, threads), (clock, processors) in medians.items():
        share = work / clock * ceiling[threads][0]
        print(f"{name}, {threads} thread{'s' if threads > 1 else ''}:".ljust(34), end="")
        print(
            f"{clock:7.3f} s a ticker {work / clock:6.1f} GFLOP/s {share:5.0%} of the ceiling"
            f" {base[0] / clock:5.1f} x Keras;",
            end="",
        )
        print(f"  processors' {processors:6.3f} s {base[1] / processors:5.1f} x Keras")
    print("mean loss of the first epoch: " + ", ".join(f"{name} {value:.8f}" for name, value in loss.items()))


def pool_of(series: TickerSeries, config: TrainConfig) -> tuple[Pool, float]:
    """The pooled networks that a night would train once, here on this one ticker's past, and their
    seconds.
    """
    known = [series.until(cut_of(series))]
    began = time.perf_counter()
    members = [
        train_member(known, ModelConfig(), config, seed=0, member=member) for member in range(config.members)
    ]
    return join_pool(members, known, ModelConfig(), TrainConfig(), 0), time.perf_counter() - began


def ours(series: TickerSeries, pool: Pool, config: TrainConfig) -> tuple[float, float]:
    """Seconds of one ticker's training at night, and its test RMSE ratio at one session ahead."""
    known = series.until(cut_of(series))
    began = time.perf_counter()
    bundle = train(known, ModelConfig(), config, start=pool, seed=0).bundle
    seconds = time.perf_counter() - began
    made = forecast_with_model(bundle, series, (cut_of(series) - 1, len(series) - 1))
    return seconds, rmse_ratio(made.point[:, 0], series)


def ticker(series: TickerSeries, repeats: int) -> None:
    """A ticker's night beside the walkthroughs' way."""
    config = TrainConfig()
    pool, pooled = pool_of(series, config)
    ours(series, pool, config)
    with stock_keras(series) as ask:
        pairs = [(ask("walkthrough"), ours(series, pool, config)) for _ in range(repeats)]
    theirs, mine = (
        [statistics.median(values) for values in zip(*side, strict=True)] for side in zip(*pairs, strict=True)
    )
    print(f"{series.ticker}, {len(series)} sessions; medians of {repeats}")
    print(f"stock Keras, walkthrough         {theirs[0]:8.2f} s a ticker   RMSE {theirs[1]:.4f} of naive")
    print(
        f"ours, a ticker at night          {mine[0]:8.2f} s a ticker   RMSE {mine[1]:.4f} of naive  "
        f" {theirs[0] / mine[0]:6.1f} x Keras"
    )
    print(f"ours, pooled networks once       {pooled:8.2f} s for all tickers ({config.members} networks)")


@njit(nogil=True)
def _repeated(count, function, arguments):
    for _ in range(count):
        function(*arguments)


def _parts(
    trainer: kernel.Kernel, data: Batches
) -> dict[str, list[tuple[Callable[..., Any], tuple[Any, ...]]]]:
    """What a step of the kernel calls at each session and layer, with arguments of the second session."""
    shape, state, places = trainer._shape, trainer._state, trainer._matrices
    work = trainer._workspace(BATCH)
    columns, size, calls = work.read.shape[3], UNITS * work.read.shape[3], {}
    weights, read, back = state.weights, work.read.reshape(-1), work.back.reshape(-1)
    for layer in range(shape.layers):
        begin, width, depth = (int(each) for each in places[layer])
        gates, cell, at = (
            work.gates[layer, 1].copy(),
            work.cells[layer, 2].copy(),
            int(work.read[:layer].size + work.read[0, 0].size),
        )
        i, f, g, o, t = (gates[part * size : (part + 1) * size] for part in range(5))
        rows, span = (2 if layer else 1) * UNITS, back[: 2 * size].copy()
        ahead = (
            gates.copy(),
            0,
            columns,
            4 * UNITS,
            columns,
            weights,
            begin,
            1,
            width,
            read,
            at,
            columns,
            depth,
            False,
        )
        behind = (
            back,
            0,
            columns,
            rows,
            columns,
            weights,
            begin + width,
            width,
            1,
            gates,
            0,
            columns,
            4 * UNITS,
            False,
        )
        gradient = (
            state.gradient.copy(),
            begin,
            width,
            depth,
            width,
            read,
            at,
            columns,
            1,
            work.turned,
            0,
            width,
            columns,
            True,
        )
        sigmoids, later, above = gates[: 2 * size].copy(), span[:size], span[size:]
        parts = {
            "products with inputs and states": [(kernel._product, ahead)],
            "gates' activations": [
                (kernel._all_sigmoid, (sigmoids,)), (kernel._all_tanh, (g.copy(),)), (kernel._all_sigmoid, (o.copy(),))
            ],
            "cell and state": [(kernel._next_cell, (i, f, g, cell.copy(), cell)), (kernel._next_state, (o, cell, t, cell.copy()))],
            "back through cell and gates": [
                (kernel._back_state, (o.copy(), t, later, above, cell.copy())),
                (kernel._back_cell, (i.copy(), f.copy(), g.copy(), cell, cell.copy())),
            ],
            "products back to inputs and states": [(kernel._product, behind)],
            "gradients transposed": [(kernel._transpose, (work.turned, width, gates, 4 * UNITS, columns))],
            "products for the weights' gradient": [(kernel._product, gradient)],
        }  # fmt: skip
        for name, called in parts.items():
            calls.setdefault(name, []).extend(called)
    return calls


def profile(series: TickerSeries, repeats: int) -> None:
    """Where a step's time goes: in TensorFlow's program as far as it tells, in the kernel part by part."""
    data = Batches(*(array[:8] for array in vars(one_epoch(series)).values()))
    before, trainer = program_trainer(), kernel_trainer()
    whole = {"kernel": trainer, "TensorFlow program": before}
    rounds: dict[str, list[float]] = {}
    calls = _parts(trainer, data) if trainer.epoch(RATE, data) else {}
    adam = (trainer._state, len(trainer._state.weights), 0.0, math.inf, 1.0)
    for turn in range(repeats + 1):  # the first compiles
        for name, each in whole.items():
            steps = seconds_of(lambda each=each: each.epoch(RATE, data))[0] / len(data.inputs)
            one = Batches(*(array[:1] for array in vars(data).values()))
            ahead = seconds_of(lambda each=each, one=one: each.evaluate(one))[0]
            for label, value in ((name, steps), (f"{name}, forward only", ahead)):
                rounds.setdefault(label, []).append(value)
        for name, called in calls.items():
            seconds = sum(seconds_of(lambda call=call: _repeated(600, *call))[0] / 600 for call in called)
            rounds.setdefault(name, []).append(seconds * LOOKBACK)
        rounds.setdefault("Adam", []).append(seconds_of(lambda: _repeated(20, kernel._adam, adam))[0] / 20)
        if not turn:
            rounds.clear()
    medians = {name: statistics.median(values) for name, values in rounds.items()}
    print(f"one step of {BATCH} windows of {LOOKBACK}, one thread, medians of {repeats}")
    for name in whole:
        total, ahead = medians[name], medians[f"{name}, forward only"]
        print(
            f"{name:38}{1e3 * total:8.2f} ms, of it forward {ahead / total:4.0%}, backward and Adam"
            f" {1 - ahead / total:4.0%}"
        )
    parts = {name: medians[name] for name in (*calls, "Adam")}
    parts["all else: copies, memory, head"] = medians["kernel"] - sum(parts.values())
    for name, seconds in parts.items():
        print(f"  {name:36}{1e3 * seconds:8.2f} ms {seconds / medians['kernel']:5.0%}")


def _resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def memory(series: TickerSeries, repeats: int) -> None:
    """Resident memory over 1,000 fits by the kernel; they are as long as it takes to fill every array,
    whatever `repeats` says.
    """
    data = Batches(*(array[:1] for array in vars(one_epoch(series)).values()))
    sizes = {}
    for count in range(1, 1001):
        start = first_weights(WALKTHROUGH, count)
        engine.fit(
            WALKTHROUGH,
            WINDOW,
            start,
            lambda epoch: data,
            None,
            engine.Schedule(1, RATE),
            loss="mse",
            seed=count,
            ticker="ACME",
        )
        if count in (10, 100, 500, 1000):
            sizes[count] = _resident_mib()
    print(
        "resident memory after fits: "
        + ", ".join(f"{count}: {size:.0f} MiB" for count, size in sizes.items())
    )
    print(f"growth from 10 to 1,000: {sizes[1000] / sizes[10] - 1:+.1%}")


def growth(series: TickerSeries, repeats: int) -> None:
    """Processor time over tickers, from 50 to 5,000, whatever `repeats` says; one network each, so that the
    largest is done in minutes.
    """
    model, config = ModelConfig(), TrainConfig(members=1)
    tickers = [made_up.noisy(GROWTH_SESSIONS, seed, f"T{seed}") for seed in range(max(GROWTH))]
    pool = join_pool(
        [train_member(tickers[:50], model, config, seed=0, member=0)], tickers[:50], model, config, 0
    )

    def night(shard: list[TickerSeries]) -> int:
        works = [
            Work(each, Decision("retrain", "no_model"), start=pool, pool_sha256="0" * 64) for each in shard
        ]
        found = refresh_shard(works, model, config, 0)
        asked = [Question(each, one.served) for each, one in zip(shard, found, strict=True)]
        return len(forecast_shard(asked, model.horizon))

    night(tickers[:8])
    seconds = []
    print(
        f"{GROWTH_SESSIONS} sessions a ticker, one network of two layers of {model.units} each, two threads"
    )
    for count in GROWTH:
        shards = [tickers[begin : min(begin + 8, count)] for begin in range(0, count, 8)]
        with ThreadPoolExecutor(2) as workers:
            clock, processors = seconds_of(
                lambda shards=shards, workers=workers: list(workers.map(night, shards))
            )
        seconds.append(processors)
        took = f"{clock:8.1f} s {processors:8.1f} CPU s {1e3 * processors / count:7.1f} CPU ms a ticker"
        print(f"{count:6d} tickers {took} {_resident_mib():6.0f} MiB", flush=True)
    exponent = np.polyfit(np.log(GROWTH), np.log(seconds), 1)[0]
    print(f"processor time grows with the tickers to the power of {exponent:.3f} (goal 1.05)")


def _others_python() -> Path:
    """The other libraries' own environment, built once.

    Raises:
        subprocess.CalledProcessError: it cannot be built here.
    """
    python = OTHERS / "bin" / "python"
    if not (OTHERS / "ready").exists():
        uv = [sys.executable, "-m", "uv"]  # resolves in seconds what takes pip a quarter of an hour
        subprocess.run(
            [*uv, "venv", "--clear", "--python", sys.executable, OTHERS], check=True, capture_output=True
        )
        subprocess.run(
            [*uv, "pip", "install", "--python", python, *OTHERS_NEED],
            check=True,
            capture_output=True,
            timeout=1500,
        )
        (OTHERS / "ready").touch()
    return python


def others(series: TickerSeries, repeats: int) -> None:
    """neuralforecast and darts on the same ticker, beside ours."""
    try:
        python = _others_python()
    except (OSError, subprocess.SubprocessError) as problem:
        said = (
            (getattr(problem, "stderr", None) or str(problem).encode())
            .decode(errors="replace")
            .strip()
            .splitlines()
        )
        print(f"skipped: their environment cannot be built here ({said[-1] if said else problem})")
        return
    config = TrainConfig()
    pool, _ = pool_of(series, config)
    ours(series, pool, config)
    request = json.dumps(
        {
            "close": series.close.tolist(),
            "cut": cut_of(series),
            "lookback": LOOKBACK,
            "units": UNITS,
            "epochs": EPOCHS,
        }
    )
    turns = []
    for _ in range(repeats):
        ended = subprocess.run(
            [python, Path(__file__).with_name("_others.py")],
            input=request,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            print(f"skipped: {ended.stderr.strip().splitlines()[-1]}")
            return
        turns.append(
            json.loads(ended.stdout.splitlines()[-1])
            | {"ours, a ticker at night": ours(series, pool, config)}
        )
    mine = statistics.median(turn["ours, a ticker at night"][0] for turn in turns)
    print(f"{series.ticker}, {len(series)} sessions; medians of {repeats}")
    for name in turns[0]:
        seconds, ratio = (statistics.median(turn[name][at] for turn in turns) for at in (0, 1))
        print(
            f"{name:34}{seconds:8.2f} s a ticker   RMSE {ratio:.4f} of naive   ours takes"
            f" {seconds / mine:6.1f} times less"
        )


SECTIONS = {each.__name__: each for each in (arithmetic, profile, memory, growth, ticker, others)}


def main(arguments: list[str]) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.engine", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "--only", default=",".join(SECTIONS), help=f"of {','.join(SECTIONS)}; separated by commas"
    )
    parser.add_argument("--repeats", type=int, default=5, help="turns that each alternative takes")
    options = parser.parse_args(arguments)
    chosen = options.only.split(",")
    if unknown := [name for name in chosen if name not in SECTIONS]:
        parser.error(f"section {unknown[0]!r} is not known: expected one of {', '.join(SECTIONS)}")
    series = history()
    print(f"training path on this machine: {engine.path_of(WALKTHROUGH)}")
    for name in chosen:
        print(f"-- {name}", flush=True)
        SECTIONS[name](series, options.repeats)


if __name__ == "__main__":
    main(sys.argv[1:])
