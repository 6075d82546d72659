"""What the checks make of clean prices and of planted faults: `python -m tests.bench.faults`, or with
`--part clean`, `planted` or `mutations` (`_mutations`).

Prices: `dev_prices.parquet` and `wild_prices.parquet` of `../shared/data`, 2006 to 2021, through
`prices.checks` as the nights use them.

*Clean*: every evening of every ticker that has a price in the last five sessions, each checked beside what
the evenings before left; on some evenings a forecast is made from it too. *Planted*: faults and real shocks
at random places (`_plants`), each looked at on the evening itself and on those that follow, and forecasts of
later sessions beside those from untouched prices. `--period` chooses the years; the figures of the judge
(`prices.hypotheses`) were set on 2006 to 2013.
"""

import argparse
import collections
import datetime as dt
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from forecast_lib.distribution import pinball
from forecast_lib.domain import AsOf, Ticker
from forecast_lib.forecast import forecast_with_baseline
from forecast_lib.jobs.ingest.gaps import knowing_gaps
from forecast_lib.prices.checks import Before, Checked, check, nothing_before
from forecast_lib.prices.moves import can_split
from forecast_lib.prices.source import Offered, Told, actions_frame, refused_frame
from forecast_lib.sessions import TickerCalendar, calendar_for
from forecast_lib.windows.histories import Histories, series_from, splits_of
from tests.bench._mutations import print_trials, run
from tests.bench._plants import AFTER, BEFORE, FIGURES, PLANTERS, Shapes, shapes_of
from tests.whole_parquet import read_parquet

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
PERIODS = {"2006-2013": ("2006-01-01", "2013-12-31"), "2014-2021": ("2014-01-01", "2021-12-31")}
CRISES = {"Sep-Dec 2008": ("2008-09-01", "2008-12-31"), "March 2020": ("2020-03-01", "2020-03-31")}
VALUES = (*FIGURES, "volume")
COUNTS = {"missing split": 1200, "real shock": 1200}
OTHERS, MUTATIONS = 240, 1000
FEWEST = 10
"""Sessions of a ticker; with fewer there is no forecast by contract, and it does not count."""

OVERLAP, TAIL = np.timedelta64(14, "D"), np.timedelta64(450, "D")
LOOKED_AT, FORECAST_ON = (0, 1, 2, 3), (3, 10)
"""Sessions after the planted one: when faults are looked for, and when the next session is forecast."""

SMALLEST_SHOCK = 0.15
WILD_SHARE = 0.25

Days = np.ndarray


@dataclass(frozen=True)
class Prices:
    """Real histories by ticker, oldest session first."""

    rows: Mapping[str, pd.DataFrame]
    wild: frozenset[str]

    def calendar(self, ticker: str) -> TickerCalendar:
        return calendar_for(ticker, None)


def real_prices() -> Prices:
    rows = {}
    wild = set()
    names = ("ticker", "date", "open", "high", "low", "close", "adjclose", "volume")
    for name in ("dev", "wild"):
        table = read_parquet(DATA / f"{name}_prices.parquet", names).rename(columns={"date": "session"})
        for ticker, part in table[table["close"].notna()].groupby("ticker"):
            rows[str(ticker)] = part.sort_values("session", ignore_index=True).astype(
                dict.fromkeys(VALUES, float)
            )
            wild |= {str(ticker)} if name == "wild" else set()
    return Prices(rows, frozenset(wild))


def as_histories(rows: Mapping[str, pd.DataFrame]) -> Histories:
    frame = pd.concat([part.assign(ticker=ticker) for ticker, part in rows.items()], ignore_index=True)
    return Histories.from_frame(frame, sorted(rows))


def as_offered(rows: Histories) -> Offered:
    told = {Ticker(ticker): Told() for ticker in rows.tickers}
    return Offered(rows, actions_frame(()), refused_frame(()), told, lambda at: [""] * len(at))


