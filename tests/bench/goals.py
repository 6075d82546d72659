"""Every goal of the forecasts on real prices, in two periods, beside all baselines: `python -m
tests.bench.goals`.

Prices: `../shared/data/dev_prices.parquet` seen from the repository's root. For each period the series end
with it, and every cutoff in it is tested; models are fitted before and along it by the nightly schedule
of the backtest. One process a period.

`--model NAME` judges another variant, or a baseline instead of a network (no training: seconds instead of
minutes); `--periods` and `--tickers` choose, separated by commas. Printed for each period: the goals, met or
not; all models' figures at one session ahead; tests of significance. Geometric means are over tickers, each
with the same weight.
"""

import argparse
import functools
import itertools
import multiprocessing
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from forecast_lib.backtest.metrics import qlike
from forecast_lib.backtest.rows import backtest_rows
from forecast_lib.backtest.scores import scores_of_all, ticker_scores
from forecast_lib.backtest.significance import compare_losses, false_discovery_rates
from forecast_lib.calibration import variance_factor
from forecast_lib.config import BacktestConfig, ModelConfig, TrainConfig
from forecast_lib.distribution import pinball
from forecast_lib.forecast import forecast_with_baseline
from forecast_lib.models.baselines import BASELINES, PARTS
from forecast_lib.tables import QUANTILE_COLUMNS
from forecast_lib.windows.common import common_volatility, sharing
from forecast_lib.windows.features import session_features
from forecast_lib.windows.series import TickerSeries, series_of
from tests.made_up import panels_of
from tests.whole_parquet import read_parquet

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "dev_prices.parquet"
PERIODS = {"2006-2012": ("2006-01-01", "2012-12-31"), "2013-2021": ("2013-01-01", "2021-12-31")}
HORIZON = 20
STEPS = (1, 5, 20)
FEWEST_CUTOFFS = 250  # of a ticker in a period
REFIT_SESSIONS = 250  # of the network in the backtest
SIGNIFICANT, IN_THE_SET = 0.05, 0.1


@dataclass(frozen=True)
class Tested:
    """A period's rows of the steps looked at, and their scores, tickers and `*`."""

    rows: pd.DataFrame
    scores: pd.DataFrame
    seconds: float

    def of(self, model: str, step: int = 1) -> pd.DataFrame:
        """The tickers' scores of a model at a step, by ticker."""
        part = self.scores[
            (self.scores["model"] == model) & (self.scores["step"] == step) & (self.scores["ticker"] != "*")
        ]
        return part.set_index("ticker").sort_index()

    def pooled(self, model: str, step: int = 1) -> pd.Series:
        """The same for all tickers together."""
        chosen = (
            (self.scores["model"] == model) & (self.scores["step"] == step) & (self.scores["ticker"] == "*")
        )
        return self.scores[chosen].iloc[0]


# --- testing


def series_until(last: str, wanted: Sequence[str]) -> list[TickerSeries]:
    """Every ticker's history up to that day."""
    prices = read_parquet(DATA, ("ticker", "date", "open", "high", "low", "close", "volume")).rename(
        columns={"date": "session"}
    )
    prices = prices[prices["session"] <= pd.Timestamp(last)]
    groups = {
        str(ticker): part.sort_values("session", ignore_index=True)
        for ticker, part in prices.groupby("ticker")
    }
    every = [series_of(ticker, part) for ticker, part in groups.items()]
    return [each for each in sharing(every, common_volatility(every)) if not wanted or each.ticker in wanted]


def first_tested(series: TickerSeries, first: str) -> int:
    """Index of the first cutoff of the period."""
    return int(np.searchsorted(series.sessions, np.datetime64(first)))


def baselines_of(series: TickerSeries, first: str) -> tuple[pd.DataFrame, dict[str, float]]:
    """Rows of every baseline at the steps looked at, and what each cost."""
    features, cutoffs = (
        session_features(series),
        (max(first_tested(series, first), REFIT_SESSIONS), len(series) - 1),
    )
    parts, seconds = [], {}
    for name in BASELINES:
        began = time.perf_counter()
        made = forecast_with_baseline(name, series, HORIZON, cutoffs)
        seconds[name] = time.perf_counter() - began
        rows = backtest_rows([(name, made)], series, features)
        parts.append(rows[rows["step"].isin(STEPS)])
    return pd.concat(parts, ignore_index=True), seconds


