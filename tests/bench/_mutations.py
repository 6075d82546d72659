"""Mutated copies of real files: what a text editor, a spreadsheet or a broken transfer makes of a table of
prices.

Each trial changes one file of a folder and leaves the others; what is said of these must not change, and of
the changed one no row that the change did not touch may be altered.
"""

import collections
import dataclasses
import datetime as dt
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from forecast_lib.domain import AsOf, Ticker
from forecast_lib.errors import FatalError, TickercastError
from forecast_lib.prices.checks import Checked, check, nothing_before
from forecast_lib.prices.sources.files import FilesSource
from forecast_lib.sessions import calendar_for
from forecast_lib.windows.histories import Histories

ROWS, FOLDERS, FAR = 400, 12, dt.date(2030, 1, 1)
CELLS = (
    "",
    "nan",
    "N/A",
    "-",
    "0",
    "-5",
    "1e400",
    "1,234.5",
    "12.3.4",
    "x",
    "TRUE",
    "=1+1",
    "1e-9",
    "99999999999",
    "#REF!",
    "12,5",
)
DATES = (
    "2013-02-30",
    "13/2/2013",
    "02/13/2013",
    "20130213",
    "2013-02-13T00:00",
    "44",
    "tomorrow",
    "2113-02-13",
    "0044-03-15",
)

Lines = list[str]


def _cell(line: str, column: int, text: str) -> str:
    cells = line.split(",")
    cells[min(column, len(cells) - 1)] = text
    return ",".join(cells)


def _at(lines: Lines, rng: np.random.Generator) -> int:
    return int(rng.integers(1, len(lines)))


def _set(change: Callable[[str, np.random.Generator], str]) -> Callable[[Lines, np.random.Generator], Lines]:
    """Some lines, each changed."""

    def mutate(lines: Lines, rng: np.random.Generator) -> Lines:
        for at in rng.integers(1, len(lines), int(rng.integers(1, 6))).tolist():
            lines[at] = change(lines[at], rng)
        return lines

    return mutate


def _digit(line: str, rng: np.random.Generator) -> str:
    places = [place for place, letter in enumerate(line) if letter.isdigit()]
    if not places:
        return line
    at = int(rng.choice(places))
    return line[:at] + str(int(rng.integers(0, 10))) + line[at + 1 :]


def _letter(line: str, rng: np.random.Generator) -> str:
    at = int(rng.integers(0, len(line) + 1))
    return line[:at] + str(rng.choice(list(',;"\t \0é.-%'))) + line[at:]


def _gone(line: str, rng: np.random.Generator) -> str:
    at = int(rng.integers(0, max(len(line), 1)))
    return line[:at] + line[at + 1 :]


def _point(line: str, rng: np.random.Generator) -> str:
    """A slipped decimal point."""
    cells = line.split(",")
    at = int(rng.integers(1, max(len(cells), 2)))
    try:
        return _cell(line, at, repr(float(cells[at]) * float(rng.choice([0.01, 0.1, 10, 100]))))
    except (ValueError, IndexError):
        return line


def _swapped(line: str, rng: np.random.Generator) -> str:
    cells = line.split(",")
    a, b = rng.integers(0, len(cells), 2).tolist()
    cells[a], cells[b] = cells[b], cells[a]
    return ",".join(cells)


def _twice(lines: Lines, rng: np.random.Generator) -> Lines:
    at = _at(lines, rng)
    return [*lines[: at + 1], *lines[at:]]


def _without(lines: Lines, rng: np.random.Generator) -> Lines:
    at, count = _at(lines, rng), int(rng.integers(1, 30))
    return lines[:at] + lines[at + count :]


def _cut(lines: Lines, rng: np.random.Generator) -> Lines:
    at = _at(lines, rng)
    return [*lines[:at], lines[at][: int(rng.integers(0, len(lines[at])))]]


def _shuffled(lines: Lines, rng: np.random.Generator) -> Lines:
    rows = lines[1:]
    a, b = sorted(rng.integers(0, len(rows), 2).tolist())
    return [lines[0], *rows[:a], *reversed(rows[a:b]), *rows[b:]]


def _garbage(lines: Lines, rng: np.random.Generator) -> Lines:
    at = _at(lines, rng)
    return [
        *lines[:at],
        str(rng.choice(["", "<html>", "Total,,,,,,", '"', ",,,,,,", "Date,Open,High,Low,Close"])),
        *lines[at:],
    ]


def _header(lines: Lines, rng: np.random.Generator) -> Lines:
    return [_letter(lines[0], rng) if rng.random() < 0.5 else _swapped(lines[0], rng), *lines[1:]]


MUTATORS: Mapping[str, Callable[[Lines, np.random.Generator], Lines]] = {
    "a digit": _set(_digit),
    "a letter": _set(_letter),
    "a letter gone": _set(_gone),
    "a point slipped": _set(_point),
    "cells swapped": _set(_swapped),
    "a cell": _set(lambda line, rng: _cell(line, int(rng.integers(1, 7)), str(rng.choice(CELLS)))),
    "a date": _set(lambda line, rng: _cell(line, 0, str(rng.choice(DATES)))),
    "a line twice": _twice,
    "lines gone": _without,
    "cut off": _cut,
    "lines in another order": _shuffled,
    "a line of garbage": _garbage,
    "the header": _header,
}


