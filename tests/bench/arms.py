"""What keeping models fresh gains and costs, on real prices: `python -m tests.bench.arms`.

Prices: `../shared/data/dev_prices.parquet` seen from the repository's root, up to `--until`. The nights of
the last `--sessions` cutoffs are replayed with each arm: `fine-tune` as nights are, `retrain` without their
fine-tunes, `none` trained once. One process; some three minutes for ten tickers and a year. Printed: all
tickers together at each step looked at, how many tickers each arm made better or worse, and what was decided
how often.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from typing import get_args

import pandas as pd

from forecast_lib.config import Arm, BacktestConfig, ModelConfig, TrainConfig
from forecast_lib.jobs.evaluate.backtests import backtest_pool, backtest_tables
from tests.bench import goals
from tests.made_up import panels_of

STEPS = (1, 5)
SIGNIFICANT = 0.05
SHOWN = (
    "model",
    "n",
    "rmse_ratio",
    "pinball_per_garch",
    "cov80",
    "cov95",
    "gain_over_none",
    "dm_none_stat",
    "dm_none_pvalue",
)
COST = ("cpu_seconds", "gain_per_cpu_second", "mcs_pvalue")


def options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.arms", description="Gain and cost of keeping models fresh."
    )
    parser.add_argument("--tickers", type=int, default=10, help="the first so many of the longest histories")
    parser.add_argument("--sessions", type=int, default=250, help="cutoffs tested")
    parser.add_argument("--until", default="2012-12-31", help="last day known")
    parser.add_argument("--arms", default=",".join(get_args(Arm)), help="separated by commas")
    parser.add_argument("--embargo", type=int, default=0)
    parser.add_argument("--window", type=int, default=None)
    return parser.parse_args(words)


def tickers_better_and_worse(scores: pd.DataFrame) -> pd.DataFrame:
    """One row an arm, one session ahead."""
    rows = []
    for model, own in scores[
        scores["arm"].notna() & (scores["ticker"] != "*") & (scores["step"] == 1)
    ].groupby("model"):
        sure = own[own["dm_none_qvalue"] <= SIGNIFICANT]
        better, worse = (int((own["gain_over_none"] * sign > 0).sum()) for sign in (1, -1))
        rows.append(
            {
                "model": model,
                "tickers": len(own),
                "better than none": better,
                "worse": worse,
                "best gain": own["gain_over_none"].max(),
                "worst": own["gain_over_none"].min(),
                "q≤.05 better": int((sure["gain_over_none"] > 0).sum()),
                "q≤.05 worse": int((sure["gain_over_none"] < 0).sum()),
            }
        )
    return pd.DataFrame(rows)


def main(words: Sequence[str]) -> None:
    """Print the tables."""
    asked = options(words)
    if not goals.DATA.exists():
        print(f"skipped: {goals.DATA.name} is not in ../shared/data")
        return
    series = goals.series_until(asked.until, ())
    longest = max(map(len, series))
    series = [each for each in series if len(each) == longest][: asked.tickers]
    share = asked.sessions / longest
    config = BacktestConfig(
        test_share=share,
        arms=tuple(asked.arms.split(",")),
        embargo=asked.embargo,
        window_sessions=asked.window,
    )
    began, cpu = time.perf_counter(), time.process_time()
    made = backtest_pool(series, (ModelConfig(),), TrainConfig(), config, seed=0)
    wall, used = time.perf_counter() - began, time.process_time() - cpu
    tables = backtest_tables(
        made,
        panels_of([each.losses for each in made]),
        (ModelConfig(),),
        config,
        run_id="bench",
        as_of=pd.Timestamp(asked.until),
        seconds=wall,
    )
    scores = tables["backtest_scores"]
    print(
        f"{len(series)} tickers ({', '.join(each.ticker for each in series)}), {asked.sessions} cutoffs up to"
        f" {asked.until}"
    )
    print(f"{wall:.0f} s, {used:.0f} CPU s in all; load {os.getloadavg()[0]:.1f}")
    for step in STEPS:
        all_of_them = scores[(scores["ticker"] == "*") & (scores["step"] == step)].sort_values(
            "pinball_per_garch"
        )
        all_of_them["gain_per_cpu_second"] = all_of_them["gain_per_cpu_second"].map("{:.2e}".format)
        goals.show(f"All tickers, {step} ahead", all_of_them[[*SHOWN, *COST]])
    goals.show("Tickers", tickers_better_and_worse(scores))
    decided = pd.DataFrame([split for each in made for split in each.splits])
    decided["new model"], decided["a baseline"] = decided["served_new"], ~decided["trained"]
    decided["last good"] = ~decided["new model"] & ~decided["a baseline"]
    answered = decided.groupby(["model", "decision", "trigger"])[
        ["new model", "last good", "a baseline"]
    ].sum()
    goals.show("Nights decided so, and who answered", answered.reset_index())


if __name__ == "__main__":
    main(sys.argv[1:])