def evening_of(day: np.datetime64) -> AsOf:
    """Late enough for every exchange to have closed."""
    date = day.astype("datetime64[D]").item()
    now = dt.datetime.combine(date + dt.timedelta(days=2), dt.time(0), dt.UTC)
    return AsOf(date, now, now)


# --- clean


def clean(prices: Prices, first: str, last: str, forecasts: int) -> pd.DataFrame:
    """One row a ticker and evening: what became of the newest price, and whether a forecast could be made."""
    everything = as_histories(prices.rows)
    calendars = {ticker: prices.calendar(ticker) for ticker in everything.tickers}
    evenings = TickerCalendar("XNYS").sessions(first, last).to_numpy("datetime64[D]")
    asked = set(np.random.default_rng(0).choice(evenings, forecasts, replace=False).tolist())
    kept, waits = np.ones(len(everything), dtype=bool), np.zeros(len(everything), dtype=bool)
    bounds = everything.bounds()
    found = []
    for evening in evenings:
        spans = [
            _span(everything.sessions[low:high], evening) + low for low, high in itertools.pairwise(bounds)
        ]
        there = np.concatenate([np.arange(begin, end) for begin, end, _ in spans])
        news = np.concatenate(
            [np.arange(fresh, end) for _, end, fresh in spans if end > fresh] or [np.empty(0, int)]
        )
        tickers = {everything.tickers[place] for place in np.unique(everything.of[news]).tolist()}
        before = _only(everything, np.setdiff1d(there, news)[kept[np.setdiff1d(there, news)]], tickers)
        offered = _only(everything, news, tickers)
        known = Before(
            before,
            *(getattr(nothing_before(before.tickers), name) for name in ("actions", "released", "verdicts")),
        )
        checked = check(
            as_offered(offered),
            known,
            evening_of(evening),
            calendars={each: calendars[each] for each in tickers},
        )
        _remember(checked, everything, news, kept, waits)
        for ticker in sorted(tickers):
            place = everything.tickers.index(ticker)
            begin, end, _ = spans[place]
            if end - begin < FEWEST:
                continue
            used = kept[begin:end] & ~waits[begin:end]
            found.append(
                (
                    ticker,
                    evening,
                    *_fate(checked, ticker, kept[end - 1], waits[end - 1], int(used.sum()) >= FEWEST),
                )
            )
            if evening.item() in asked:
                found[-1] = (
                    *found[-1][:-1],
                    _can_forecast(everything, ticker, np.arange(begin, end)[used], checked),
                )
    return pd.DataFrame(
        found, columns=["ticker", "evening", "held", "refused", "waits", "flagged", "answered", "forecast"]
    )


def _span(sessions: Days, evening: np.datetime64) -> np.ndarray:
    """Of one ticker: first row that counts, the row after the newest, and the first that is offered; nothing
    where none is recent.
    """
    end = int(np.searchsorted(sessions, evening, side="right"))
    if not end or evening - sessions[end - 1] > np.timedelta64(7, "D"):
        return np.array([end, end, end])
    return np.array(
        [np.searchsorted(sessions, evening - TAIL), end, np.searchsorted(sessions, evening - OVERLAP)]
    )


def _only(rows: Histories, places: np.ndarray, tickers: set[str]) -> Histories:
    """Rows of these tickers, and no others named."""
    mine = sorted(tickers)
    chosen = rows.rows(places)
    frame = {name: chosen.figures[name] for name in chosen.figures}
    of = pd.Index(mine).get_indexer(np.array(rows.tickers)[chosen.of]).astype(np.int32)
    there = of >= 0
    return Histories.ordered(
        mine, of[there], chosen.sessions[there], {name: values[there] for name, values in frame.items()}
    )


