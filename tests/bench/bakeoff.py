"""All variants at the same budget: `python -m tests.bench.bakeoff --output FOLDER`.

Same optimiser steps, the same number of parameters within 5 % (widths are chosen for it), at least five
seeds, on the sines and on real tickers: for each seed one network pooled over all of them and fine-tuned for
each, as at night. Beside each mean stands the spread over the seeds; significance is the test of Diebold and
Mariano with Harvey's correction, for each ticker against the naive forecast and against the stacked default,
and a model confidence set, for each ticker and for all dates together. Each variant works in a process of its
own, so that its memory is its own.

Losses of a ticker are averaged over the seeds before they are tested: seeds are no independent evidence about
the market.
"""

import argparse
import dataclasses
import multiprocessing
import resource
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from forecast_lib.backtest.confidence_set import confidence_set
from forecast_lib.backtest.run import fold_pool_series
from forecast_lib.backtest.significance import compare_losses
from forecast_lib.backtest.splits import fold_days, folds_of
from forecast_lib.config import VARIANTS, BacktestConfig, ModelConfig, TrainConfig
from forecast_lib.distribution import pinball
from forecast_lib.forecast import Forecasts, forecast_with_baseline, forecast_with_model
from forecast_lib.models.bundle import Pool
from forecast_lib.models.network import Network, weight_specs
from forecast_lib.models.training import join_pool, network_of, train, train_member
from forecast_lib.recipes.catalogue import recipe_named
from forecast_lib.recipes.learning import learn, predict, run_free
from forecast_lib.recipes.run import FREE_STEPS, Scaler, improved_pace, rmse
from forecast_lib.recipes.series import sine_beyond, sine_series
from forecast_lib.recipes.splits import held_out_parts
from forecast_lib.windows.common import common_volatility, sharing
from forecast_lib.windows.series import TickerSeries, series_of
from tests.whole_parquet import read_parquet

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "dev_prices.parquet"
SINES = ("sine-small", "sine-unit")
TESTED = BacktestConfig(test_share=0.2)
CLOSENESS = 0.05
SIGNIFICANT = 0.05
IN_THE_SET = 0.1
BUDGET = TrainConfig(members=1, patience=TrainConfig().epochs)
"""Every variant takes all its steps; the best epoch's weights are kept."""


# --- the same budget


def parameters(network: Network) -> int:
    """How many numbers are trained."""
    return sum(int(np.prod(spec.shape)) for spec in weight_specs(network))


def as_wide_as(network: Network, budget: int) -> Network:
    """The network in the width that comes nearest to `budget` parameters.

    Raises:
        ValueError: no width comes within 5 %.
    """
    widths = (dataclasses.replace(network, units=units) for units in range(1, 200))
    nearest = min(widths, key=lambda wide: abs(parameters(wide) - budget))
    if abs(parameters(nearest) - budget) > CLOSENESS * budget:
        raise ValueError(
            f"{network.variant}: {parameters(nearest)} parameters is the nearest to {budget}; expected within"
            f" {CLOSENESS:.0%}"
        )
    return nearest


def sine_network(variant: str) -> Network:
    """As many parameters as LSTM(50) has: LSTM(4)'s 101 cannot be met by the others within 5 %."""
    budget = parameters(recipe_named("sine-unit").network)
    return as_wide_as(
        Network(variant, ModelConfig(variant).layers or 1, 1, 1, 1, 10, zero_head=False), budget
    )


def ticker_model(variant: str) -> ModelConfig:
    """As many parameters as our default model has."""
    own = ModelConfig(variant, horizon=1)
    return dataclasses.replace(
        own, units=as_wide_as(network_of(own), parameters(network_of(ModelConfig(horizon=1)))).units
    )


# --- the tasks


def sine_rows(name: str, variant: str, seeds: Iterable[int]) -> list[dict[str, object]]:
    """One row a seed: scaled test MSE, and the error of a free run."""
    recipe, network = recipe_named(name), sine_network(variant)
    series = sine_series(recipe)
    parts = held_out_parts(recipe, series)
    scaler = Scaler.fitted(recipe, series.values[: parts.known])
    scaled = scaler.scale(series.values)
    rows = []
    for seed in seeds:
        learned = learn(
            network, scaled, parts.train, improved_pace(recipe_named("sine-unit")), seed=seed, name=name
        )
        error = predict(learned, scaled, parts.scored) - scaled[np.asarray(parts.scored)]
        free = rmse(scaler.unscale(run_free(learned, scaled, FREE_STEPS)), sine_beyond(recipe, FREE_STEPS))
        rows.append(
            {
                "seed": seed,
                "test_mse_scaled": float((error**2).mean()),
                "free_run_rmse": free,
                "seconds": learned.seconds,
            }
        )
    return rows