@dataclasses.dataclass(frozen=True)
class Trial:
    """What became of one mutated file.

    Attributes:
        outcome: `exact` (every untouched row stored as it is), `refused` (the file, by name), `held` (nothing
            new of it taken), or what went wrong.
    """

    mutator: str
    outcome: str


def run(histories: Mapping[str, pd.DataFrame], trials: int, seed: int) -> list[Trial]:
    """Trials on the last ROWS rows of each history."""
    rng = np.random.default_rng(seed)
    texts = {ticker: as_csv(rows.tail(ROWS)) for ticker, rows in histories.items()}
    threes = [
        tuple(str(each) for each in rng.choice(sorted(texts), 3, replace=False)) for _ in range(FOLDERS)
    ]
    clean: dict[tuple[str, ...], Checked] = {}
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(trials):
            three = threes[int(rng.integers(FOLDERS))]
            if three not in clean:
                clean[three] = _checked(folder, {each: texts[each] for each in three})
            changed, which = str(rng.choice(three)), list(MUTATORS)[int(rng.integers(len(MUTATORS)))]
            lines = MUTATORS[which](texts[changed].split("\n"), rng)
            found.append(
                Trial(
                    which,
                    _trial(
                        folder, {each: texts[each] for each in three}, changed, "\n".join(lines), clean[three]
                    ),
                )
            )
    return found


def as_csv(rows: pd.DataFrame) -> str:
    columns = ["session", "open", "high", "low", "close", "adj_close", "volume"]
    frame = rows[columns].set_axis(["Date", "Open", "High", "Low", "Close", "Adj Close", "Volume"], axis=1)
    return str(frame.to_csv(index=False, date_format="%Y-%m-%d", lineterminator="\n")).rstrip("\n")


def _trial(folder: Path, texts: Mapping[str, str], changed: str, mutated: str, clean: Checked) -> str:
    try:
        after = _checked(folder, dict(texts) | {changed: mutated})
    except FatalError as error:
        return f"the whole run refused: {type(error).__name__}"
    except Exception as error:
        return f"traceback: {type(error).__name__}: {error}"
    others = [ticker for ticker in texts if ticker != changed]
    if any(not _same(_rows(clean.good, each), _rows(after.good, each)) for each in others):
        return "another ticker changed"
    if isinstance(after.told[Ticker(changed)].problem, TickercastError):
        return "refused"
    same = untouched(texts[changed], mutated)
    before, now = (_rows(each.good, changed) for each in (clean, after))
    common = same & set(before) & set(now)
    if any(before[day] != now[day] for day in common):
        return "an untouched row altered"
    if changed in after.holds:
        return "held"
    waits = {
        day for each in after.judged.verdicts.get(changed, ()) for day in each.rows.astype("M8[D]").tolist()
    }
    return "exact" if not (same & set(before)) - set(now) - waits else "an untouched row missing"


def _checked(folder: Path, texts: Mapping[str, str]) -> Checked:
    for stale in folder.iterdir():
        stale.unlink()
    for ticker, text in texts.items():
        (folder / f"{ticker}.csv").write_text(text, encoding="utf-8")
    tickers = [Ticker(ticker) for ticker in sorted(texts)]
    offered = FilesSource(folder, tickers).fetch(dict.fromkeys(tickers), FAR)
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    known = nothing_before(offered.rows.tickers)
    return check(
        offered,
        known,
        AsOf(dt.date(2025, 12, 31), now, now),
        calendars={each: calendar_for(each) for each in texts},
    )


def _rows(rows: Histories, ticker: str) -> dict[dt.date, tuple[float, ...]]:
    """By session, the figures; a missing one is None."""
    low, high = rows.bounds()[rows.tickers.index(ticker) :][:2].tolist()
    figures = np.stack(
        [rows.figures[name][low:high] for name in ("open", "high", "low", "close", "adj_close", "volume")],
        axis=1,
    )
    values = [tuple(None if np.isnan(value) else value for value in row) for row in figures.tolist()]
    return dict(zip(rows.sessions[low:high].tolist(), values, strict=True))  # type: ignore[arg-type]


def _same(one: Mapping[dt.date, tuple[float, ...]], other: Mapping[dt.date, tuple[float, ...]]) -> bool:
    return one == other


def untouched(text: str, mutated: str) -> set[dt.date]:
    """Days whose line stands in both, once, and whose day no other line of the mutated text begins with; none
    where the header, which says what the figures are, is another.
    """
    if text.partition("\n")[0] != mutated.partition("\n")[0]:
        return set()
    lines = collections.Counter(mutated.split("\n"))
    days = collections.Counter(line.split(",")[0] for line in mutated.split("\n"))
    same = [line for line in text.split("\n")[1:] if lines[line] == 1 and days[line.split(",")[0]] == 1]
    return {dt.date.fromisoformat(line.split(",")[0]) for line in same}


def print_trials(trials: list[Trial]) -> None:
    outcomes = sorted({each.outcome for each in trials})
    print("| mutated | n | " + " | ".join(outcomes) + " |")
    print("|---" * (len(outcomes) + 2) + "|")
    for name in [*MUTATORS, "all"]:
        mine = [each for each in trials if name in (each.mutator, "all")]
        if mine:
            print(
                f"| {name} | {len(mine)} | "
                + " | ".join(str(sum(each.outcome == outcome for each in mine)) for outcome in outcomes)
                + " |"
            )
