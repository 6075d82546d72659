"""Do the drivers of a width add up, what do they cost, and would an analyst agree? `python -m
tests.bench.drivers`.

Prices: `../shared/data/dev_prices.parquet` seen from the repository's root. Evenings of the development
shares are forecast one after the other as nights do, each with what the one before had said. The networks
were trained on what was known before the first evening; every 60 evenings each ticker's is fine-tuned, and
half-way between each is compared as if other tickers had been asked for.

Printed: the largest difference between sums of effects and log widths, and between sums of changes and
changes of log widths; the processor time of the forecast stage without and with drivers, measured in turn;
and for three stretches what the report says of the tickers whose width moved by more than a tenth.
"""

import argparse
import dataclasses
import datetime as dt
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from forecast_lib.config import ModelConfig, TrainConfig
from forecast_lib.drivers import Before, Drivers, log_width
from forecast_lib.errors import TickerError
from forecast_lib.forecast import last_evenings
from forecast_lib.jobs.forecast.commonality import with_pooled_shape
from forecast_lib.jobs.forecast.tickers import FEWEST_SESSIONS, Answer, Question, forecast_shard
from forecast_lib.models.bundle import Bundle, Pool
from forecast_lib.models.training import join_pool, poolable, train, train_member
from forecast_lib.report.frames import Closes
from forecast_lib.report.sections.changes import width_change
from forecast_lib.windows.series import TickerSeries
from tests.bench import goals

MODEL, TRAIN, SEED = ModelConfig(), TrainConfig(), 0
TUNE_EVERY, OTHERS_AT = 60, 30  # evenings
MEASURED = ("2020-12-31", 250)
STRETCHES = {"2008": ("2008-10-17", 12), "2020": ("2020-03-20", 22), "quiet": ("2006-12-08", 8)}
Evening = tuple[np.datetime64, list[Question], list[Answer]]


def known(series: Sequence[TickerSeries], day: np.datetime64) -> list[TickerSeries]:
    """Each ticker's history up to that day."""
    cut = [each.until(int(np.searchsorted(each.sessions, day, side="right"))) for each in series]
    return [each for each in cut if len(each) >= FEWEST_SESSIONS]


def pool_of(series: Sequence[TickerSeries]) -> Pool:
    taught = [each for each in series if poolable(each, MODEL, TRAIN)]
    fits = [train_member(taught, MODEL, TRAIN, seed=SEED, member=member) for member in range(TRAIN.members)]
    return join_pool(fits, taught, MODEL, TRAIN, SEED)


def tuned(series: TickerSeries, start: Pool | Bundle) -> Bundle | None:
    try:
        return train(series, MODEL, TRAIN, start=start, seed=SEED).bundle
    except TickerError:
        return None


def before_of(last: tuple[Question, Answer] | None, model_id: str | None) -> Before | str:
    if last is None:
        return "first"
    question, answer = last
    same = question.model_id == model_id
    width = log_width(answer.forecast.forecasts.quantiles[0])
    return Before(question.series.sessions[-1], width, same, None if same else question.model)


def evenings(
    until: str, count: int, answer: Callable[[int, Sequence[Question]], list[Answer]]
) -> Iterator[Evening]:
    """The last `count` evenings up to a day, answered one after the other."""
    series = goals.series_until(until, ())
    days = np.unique(np.concatenate([each.sessions for each in series]))[-count:]
    series = with_pooled_shape(series, series, MODEL.horizon, days[0] - np.timedelta64(90, "D"))
    pool = pool_of(known(series, days[0] - np.timedelta64(1, "D")))
    models: dict[str, tuple[Bundle, str]] = {}
    told: dict[str, tuple[Question, Answer]] = {}
    for number, day in enumerate(days):
        asked = []
        for each in known(series, day):
            name = each.ticker
            start = models[name][0] if name in models else pool
            if number % TUNE_EVERY == 0 and (made := tuned(each, start)):
                models[name] = made, f"{name}-{number}"
            model, model_id = models.get(name, (None, None))
            before = before_of(told.get(name), model_id)
            if number % TUNE_EVERY == OTHERS_AT and isinstance(before, Before):
                before = dataclasses.replace(before, among=each)
            asked.append(Question(each, model, model_id, before))
        answers = answer(number, asked)
        told = {each.series.ticker: (each, said) for each, said in zip(asked, answers, strict=True)}
        yield day, asked, answers