def tickers_of(path: Path, wanted: Sequence[str]) -> list[TickerSeries]:
    """The series of the development prices; all of them when none is named."""
    prices = read_parquet(path, ("ticker", "date", "open", "high", "low", "close", "volume")).rename(
        columns={"date": "session"}
    )
    groups = {
        str(ticker): part.sort_values("session", ignore_index=True)
        for ticker, part in prices.groupby("ticker")
    }
    unknown = sorted(set(wanted) - set(groups))
    if unknown:
        raise SystemExit(f"{', '.join(unknown)}: not in {path.name}, which has {', '.join(groups)}")
    every = [series_of(ticker, part) for ticker, part in groups.items()]
    return [each for each in sharing(every, common_volatility(every)) if not wanted or each.ticker in wanted]


def scored_cutoffs(series: TickerSeries) -> tuple[int, int]:
    """The last fifth of the cutoffs that have an outcome."""
    return folds_of(series, TESTED)[0].cutoffs


def losses_of(forecasts: Forecasts, series: TickerSeries) -> tuple[np.ndarray, np.ndarray]:
    """Squared error and pinball loss of each cutoff, in price units."""
    actual = series.close[forecasts.cutoffs + 1]
    return (forecasts.point[:, 0] - actual) ** 2, pinball(actual, forecasts.quantiles[:, 0])


def pool_of(series: Sequence[TickerSeries], variant: str, seed: int) -> tuple[Pool, float]:
    """One pooled network of the variant, trained on what every ticker knew on the first test session, and the
    seconds it took.
    """
    model, (day,) = ticker_model(variant), fold_days(series, TESTED)
    known = fold_pool_series(series, day, model, BUDGET, TESTED)
    fit = train_member(known, model, BUDGET, seed=seed, member=0)
    return join_pool([fit], known, model, BUDGET, seed), fit.seconds


def ticker_losses(
    series: TickerSeries, variant: str, pool: Pool, seed: int
) -> tuple[dict[str, object], np.ndarray]:
    """The ticker's model, fine-tuned from the pool as at night: what it took, and its losses (2, cutoffs):
    squared, pinball.
    """
    cutoffs = scored_cutoffs(series)
    began = time.perf_counter()
    trained = train(series.until(cutoffs[0] + 1), ticker_model(variant), BUDGET, start=pool, seed=seed)
    tuned = time.perf_counter()
    losses = losses_of(forecast_with_model(trained.bundle, series, cutoffs), series)
    return {
        "ticker": series.ticker,
        "seed": seed,
        "seconds": tuned - began,
        "forecast_seconds": time.perf_counter() - tuned,
    }, np.array(losses)


@dataclasses.dataclass(frozen=True)
class Worked:
    """What the process of one variant brings back. `losses`: ticker -> (seeds, 2, cutoffs)."""

    variant: str
    sines: dict[str, list[dict[str, object]]]
    rows: list[dict[str, object]]
    pool_seconds: list[float]
    losses: dict[str, np.ndarray]
    peak_mib: float