def network_rows(
    variant: str, series: Sequence[TickerSeries], first: str
) -> list[tuple[pd.DataFrame, dict[str, float]]]:
    """The same from the backtest of a network, which has the baselines and what would have been served beside
    it.
    """
    from forecast_lib.jobs.evaluate.backtests import backtest_pool

    longest = max(series, key=len)
    tested = len(longest) - first_tested(longest, first)
    config = BacktestConfig(test_share=tested / len(longest), folds=max(tested // REFIT_SESSIONS, 1))
    results = backtest_pool(
        series, (ModelConfig(variant=variant, horizon=HORIZON),), TrainConfig(), config, seed=0
    )
    made = []
    for result in results:
        rows = result.forecasts
        kept = rows["step"].isin(STEPS) & (rows["cutoff"] >= pd.Timestamp(first))
        seconds = result.scores.drop_duplicates("model").set_index("model")["seconds"].to_dict()
        made.append((answered_by_all(rows[kept]), seconds))
    return made


def answered_by_all(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the cutoffs at which every model answered, so that all are judged on the same sessions."""
    answers = rows.groupby("cutoff")["model"].transform("nunique")
    return rows[answers == answers.max()]


def test_period(task: tuple[str, str, tuple[str, ...]]) -> Tested:
    """Everything of one period; works in a process of its own."""
    period, model, wanted = task
    first, last = PERIODS[period]
    began = time.perf_counter()
    series = series_until(last, wanted)
    series = [
        each
        for each in series
        if len(each) - max(first_tested(each, first), REFIT_SESSIONS) >= FEWEST_CUTOFFS
    ]
    made = (
        [baselines_of(each, first) for each in series]
        if model in BASELINES
        else network_rows(model, series, first)
    )
    return tested_of(made, began)


def tested_of(made: Sequence[tuple[pd.DataFrame, Mapping[str, float]]], began: float) -> Tested:
    """Rows and seconds of each ticker, scored since `began`."""
    scores, losses = zip(*(ticker_scores(rows, seconds) for rows, seconds in made), strict=True)
    everything = scores_of_all(panels_of(losses), pd.concat(scores, ignore_index=True))
    rows = pd.concat([rows for rows, _ in made], ignore_index=True)
    return Tested(rows, everything, time.perf_counter() - began)


@functools.cache
def tested_periods(periods: tuple[str, ...], model: str, wanted: tuple[str, ...]) -> dict[str, Tested]:
    """Everything of these periods, each tested once for all benches that one process runs."""
    tasks = [(period, model, wanted) for period in periods]
    with multiprocessing.get_context("spawn").Pool(min(2, len(tasks))) as pool:
        return dict(zip(periods, pool.map(test_period, tasks, chunksize=1), strict=True))


# --- figures


def geometric(ratios: pd.Series) -> float:
    return float(np.exp(np.log(ratios).mean()))


def against(tested: Tested, model: str, rival: str, column: str, step: int = 1) -> pd.Series:
    """Ratio of a score to a rival's, by ticker."""
    return (tested.of(model, step)[column] / tested.of(rival, step)[column]).dropna()


def pinballs(tested: Tested, model: str) -> pd.Series:
    """Pinball loss at one session by ticker and cutoff."""
    rows = tested.rows[(tested.rows["model"] == model) & (tested.rows["step"] == 1)]
    losses = pinball(rows["actual"].to_numpy(), rows[list(QUANTILE_COLUMNS)].to_numpy())
    return pd.Series(
        losses, pd.MultiIndex.from_arrays([rows["ticker"], rows["cutoff"]], names=["ticker", "cutoff"])
    ).sort_index()


def by_ticker(tested: Tested, model: str, rival: str) -> pd.DataFrame:
    """Statistic, p and q of the test of the pinball loss against the rival, by ticker."""
    ours, theirs = pinballs(tested, model), pinballs(tested, rival)
    tickers = list(tested.of(model).index)
    found = pd.DataFrame(
        [compare_losses(ours[ticker].to_numpy(), theirs[ticker].to_numpy(), 1) for ticker in tickers],
        tickers,
        ["stat", "pvalue"],
    )
    return found.assign(qvalue=false_discovery_rates(found["pvalue"].to_numpy()))


def panel(tested: Tested, model: str, rival: str) -> tuple[float, float]:
    """The same for all tickers: losses in units of the rival's, averaged by date."""
    ours, theirs = pinballs(tested, model), pinballs(tested, rival)
    unit = theirs.groupby("ticker").mean()
    dated = [
        losses.div(unit, level="ticker").groupby("cutoff").mean().to_numpy() for losses in (ours, theirs)
    ]
    return compare_losses(*dated, horizon=1)


def recalibrated_qlike(tested: Tested, model: str) -> float:
    """QLIKE with the variance forecast brought to the level of what was measured before, as a network's is;
    mean over tickers.
    """
    means = []
    for _, rows in tested.rows[(tested.rows["model"] == model) & (tested.rows["step"] == 1)].groupby(
        "ticker"
    ):
        sigma, realised = rows["sigma"].to_numpy(), rows["realised_variance"].to_numpy()
        factor = variance_factor((realised / sigma**2)[:, None], len(rows))[:, 0]
        means.append(qlike(sigma * np.sqrt(factor), realised).mean())
    return float(np.mean(means))


def better_of_naive_and_drift(tested: Tested, model: str, step: int) -> float:
    """RMSE over that of naive or of drift, whichever is lower over all tickers; geometric mean."""
    return geometric(tested.of(model, step)["rmse_ratio"]) / min(
        1.0, geometric(tested.of("drift", step)["rmse_ratio"])
    )


# --- goals

Figure = Callable[[Tested, str], float]


def _mean(column: str) -> Figure:
    return lambda tested, model: float(tested.of(model)[column].mean())


def _ratio(column: str, rival: str, step: int = 1) -> Figure:
    return lambda tested, model: geometric(against(tested, model, rival, column, step))


def _better(column: str, rival: str) -> Figure:
    return lambda tested, model: float((against(tested, model, rival, column) < 1).mean())


def _qlike(rival: str) -> Figure:
    return lambda tested, model: float(tested.of(model)["qlike"].mean() / tested.of(rival)["qlike"].mean())


def _far(step: int) -> Figure:
    return lambda tested, model: better_of_naive_and_drift(tested, model, step)


def _best_part(step: int) -> Figure:
    """The model's pinball loss over that of the best single part, by geometric means over tickers."""

    def figure(tested: Tested, model: str) -> float:
        parts = [
            name
            for name in dict.fromkeys(tested.scores["model"])
            if name in PARTS or name not in (*BASELINES, model)
        ]
        return max(geometric(against(tested, model, part, "pinball", step)) for part in parts)

    return figure


def _passes(column: str, level: float) -> Figure:
    return lambda tested, model: float((tested.of(model)[column] >= level).mean())


def after_shocks(tested: Tested, model: str) -> float:
    """Coverage of the 80 % interval one session ahead, in the five sessions after a move beyond eight times
    the volatility before.
    """
    rows = tested.rows[(tested.rows["model"] == model) & (tested.rows["step"] == 1)].sort_values(
        ["ticker", "cutoff"]
    )
    score = np.log(rows["actual"] / rows["naive"]).abs() / rows["trailing_sigma"]
    ticker = rows["ticker"].to_numpy()
    shocked = np.zeros(len(rows), bool)
    for place in np.flatnonzero(score.to_numpy() > 8):
        after = slice(place + 1, place + 6)
        shocked[after] |= ticker[after] == ticker[place]
    inside = (rows["actual"] >= rows["q10"]) & (rows["actual"] <= rows["q90"])
    return float(inside[shocked].mean())


GOALS: tuple[tuple[str, Figure, float, float], ...] = (
    ("RMSE / naive, 1 session, geometric mean", lambda t, m: geometric(t.of(m)["rmse_ratio"]), 0.0, 1.0),
    ("RMSE / naive, 1 session, worst ticker", lambda t, m: float(t.of(m)["rmse_ratio"].max()), 0.0, 1.005),
    ("RMSE / better of naive and drift, 5 sessions", _far(5), 0.0, 1.0),
    ("RMSE / better of naive and drift, 20 sessions", _far(20), 0.0, 1.0),
    *((f"pinball / best single part, {step} sessions ahead", _best_part(step), 0.0, 1.0) for step in STEPS),
    ("pinball / garch", _ratio("pinball", "garch"), 0.0, 0.978),
    ("pinball / garch, 5 sessions", _ratio("pinball", "garch", 5), 0.0, 0.985),
    (
        "pinball / naive, worst ticker",
        lambda t, m: float(against(t, m, "naive", "pinball").max()),
        0.0,
        1.001,
    ),
    ("pinball / har", _ratio("pinball", "har"), 0.0, 0.99),
    ("Winkler 95 / garch", _ratio("winkler95", "garch"), 0.0, 0.945),
    ("tickers with a lower pinball than garch", _better("pinball", "garch"), 0.9, 1.0),
    ("tickers with a lower pinball than har", _better("pinball", "har"), 0.9, 1.0),
    ("tickers with a lower Winkler 95 than garch", _better("winkler95", "garch"), 0.9, 1.0),
    ("coverage of the 80 % interval", _mean("cov80"), 0.785, 0.815),
    ("coverage of the 95 % interval", _mean("cov95"), 0.942, 0.958),
    ("coverage 95, lowest third of volatility", _mean("cov95_low_vol"), 0.935, 0.965),
    ("coverage 95, middle third", _mean("cov95_mid_vol"), 0.935, 0.965),
    ("coverage 95, highest third", _mean("cov95_high_vol"), 0.935, 0.965),
    ("QLIKE / har", _qlike("har"), 0.0, 0.97),
    ("QLIKE / garch", _qlike("garch"), 0.0, 0.88),
    (
        "tickers with the model in the confidence set",
        lambda t, m: float((t.of(m)["mcs_pvalue"] >= IN_THE_SET).mean()),
        0.95,
        1.0,
    ),
    ("tickers whose PIT is not refused at 1 %", _passes("pit_pvalue", 0.01), 0.95, 1.0),
    ("tickers whose PIT passes as uniform at 5 %", _passes("pit_pvalue", SIGNIFICANT), 0.9, 1.0),
    ("coverage of the 99 % interval", _mean("cov99"), 0.987, 0.993),
    ("tickers whose 1 % quantile Kupiec does not refuse at 1 %", _passes("kupiec01_pvalue", 0.01), 0.95, 1.0),
    (
        "tickers whose 2.5 % quantile Kupiec does not refuse at 1 %",
        _passes("kupiec025_pvalue", 0.01),
        0.95,
        1.0,
    ),
    ("coverage of the 80 % interval after shocks", after_shocks, 0.7, 0.9),
)
"""What is asked, how it is measured, and between which borders it must lie; one session ahead where nothing
else is said.
"""


def goals_table(tested: dict[str, Tested], model: str) -> pd.DataFrame:
    """One row a goal: figure and verdict for each period."""
    rows = []
    for name, figure, low, high in GOALS:
        row: dict[str, object] = {
            "goal": name,
            "wanted": f"≤ {high:g}" if low == 0 else f"≥ {low:g}" if high == 1 else f"{low:g} to {high:g}",
        }
        for period, each in tested.items():
            value = figure(each, model)
            row |= {period: f"{value:.5f}", f"{period} met": "yes" if low <= value <= high else "NO"}
        rows.append(row)
    return pd.DataFrame(rows)


def models_table(tested: Tested) -> pd.DataFrame:
    """One row a model: its figures one session ahead, and what it cost."""
    rows = []
    for model in dict.fromkeys(tested.scores["model"]):
        own, garch = tested.of(model), tested.of("garch")
        row: dict[str, object] = {
            "model": model,
            "rmse/naive": geometric(own["rmse_ratio"]),
            "worst": own["rmse_ratio"].max(),
        }
        row |= {f"rmse{step}": geometric(tested.of(model, step)["rmse_ratio"]) for step in STEPS[1:]}
        row |= {
            f"pinball{step}/garch": geometric(against(tested, model, "garch", "pinball", step))
            for step in STEPS
        }
        row |= {"winkler95/garch": geometric(own["winkler95"] / garch["winkler95"])}
        row |= {
            "tickers better": int((own["pinball"] < garch["pinball"]).sum()),
            "qlike": own["qlike"].mean(),
        }
        row |= {"qlike recalibrated": recalibrated_qlike(tested, model)}
        row |= {
            name: own[name].mean()
            for name in ("cov80", "cov95", "cov95_low_vol", "cov95_mid_vol", "cov95_high_vol")
        }
        row |= {f"cov95 at {step}": tested.of(model, step)["cov95"].mean() for step in STEPS[1:]}
        row |= {name: own[name].mean() for name in ("cov99", "below01", "below025", "joint01", "joint025")}
        row |= {
            "PIT ok": (own["pit_pvalue"] >= SIGNIFICANT).mean(),
            "in MCS": (own["mcs_pvalue"] >= IN_THE_SET).mean(),
        }
        rows.append(row | {"MCS all": tested.pooled(model)["mcs_pvalue"], "seconds": own["seconds"].sum()})
    return pd.DataFrame(rows)


def significance_table(tested: Tested, model: str) -> pd.DataFrame:
    """One row a rival: how many tickers are better or worse by the test of the pinball loss, as it is and
    corrected, and all together.
    """
    rows = []
    for rival in (name for name in BASELINES if name != model):
        found, (stat, pvalue) = by_ticker(tested, model, rival), panel(tested, model, rival)
        row: dict[str, object] = {"rival": rival, "tickers": len(found)}
        for (side, sign), level in itertools.product((("better", -1), ("worse", 1)), ("pvalue", "qvalue")):
            row[f"{side} {level[0]}≤.05"] = int(
                ((found[level] <= SIGNIFICANT) & (np.sign(found["stat"]) == sign)).sum()
            )
        rows.append(row | {"panel statistic": stat, "panel p": pvalue})
    return pd.DataFrame(rows)


# --- the command


def options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.goals", description="Every goal of the forecasts, on real prices."
    )
    parser.add_argument(
        "--model", default="stacked", help="variant of the network, or a baseline to be judged instead"
    )
    parser.add_argument(
        "--judge",
        default="",
        help="name in the tables that is held against the goals: of a network, combined",
    )
    parser.add_argument("--periods", default=",".join(PERIODS), help="separated by commas")
    parser.add_argument("--tickers", default="", help="separated by commas; all when not given")
    return parser.parse_args(words)


def show(title: str, table: pd.DataFrame) -> None:
    print(f"\n{title}\n{table.to_string(index=False, float_format=lambda value: f'{value:.4f}')}", flush=True)


def main(words: Sequence[str]) -> None:
    """Print the tables."""
    asked = options(words)
    if not DATA.exists():
        print(f"skipped: {DATA.name} is not in ../shared/data")
        return
    wanted = tuple(name for name in asked.tickers.split(",") if name)
    tested = tested_periods(tuple(asked.periods.split(",")), asked.model, wanted)
    judged = asked.judge or (asked.model if asked.model in BASELINES else "combined")
    for period, each in tested.items():
        own = each.of(judged)
        print(
            f"{period}: {len(own)} tickers, {own['n'].sum():,} forecasts one session ahead,"
            f" {each.seconds:.0f} s"
        )
    show(f"Goals, {judged}", goals_table(tested, judged))
    for period, each in tested.items():
        show(f"All models, {period}", models_table(each))
        show(
            f"Pinball loss of {judged} tested against each baseline, {period}",
            significance_table(each, judged),
        )


if __name__ == "__main__":
    main(sys.argv[1:])
