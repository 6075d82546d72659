"""Are the scenarios right? `python -m tests.bench.joint` scores portfolios of the development shares.

The margins are what is served: the combination of the replay of `tests.bench.goals` (`python -m tests.bench
goals joint` makes it once for both); `--model` takes a baseline's instead. They are the same for every rival;
what differs is which quantiles meet in one world: as in `scenarios` (observed), by a Gaussian copula with the
correlations of the same evenings, or independently. For each session of a period with four years of evenings
before it: 1,000 worlds of all shares, the quantiles of 100 random portfolios and of long-short ones, and what
came true. Printed: pinball loss over nine levels and over the lower three against independence, the energy
score of all shares together, how often the value at risk was passed, and on how many portfolios Kupiec's
test does not refuse it at the 1 % level. Nothing here was fitted.
"""

import argparse
import multiprocessing
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from forecast_lib import portfolios, scenarios
from forecast_lib.backtest.tails import kupiec
from forecast_lib.forecast import COMBINED
from forecast_lib.scenarios import WORLDS
from forecast_lib.tables import QUANTILE_COLUMNS
from forecast_lib.windows.series import TickerSeries
from tests.bench import goals
from tests.bench.goals import PERIODS, series_until

LEVELS = np.array([0.01, 0.025, 0.05, 0.25, 0.5, 0.75, 0.95, 0.975, 0.99])
FEWEST = 20  # shares on a session
RIVALS = ("observed", "gaussian", "independent")
LONG_SHORT = 30
PAIRED = np.random.default_rng(1).permutation(WORLDS)  # neighbours are of one week


def weights_of(tickers: Sequence[str]) -> dict[str, np.ndarray]:
    """The reference portfolios of equal money, and long-short ones of ten random tickers."""
    made = portfolios.reference_portfolios(tickers, np.ones(len(tickers)))
    made.pop("inverse_volatility")
    for number in range(1, LONG_SHORT + 1):
        random = made[f"random_{number:03d}"].copy()
        random[np.flatnonzero(random)[::2]] *= -1
        made[f"long_short_{number:02d}"] = random
    return made


def ranks_of(rival: str, moves: np.ndarray, tickers: Sequence[str]) -> np.ndarray:
    """(tickers, 1, worlds) by the rival's idea of what belongs together."""
    observed = scenarios.places(moves, tickers, np.ones(len(tickers), bool), 0)
    if rival == "observed":
        return observed
    random = np.random.default_rng(0)
    chance = random.standard_normal((len(tickers), WORLDS))
    if rival == "gaussian":
        correlation = np.corrcoef(scenarios.normal_scores(observed[:, 0]))
        chance = np.linalg.cholesky(correlation + 1e-9 * np.eye(len(tickers))) @ chance
    return scenarios.ranked(chance)[:, None]


def worlds(
    series: Sequence[TickerSeries], margins: pd.DataFrame, period: str, step: int
) -> Iterator[tuple[list[str], np.ndarray, ...]]:
    """For each session with an outcome: the tickers, their moves on past evenings, quantiles, last closes and
    actual closes.

    Args:
        margins: forecasts to that step: ticker, cutoff and the quantiles.
    """
    first, last = (np.datetime64(day) for day in PERIODS[period])
    days = np.arange(min(each.sessions[0] for each in series), last + 1)
    days = days[np.is_busday(days)]
    moves = {each.ticker: scenarios.scores(each, days, step)[-1] for each in series}
    made = {
        str(ticker): dict(
            zip(
                rows["cutoff"].to_numpy().astype("datetime64[D]"),
                rows[list(QUANTILE_COLUMNS)].to_numpy(),
                strict=True,
            )
        )
        for ticker, rows in margins.groupby("ticker")
    }
    sessions = np.unique(np.concatenate([each.sessions for each in series]))
    for session in sessions[(sessions >= first) & (sessions <= last)][::step]:
        at = {each.ticker: int(np.searchsorted(each.sessions, session)) for each in series}
        there = [
            each
            for each in series
            if session in made.get(each.ticker, ()) and at[each.ticker] < len(each) - step
        ]
        evenings = np.searchsorted(days, scenarios.evenings(session.astype(object), step))
        if len(there) < FEWEST or evenings[0] < 60:
            continue
        names = [each.ticker for each in there]
        yield (
            names,
            np.stack([moves[name][evenings] for name in names])[:, None],
            np.stack([made[name][session] for name in names])[:, None],
            np.array([each.close[at[each.ticker]] for each in there]),
            np.array([each.close[at[each.ticker] + step] for each in there]),
        )