def work(variant: str, series: list[TickerSeries], sines: Sequence[str], seeds: Sequence[int]) -> Worked:
    """Everything that one variant is asked to do."""
    sine_results = {name: sine_rows(name, variant, seeds) for name in sines}
    rows: list[dict[str, object]] = []
    pool_seconds: list[float] = []
    losses: dict[str, list[np.ndarray]] = {each.ticker: [] for each in series}
    for seed in seeds:
        pool, seconds = pool_of(series, variant, seed)
        pool_seconds.append(seconds)
        for each in series:
            row, own = ticker_losses(each, variant, pool, seed)
            rows.append(row)
            losses[each.ticker].append(own)
        print(
            f"{variant} seed {seed}: pool {seconds:.1f} s, then {len(series)} tickers",
            file=sys.stderr,
            flush=True,
        )
    joined = {ticker: np.array(each) for ticker, each in losses.items()}
    return Worked(
        variant,
        sine_results,
        rows,
        pool_seconds,
        joined,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


# --- the leaderboard


def sine_table(results: Sequence[Worked], name: str) -> pd.DataFrame:
    """Best first: median and spread over the seeds."""
    rows = []
    for worked in results:
        seeds, network = pd.DataFrame(worked.sines[name]), sine_network(worked.variant)
        rows.append(
            {
                "variant": worked.variant,
                "layers": network.layers,
                "units": network.units,
                "parameters": parameters(network),
                "test_mse_median": seeds["test_mse_scaled"].median(),
                "test_mse_lowest": seeds["test_mse_scaled"].min(),
                "test_mse_highest": seeds["test_mse_scaled"].max(),
                "free_run_rmse_median": seeds["free_run_rmse"].median(),
                "free_run_rmse_highest": seeds["free_run_rmse"].max(),
                "seconds_a_fit": (
                    seeds["seconds"].iloc[1:].mean() if len(seeds) > 1 else seeds["seconds"].mean()
                ),
                "seconds_first_fit": seeds["seconds"].iloc[0],
            }
        )
    return pd.DataFrame(rows).sort_values("test_mse_median", ignore_index=True)


def naive_losses(series: Sequence[TickerSeries]) -> dict[str, np.ndarray]:
    """Ticker -> (2, cutoffs)."""
    return {
        each.ticker: np.array(losses_of(forecast_with_baseline("naive", each, 1, scored_cutoffs(each)), each))
        for each in series
    }


def ticker_table(results: Sequence[Worked], naive: dict[str, np.ndarray]) -> pd.DataFrame:
    """One row a ticker and variant: ratios to naive, tests of the pinball loss, and the p-value in the
    ticker's confidence set.
    """
    rows = []
    for ticker, stays in naive.items():
        means = {worked.variant: worked.losses[ticker].mean(axis=0) for worked in results}
        in_set = confidence_set(np.column_stack([stays[1], *(mean[1] for mean in means.values())]))
        for place, (variant, mean) in enumerate(means.items(), start=1):
            row: dict[str, object] = {"ticker": ticker, "variant": variant, "n": mean.shape[1]}
            row["rmse_ratio"] = float(np.sqrt(mean[0].mean() / stays[0].mean()))
            row["pinball_ratio"] = float(mean[1].mean() / stays[1].mean())
            for loss, at in (("squared", 0), ("pinball", 1)):
                rivals = {
                    "naive": stays[at],
                    "stacked": means["stacked"][at] if "stacked" in means else mean[at],
                }
                for rival, theirs in rivals.items():
                    row[f"dm_{loss}_{rival}"], row[f"p_{loss}_{rival}"] = compare_losses(mean[at], theirs, 1)
            row["mcs_p"] = float(in_set[place])
            rows.append(row)
    return pd.DataFrame(rows)


def panel_confidence(
    results: Sequence[Worked], naive: dict[str, np.ndarray], series: Sequence[TickerSeries]
) -> np.ndarray:
    """(1 + variants,) p-values of naive and each variant: losses in units of the ticker's naive loss,
    averaged by date.
    """
    columns = []
    for losses in (
        naive,
        *({ticker: each.mean(axis=0) for ticker, each in worked.losses.items()} for worked in results),
    ):
        parts = [
            pd.Series(
                losses[each.ticker][1] / naive[each.ticker][1].mean(),
                index=each.sessions[slice(*scored_cutoffs(each))],
            )
            for each in series
        ]
        columns.append(pd.concat(parts).groupby(level=0).mean().to_numpy())
    return confidence_set(np.column_stack(columns))


def _wins(part: pd.DataFrame, loss: str, rival: str, sign: int) -> int:
    return int(
        ((part[f"p_{loss}_{rival}"] < SIGNIFICANT) & (np.sign(part[f"dm_{loss}_{rival}"]) == sign)).sum()
    )


def _over_seeds(worked: Worked, naive: dict[str, np.ndarray], at: int) -> np.ndarray:
    """(seeds,): geometric mean over tickers of the ratio to naive; of root mean squares for squared
    errors.
    """
    ratios = np.array(
        [worked.losses[ticker][:, at].mean(axis=1) / naive[ticker][at].mean() for ticker in naive]
    )
    return np.exp(np.log(ratios).mean(axis=0)) ** (0.5 if at == 0 else 1.0)


def leaderboard(
    results: Sequence[Worked],
    naive: dict[str, np.ndarray],
    details: pd.DataFrame,
    series: Sequence[TickerSeries],
) -> pd.DataFrame:
    """One row a variant, best mean pinball loss first."""
    in_panel = panel_confidence(results, naive, series)
    rows = []
    for place, worked in enumerate(results, start=1):
        part, model = details[details["variant"] == worked.variant], ticker_model(worked.variant)
        fits, squared, quantile = (
            pd.DataFrame(worked.rows),
            _over_seeds(worked, naive, 0),
            _over_seeds(worked, naive, 1),
        )
        spread = {"ddof": min(1, len(squared) - 1)}
        rows.append(
            {
                "variant": worked.variant,
                "layers": model.layers,
                "units": model.units,
                "parameters": parameters(network_of(model)),
                "steps": BUDGET.epochs * BUDGET.steps_per_epoch,
                "seeds": len(squared),
                "tickers": len(part),
                "rmse_ratio": squared.mean(),
                "rmse_ratio_seed_sd": squared.std(**spread),
                "pinball_ratio": quantile.mean(),
                "pinball_ratio_seed_sd": quantile.std(**spread),
                "pinball_better_naive": _wins(part, "pinball", "naive", -1),
                "pinball_worse_naive": _wins(part, "pinball", "naive", 1),
                "pinball_better_stacked": _wins(part, "pinball", "stacked", -1),
                "pinball_worse_stacked": _wins(part, "pinball", "stacked", 1),
                "squared_better_naive": _wins(part, "squared", "naive", -1),
                "squared_worse_naive": _wins(part, "squared", "naive", 1),
                "mcs_tickers": int((part["mcs_p"] >= IN_THE_SET).sum()),
                "mcs_p_all": float(in_panel[place]),
                "pool_seconds": float(np.median(worked.pool_seconds)),
                "pool_seconds_first": worked.pool_seconds[0],
                "ticker_seconds": fits["seconds"].median(),
                "forecast_seconds": fits["forecast_seconds"].median(),
                "peak_mib": worked.peak_mib,
            }
        )
    return pd.DataFrame(rows).sort_values("pinball_ratio", ignore_index=True)


def _markdown(frame: pd.DataFrame) -> str:
    cells = [
        [f"{value:.4g}" if isinstance(value, float) else str(value) for value in row]
        for row in frame.itertuples(index=False)
    ]
    lines = [list(map(str, frame.columns)), ["---"] * frame.shape[1], *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def publish(output: Path, tables: dict[str, pd.DataFrame], seconds: float) -> None:
    """Each table as CSV, and all but the details as one Markdown page."""
    output.mkdir(parents=True, exist_ok=True)
    page = ["# Variants at the same budget\n", f"Whole comparison: {seconds / 60:.1f} minutes.\n"]
    for name, table in tables.items():
        table.to_csv(output / f"{name}.csv", index=False)
        if name != "by-ticker":
            page.append(f"## {name}\n\n{_markdown(table)}")
    (output / "leaderboard.md").write_text("\n".join(page), encoding="utf-8")
    print("\n".join(page))


# --- the command


def options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.bakeoff", description="All variants at the same budget."
    )
    parser.add_argument("--output", type=Path, default=Path("workspace/bakeoff"), help="folder of the tables")
    parser.add_argument(
        "--tickers", default="", help="separated by commas; all of the development prices when not given"
    )
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--variants", default=",".join(VARIANTS), help="separated by commas")
    parser.add_argument(
        "--sines", default=",".join(SINES), help="sine tasks, separated by commas; - for none"
    )
    parser.add_argument(
        "--quick", action="store_true", help="two tickers, two seeds, one sine: does it work?"
    )
    return parser.parse_args(words)


def main(words: Sequence[str]) -> None:
    asked = options(words)
    names = [name for name in asked.tickers.split(",") if name] or (["AAPL", "KO"] if asked.quick else [])
    seeds = range(2 if asked.quick else asked.seeds)
    sines = SINES[-1:] if asked.quick else tuple(name for name in asked.sines.split(",") if name in SINES)
    series, began = tickers_of(DATA, names), time.perf_counter()
    results = []
    for variant in asked.variants.split(","):
        with multiprocessing.get_context("spawn").Pool(1) as alone:
            results.append(alone.apply(work, (variant, series, sines, seeds)))
    naive = naive_losses(series)
    details = ticker_table(results, naive)
    tables = {"leaderboard": leaderboard(results, naive, details, series), "by-ticker": details}
    publish(
        asked.output,
        {**tables, **{name: sine_table(results, name) for name in sines}},
        time.perf_counter() - began,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