def _remember(
    checked: Checked, everything: Histories, news: np.ndarray, kept: np.ndarray, waits: np.ndarray
) -> None:
    """What the evening says of the rows it was offered."""
    where = everything.keys()[news]
    good = _keys_in(checked.good, everything)
    waiting = {
        (ticker, day)
        for ticker, verdicts in checked.judged.verdicts.items()
        for each in verdicts
        for day in each.rows.astype("M8[D]").tolist()
    }
    of = np.array(everything.tickers)[everything.of[news]]
    waits[news] = [
        (ticker, day) in waiting
        for ticker, day in zip(of.tolist(), everything.sessions[news].tolist(), strict=True)
    ]
    kept[news] = np.isin(where, good) | waits[news]


def _keys_in(rows: Histories, everything: Histories) -> np.ndarray:
    of = pd.Index(everything.tickers).get_indexer(np.array(rows.tickers)[rows.of] if len(rows) else [])
    return (of.astype(np.int64) << 32) + rows.sessions.astype(np.int64)


def _fate(
    checked: Checked, ticker: str, kept: bool, waits: bool, answered: bool
) -> tuple[bool, bool, bool, bool, bool, bool]:
    held = ticker in checked.holds
    return held, not kept and not held, bool(waits), ticker in checked.flags, answered, answered


def _can_forecast(everything: Histories, ticker: str, places: np.ndarray, checked: Checked) -> bool:
    rows = _only(everything, places, {ticker})
    actions = _standing(checked, ticker)
    series = series_from(rows, splits_of(actions), splits_of(actions, "unit"))[ticker]
    made = forecast_with_baseline("ewma", series, 5, (len(series) - 1, len(series)))
    return bool(np.isfinite(made.quantiles).all())


def _standing(checked: Checked, ticker: str) -> pd.DataFrame:
    mine = checked.actions[(checked.actions["ticker"] == ticker) & (checked.actions["value"] > 0)]
    return mine[mine["value"] != 1]