def judged(task: tuple[pd.DataFrame, str, int]) -> pd.DataFrame:
    """A row a rival: its figures in one period with these margins."""
    margins, period, step = task
    losses, breaches, energy = ({rival: [] for rival in RIVALS} for _ in range(3))
    for names, moves, quantiles, last, actual in worlds(
        series_until(PERIODS[period][1], ()), margins, period, step
    ):
        held, came = weights_of(names), actual / last - 1
        matrix = np.stack(list(held.values()))
        scale = np.log(quantiles[:, 0, -1] / quantiles[:, 0, 0])
        for rival in RIVALS:
            returns = scenarios.draws(quantiles, ranks_of(rival, moves, names))[:, 0] / last[:, None] - 1
            found = np.quantile(matrix @ returns, LEVELS, axis=1, method="hazen").T
            error = (matrix @ came)[:, None] - found
            losses[rival].append(np.maximum(LEVELS * error, (LEVELS - 1) * error))
            breaches[rival].append(error[:, :3] < 0)
            apart = np.linalg.norm((returns - came[:, None]) / scale[:, None], axis=0).mean()
            spread = np.linalg.norm((returns - returns[:, PAIRED]) / scale[:, None], axis=0).mean()
            energy[rival].append(apart - spread / 2)
    unit = np.mean(losses["independent"], axis=0)
    kinds = np.array([name.startswith("long_short") for name in held])
    rows = []
    for rival in RIVALS:
        mean, broken = np.mean(losses[rival], axis=0), np.array(breaches[rival])
        kept = np.array(
            [
                [kupiec(broken[:, at, below], LEVELS[below]) > 0.01 for below in (0, 1)]
                for at in range(len(kinds))
            ]
        )
        rows.append(
            {
                "period": period,
                "step": step,
                "rival": rival,
                "sessions": len(broken),
                "pinball": np.exp(np.log(mean.mean(axis=1) / unit.mean(axis=1)).mean()),
                "lower_tail": np.exp(np.log(mean[:, :3].mean(axis=1) / unit[:, :3].mean(axis=1)).mean()),
                "energy": np.mean(energy[rival]) / np.mean(energy["independent"]),
                "below01": broken[:, :, 0].mean(),
                "below025": broken[:, :, 1].mean(),
                "held01": kept[~kinds, 0].mean(),
                "held025": kept[~kinds, 1].mean(),
                "long_short_held01": kept[kinds, 0].mean(),
                "long_short_held025": kept[kinds, 1].mean(),
            }
        )
    return pd.DataFrame(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=COMBINED, help="whose margins: combined, or a baseline's")
    parser.add_argument("--periods", default=",".join(PERIODS))
    parser.add_argument("--steps", default="1,5")
    chosen = parser.parse_args(arguments)
    if not goals.DATA.exists():
        print(f"skipped: {goals.DATA.name} is not in ../shared/data")
        return
    network = "stacked" if chosen.model == COMBINED else chosen.model
    tested = goals.tested_periods(tuple(chosen.periods.split(",")), network, ())
    tasks = [
        (each.rows[(each.rows["model"] == chosen.model) & (each.rows["step"] == step)], period, step)
        for step in map(int, chosen.steps.split(","))
        for period, each in tested.items()
    ]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for table in pool.imap(judged, tasks):
            print(table.to_string(index=False, float_format=lambda value: f"{value:.4f}"), flush=True)


if __name__ == "__main__":
    main()