def forgotten(asked: Sequence[Question]) -> list[Question]:
    """The same questions with histories of which nothing is remembered; the prices of the two of a ticker
    are the same, as in a night.
    """
    fresh = [each.series.until(len(each.series)) for each in asked]
    return [
        dataclasses.replace(each, series=own, before=_among_others(each.before, own))
        for each, own in zip(asked, fresh, strict=True)
    ]


def _among_others(before: Before | str, own: TickerSeries) -> Before | str:
    if isinstance(before, str) or before.among is None:
        return before
    return dataclasses.replace(before, among=dataclasses.replace(own))


class Stopwatch:
    """Answers questions without and with drivers, in turn, and adds up the seconds."""

    def __init__(self) -> None:
        self.seconds = {kind: [0.0, 0.0] for kind in ("same models", "new models", "other tickers")}

    def __call__(self, number: int, asked: Sequence[Question]) -> list[Answer]:
        special = {0: "new models", OTHERS_AT: "other tickers"} if number else {}
        kind = special.get(number % TUNE_EVERY, "same models")
        answers: list[Answer] = []
        for driven in (False, True) if number % 2 else (True, False):
            own = forgotten(asked)
            began = time.process_time()
            if driven:
                answers = forecast_shard(own, MODEL.horizon)
            else:
                for each in own:
                    last_evenings(each.model, each.series, MODEL.horizon)
            self.seconds[kind][driven] += time.process_time() - began
        return answers


def measure(until: str, count: int) -> None:
    """Print the differences and the seconds."""
    watch, before = Stopwatch(), dict[str, np.ndarray]()
    effects, changes, tickers = [0.0], [0.0], set[str]()
    for _, asked, answers in evenings(until, count, watch):
        for question, answer in zip(asked, answers, strict=True):
            name, driven = question.series.ticker, answer.drivers
            width = log_width(answer.forecast.forecasts.quantiles[0])
            effects.append(np.abs(driven.effects.sum(axis=0) - width).max())
            if name in before:
                changes.append(np.abs(driven.changes.sum(axis=0) - (width - before[name])).max())
            before[name] = width
            tickers.add(name)
    print(f"{count} evenings up to {until}, {len(tickers)} tickers, {MODEL.horizon} steps each")
    print(
        f"largest difference: {max(effects):.1e} of {len(effects) - 1} sums of effects to log widths,"
        f" {max(changes):.1e} of {len(changes) - 1} sums of changes to their changes"
    )
    alone, driven = (sum(each[place] for each in watch.seconds.values()) for place in (0, 1))
    print(f"forecasts {alone:.1f} CPU s, with drivers {driven:.1f} CPU s")
    for kind, (without, both) in watch.seconds.items():
        if without:
            print(f"{kind}: drivers take {both / without - 1:.2f} of the forecasts' own time")


def first_step(driven: Drivers) -> dict[str, tuple[float, float]]:
    pairs = zip(driven.effects[:, 0].tolist(), driven.changes[:, 0].tolist(), strict=True)
    return dict(zip(driven.names, pairs, strict=True))


def sentences(until: str, count: int, most: int) -> None:
    """Print what the report says of the widths that moved by more than a tenth, the most moved of each
    evening first.
    """
    day_before: dt.date | None = None
    for day, asked, answers in evenings(until, count, lambda _, asked: forecast_shard(asked, MODEL.horizon)):
        today, found = day.astype(dt.date), []
        for question, answer in zip(asked, answers, strict=True):
            first = first_step(answer.drivers)
            closes = Closes(question.series.sessions[-5:], question.series.close[-5:])
            if day_before and not answer.drivers.why[0]:
                said = width_change(question.series.ticker, first, closes, day_before, day_before, today)
                found.extend([said] if said else [])
        found.sort(key=lambda each: -abs(math.log1p(each.share)))
        for each in found[:most]:
            print(f"{today} {each.ticker}: {each.text}")
        if day_before:
            print(f"{today}: {len(found)} of {len(asked)} widths moved by more than a tenth")
        day_before = today


def main(words: Sequence[str]) -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.drivers")
    parser.add_argument("--until", default=MEASURED[0])
    parser.add_argument("--evenings", type=int, default=MEASURED[1], help="0: sentences only")
    parser.add_argument("--sentences", type=int, default=2, help="of an evening at most")
    asked = parser.parse_args(words)
    if not goals.DATA.exists():
        print(f"skipped: {goals.DATA.name} is not in ../shared/data")
        return
    if asked.evenings:
        measure(asked.until, asked.evenings)
    for name, (until, count) in STRETCHES.items() if asked.sentences else ():
        print(f"-- {name}")
        sentences(until, count, asked.sentences)


if __name__ == "__main__":
    main(sys.argv[1:])