def print_clean(found: pd.DataFrame, wild: frozenset[str]) -> None:
    is_wild = found["ticker"].isin(wild)
    parts = {"large companies": found[~is_wild], "wild tickers": found[is_wild]}
    parts |= {
        name: found[~is_wild & found["evening"].between(pd.Timestamp(begin), pd.Timestamp(end))]
        for name, (begin, end) in CRISES.items()
    }
    print(
        "| | ticker-evenings | answered | last_good: waits | held | newest refused | flagged | forecasts"
        " made |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, part in parts.items():
        if len(part):
            figures = (
                f"{part[each].mean():.5%} ({int(part[each].sum())})"
                for each in ("waits", "held", "refused", "flagged")
            )
            print(
                f"| {name} | {len(part):,} | {part['answered'].mean():.4%} | "
                + " | ".join(figures)
                + f" | {part['forecast'].mean():.4%} |"
            )
    odd = found[found["waits"] | found["held"]]
    print(
        "waits or held:",
        collections.Counter(zip(odd["ticker"], odd["evening"].dt.year, strict=True)).most_common(12),
    )


# --- planted


@dataclass(frozen=True)
class Planted:
    """A fault, as delivered.

    Attributes:
        rows: all sessions, the place's and AFTER of them included.
        truth: what the rows should have been.
        place: session of the fault.
        evenings: the place and those after it.
    """

    kind: str
    what: str
    ticker: str
    wild: bool
    rows: pd.DataFrame
    truth: pd.DataFrame
    evenings: Days


def planted(prices: Prices, first: str, last: str, counts: Mapping[str, int], seed: int) -> Iterator[Planted]:
    rng = np.random.default_rng(seed)
    shares = {
        ticker: rows
        for ticker, rows in prices.rows.items()
        if can_split(ticker, prices.calendar(ticker).name)
    }
    shapes = shapes_of(shares, SMALLEST_SHOCK, first, last)
    places = {}
    for ticker, rows in shares.items():
        inside = np.flatnonzero(rows["session"].between(first, last).to_numpy())
        places[ticker] = inside[(inside >= BEFORE) & (inside < len(rows) - AFTER)]
    wild, tame = (
        [name for name in places if (name in prices.wild) == which and len(places[name])]
        for which in (True, False)
    )
    for kind, count in counts.items():
        for _ in range(count):
            ticker = str(rng.choice(wild if rng.random() < WILD_SHARE else tame))
            at = int(rng.choice(places[ticker]))
            yield _plant(
                kind,
                ticker,
                ticker in prices.wild,
                shares[ticker].iloc[at - BEFORE : at + AFTER],
                rng,
                shapes,
            )


def _plant(
    kind: str, ticker: str, wild: bool, part: pd.DataFrame, rng: np.random.Generator, shapes: Shapes
) -> Planted:
    truth = part.reset_index(drop=True)
    what, rows = PLANTERS[kind](truth, BEFORE, rng, shapes)
    return Planted(
        kind,
        what,
        ticker,
        wild,
        rows,
        rows if kind == "real shock" else truth,
        truth["session"].to_numpy("M8[D]")[BEFORE:],
    )


def look(plants: Sequence[Planted], later: int) -> tuple[Checked, list[str]]:
    """What the checks say of all of them, so many sessions after the fault; one made-up ticker each."""
    names = [f"P{number:05d}" for number in range(len(plants))]
    rows = {}
    for name, plant in zip(names, plants, strict=True):
        rows[name] = plant.rows[plant.rows["session"].to_numpy("M8[D]") <= plant.evenings[later]]
    histories = as_histories(rows)
    calendars = {name: calendar_for(plant.ticker) for name, plant in zip(names, plants, strict=True)}
    return (
        check(
            as_offered(histories),
            nothing_before(histories.tickers),
            evening_of(np.datetime64("2022-03-01")),
            calendars=calendars,
        ),
        names,
    )


@dataclass(frozen=True)
class Seen:
    """Of one fault on one evening.

    Attributes:
        verdict, ratio: of the judge, on the move into the place; `none` where it saw nothing odd.
        used: the newest session's row is one that a forecast starts from.
        caught: a row or value that was planted is refused, waits, or is undone by a split.
        loss, loss_of_truth: pinball of the next session's forecast, by the close.
    """

    verdict: str
    ratio: float
    used: bool
    caught: bool
    loss: float
    loss_of_truth: float


def seen_on(plants: Sequence[Planted], later: int) -> list[Seen]:
    checked, names = look(plants, later)
    struck = _struck(checked)
    standing = checked.actions[checked.actions["value"] != 1]
    splits, units = splits_of(standing), splits_of(standing, "unit")
    calendars = {name: calendar_for(plant.ticker) for name, plant in zip(names, plants, strict=True)}
    series = knowing_gaps(series_from(checked.good, splits, units), calendars)
    found = []
    for name, plant in zip(names, plants, strict=True):
        place, evening = plant.evenings[0], plant.evenings[later]
        verdict = {each.session.astype("M8[D]"): each for each in checked.judged.verdicts.get(name, ())}.get(
            place
        )
        touched = set(plant.evenings[: later + 1].tolist())
        mine = series.get(name)
        used = mine is not None and mine.sessions[-1] == evening
        caught = bool(struck.get(name, set()) & touched) or (
            verdict is not None and verdict.verdict != "real"
        )
        unit = float(np.prod(units[name][1])) if name in units else 1.0
        losses = _losses(plant, mine, unit, later) if later in FORECAST_ON else (np.nan, np.nan)
        found.append(
            Seen(
                "none" if verdict is None else verdict.verdict,
                1.0 if verdict is None else verdict.ratio,
                used,
                caught,
                *losses,
            )
        )
    return found


def _struck(checked: Checked) -> dict[str, set[dt.date]]:
    """By ticker the sessions of rows and values that a rule refused."""
    rows, found = checked.screened.offered.rows, collections.defaultdict(set)
    for strike in checked.screened.strikes:
        if checked.screened.severities[strike.rule] != "warn":
            for at in strike.rows.tolist():
                found[rows.tickers[rows.of[at]]].add(rows.sessions[at].item())
    return found


def _losses(plant: Planted, series: object, unit: float, later: int) -> tuple[float, float]:
    """Of the forecasts for the session after the evening: from what was checked, and from the truth.

    Args:
        unit: what prices of the truth are divided by where another unit is taken for the one from then on: a
            forecast in it is settled in it.
    """
    if series is None:
        return np.nan, np.nan
    target, actual = plant.evenings[later + 1], float(plant.truth["close"].iloc[BEFORE + later + 1])
    truth = plant.truth[plant.truth["session"].to_numpy("M8[D]") <= plant.evenings[later]]
    calendar = calendar_for(plant.ticker)
    clean = knowing_gaps(series_from(as_histories({"T": truth}), {}), {"T": calendar})["T"]
    return _loss(series, target, actual / unit, calendar), _loss(clean, target, actual, calendar)


def _loss(series, target: np.datetime64, actual: float, calendar: TickerCalendar) -> float:  # type: ignore[no-untyped-def]
    """By the close; the step is the one from the series' own end to the target."""
    steps = len(calendar.sessions(pd.Timestamp(series.sessions[-1]), pd.Timestamp(target))) - 1
    steps = min(max(steps, 1), 20)
    made = forecast_with_baseline("ewma", series, steps, (len(series) - 1, len(series)))
    return float(pinball(np.array([actual]), made.quantiles[:, steps - 1])[0]) / actual


def print_planted(plants: Sequence[Planted], evenings: Mapping[int, Sequence[Seen]]) -> None:
    print(
        "| planted | n | caught the same evening | in the three after it | never | pinball to clean: 3"
        " sessions later | 10 later |"
    )
    print("|---|---|---|---|---|---|---|")
    for kind in PLANTERS:
        mine = [number for number, plant in enumerate(plants) if plant.kind == kind]
        if mine:
            groups = {kind: mine} | _groups(kind, plants, mine)
            for name, members in groups.items():
                print(_line(name, plants, evenings, members))
    whole = [number for number, plant in enumerate(plants) if plant.kind != "real shock"]
    print(f"pinball of all planted faults to the clean ones: {_ratios(evenings, whole)}")
    for wild in (False, True):
        _print_goals(
            "wild tickers" if wild else "large companies",
            plants,
            evenings,
            [n for n, each in enumerate(plants) if each.wild is wild],
        )
    _print_goals("all", plants, evenings, list(range(len(plants))))


def _groups(kind: str, plants: Sequence[Planted], mine: Sequence[int]) -> dict[str, list[int]]:
    if kind in ("real shock", "late", "stale"):
        return {}
    groups = collections.defaultdict(list)
    for number in mine:
        groups[f"- {plants[number].what}"].append(number)
    return dict(sorted(groups.items()))


def _line(
    name: str, plants: Sequence[Planted], evenings: Mapping[int, Sequence[Seen]], members: Sequence[int]
) -> str:
    tonight = np.mean([evenings[0][each].caught for each in members])
    within = np.mean([any(evenings[later][each].caught for later in LOOKED_AT) for each in members])
    return (
        f"| {name} | {len(members)} | {tonight:.1%} | {within - tonight:.1%} | {1 - within:.1%} |"
        f" {_ratios(evenings, members)} |"
    )


def _ratios(evenings: Mapping[int, Sequence[Seen]], members: Sequence[int]) -> str:
    found = []
    for later in FORECAST_ON:
        losses = np.array(
            [(evenings[later][place].loss, evenings[later][place].loss_of_truth) for place in members]
        )
        known = np.isfinite(losses).all(axis=1)
        found.append(f"{losses[known, 0].sum() / losses[known, 1].sum():.4f}" if known.any() else "none")
    return " | ".join(found)


def _print_goals(
    name: str, plants: Sequence[Planted], evenings: Mapping[int, Sequence[Seen]], members: Sequence[int]
) -> None:
    splits = [
        each
        for each in members
        if plants[each].kind == "missing split"
        and max(_ratio_of(plants[each]), 1 / _ratio_of(plants[each])) >= 1.9
    ]
    shocks = [each for each in members if plants[each].kind == "real shock"]
    if not splits or not shocks:
        return
    as_move = np.mean(
        [
            any(_goes_as_move(evenings[later][each], _ratio_of(plants[each])) for later in LOOKED_AT)
            for each in splits
        ]
    )
    named = np.mean([_is_named(evenings[0][each], _ratio_of(plants[each])) for each in splits])
    named_later = np.mean([_is_named(evenings[3][each], _ratio_of(plants[each])) for each in splits])
    wrong = np.mean(
        [
            evenings[3][each].verdict == "split" and not _is_named(evenings[3][each], _ratio_of(plants[each]))
            for each in splits
        ]
    )
    taken = np.mean([any(evenings[later][each].verdict == "split" for later in LOOKED_AT) for each in shocks])
    tonight = np.mean([evenings[0][each].used for each in shocks])
    print(
        f"{name}: {len(splits)} missing splits of 1.9 or more: reach a forecast as a move {as_move:.2%} (goal"
        f" < 1 %); named the same evening {named:.1%}, within three sessions {named_later:.1%}, by a wrong"
        f" ratio {wrong:.2%}\n{name}: {len(shocks)} real shocks: taken for a split {taken:.2%} (goal < 1 %);"
        f" used the same evening {tonight:.1%}"
    )


def _ratio_of(plant: Planted) -> float:
    return float(plant.what)


def _goes_as_move(seen: Seen, ratio: float) -> bool:
    """A forecast starts from the new level beside the old one."""
    return seen.used and seen.verdict in ("real", "none")


def _is_named(seen: Seen, ratio: float) -> bool:
    return seen.verdict == "split" and abs(np.log(seen.ratio / ratio)) < 0.01


def main(argv: list[str]) -> int:
    """Returns 0; figures are printed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.faults", description=__doc__)
    parser.add_argument("--part", choices=("clean", "planted", "mutations"), help="one of the parts alone")
    parser.add_argument("--period", choices=PERIODS, help="one of the periods alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of the numbers of planted faults and of forecasts"
    )
    arguments = parser.parse_args(argv)
    if not (DATA / "dev_prices.parquet").exists() or not (DATA / "wild_prices.parquet").exists():
        print("skipped: dev_prices.parquet and wild_prices.parquet are not in ../shared/data")
        return 0
    prices = real_prices()
    if arguments.part in (None, "mutations"):
        print("\nmutations")
        shares = {
            ticker: rows
            for ticker, rows in prices.rows.items()
            if len(rows) > 500 and can_split(ticker, prices.calendar(ticker).name)
        }
        print_trials(run(shares, max(int(MUTATIONS * arguments.scale), 1), arguments.seed))
    for name in [arguments.period] if arguments.period else PERIODS:
        if arguments.part in (None, "clean"):
            began = time.perf_counter()
            found = clean(prices, *PERIODS[name], max(int(100 * arguments.scale), 1))
            print(f"\nclean, {name}")
            print_clean(found, prices.wild)
            print(f"{time.perf_counter() - began:.0f} s")
        if arguments.part in (None, "planted"):
            began = time.perf_counter()
            counts = {kind: max(int(COUNTS.get(kind, OTHERS) * arguments.scale / 2), 2) for kind in PLANTERS}
            plants = list(planted(prices, *PERIODS[name], counts, arguments.seed))
            evenings = {later: seen_on(plants, later) for later in sorted({*LOOKED_AT, *FORECAST_ON})}
            print(f"\nplanted, {name}, seed {arguments.seed}")
            print_planted(plants, evenings)
            print(f"{time.perf_counter() - began:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(__import__("sys").argv[1:]))
