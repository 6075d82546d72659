"""The kinds of trial on what a source delivers: a fortnight of Yahoo's faults, a file that somebody broke,
one that grows while it is read.

Whole ingests by the library, against the Yahoo on the loopback or files; what is stored is read with plain
DuckDB and held against what the source was given. Only the last evening is sure to be well: then every price
has to be right, or the ticker's status has to say what is wrong.
"""

import datetime as dt
import functools
import random
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import numpy as np

from flows.settings.layers import gather
from flows.settings.run_config import resolve
from forecast_lib.jobs import night
from forecast_lib.jobs.ingest import known
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.prices.sources.retrying import Retrying
from forecast_lib.prices.sources.yahoo import YahooSource
from forecast_lib.sessions import TickerCalendar
from tests import plain_runs
from tests.bench._mutations import MUTATORS
from tests.campaign.trials import Outcome
from tests.prices.fake_yahoo import REPLIES, Bar, FakeYahoo, Listing

__all__ = ["SOURCES"]

TICKERS = ("ACME", "BOLT", "CORP")
SESSIONS = [day.date() for day in TickerCalendar("XNYS").sessions(dt.date(2024, 4, 1), dt.date(2024, 7, 12))]
EVENINGS = 10
SLOW = {"bomb", "drip", "oversize"}
"""Replies that take seconds each, and have tests of their own."""
FAULTS = sorted(set(REPLIES) - SLOW - {"ok"})
ONCE_MORE = Retrying(attempts=2, sleep=lambda _: None)

Figures = tuple[float, float, float, float, float]
Truth = Mapping[str, Mapping[dt.date, Figures]]


def _truth(chance: random.Random) -> Truth:
    """By ticker and session: open, high, low, close, volume of a random walk, in cents."""
    made = {}
    for ticker in TICKERS:
        random_ = np.random.default_rng(chance.getrandbits(32))
        close = 50.0 * np.exp(0.01 * random_.standard_t(5, len(SESSIONS)).cumsum())
        opened = np.concatenate([close[:1], close[:-1]]) * np.exp(0.003 * random_.standard_normal(len(close)))
        high = np.maximum(opened, close) * np.exp(0.004 * np.abs(random_.standard_normal(len(close))))
        low = np.minimum(opened, close) * np.exp(-0.004 * np.abs(random_.standard_normal(len(close))))
        volume = np.exp(11 + 0.3 * random_.standard_normal(len(close))).round()
        rows = np.stack([opened, high, low, close], axis=1).round(2)
        made[ticker] = {
            day: (*map(float, bar), float(shares))
            for day, bar, shares in zip(SESSIONS, rows, volume, strict=True)
        }
    return made


def _ingest(workspace: Path, day: dt.date, hour: int = 22, **options: str) -> RunSummary:
    now = dt.datetime.combine(day, dt.time(hour), dt.UTC)
    given = {"workspace": str(workspace), "tickers": ",".join(TICKERS), **options}
    return plain_runs.ingest(resolve(gather(given, environ={}), now=now))


def _whole(workspace: Path, days: int, **options: str) -> RunSummary:
    """So many days after the last session, when it is every ticker's turn to be asked for its whole past."""
    with mock.patch.object(known, "WHOLE_EVERY", 1):
        return _ingest(workspace, SESSIONS[-1] + dt.timedelta(days=days), **options)


def _query(workspace: Path, sql: str, **values: Any) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(workspace / "working.duckdb"), read_only=True) as con:
        con.execute("SET enable_progress_bar = false")
        return con.execute(sql, values).fetchall()


_STORED = """
    SELECT ticker, session::DATE, open, high, low, close, volume FROM prices
    QUALIFY row_number() OVER (PARTITION BY ticker, session ORDER BY revision DESC) = 1
"""
_TOLD = "SELECT ticker, status, coalesce(reason, '') FROM run_tickers WHERE run_id = $run"
_MARGIN = 1e-6
"""Relative: Yahoo's figures pass through its own arithmetic."""


def _stored(workspace: Path) -> dict[str, dict[dt.date, Figures]]:
    found: dict[str, dict[dt.date, Figures]] = {ticker: {} for ticker in TICKERS}
    for ticker, day, *figures in _query(workspace, _STORED):
        found[ticker][day] = tuple(np.nan if each is None else each for each in figures)  # type: ignore[assignment]
    return found


def _status_rows(workspace: Path, run: RunSummary) -> Iterator[str]:
    """Each ticker asked for has one status row."""
    rows = _query(workspace, _TOLD, run=run.run_id)
    if sorted(ticker for ticker, *_ in rows) != sorted(TICKERS):
        yield f"{run.run_id} ({run.message}) has status rows of {[ticker for ticker, *_ in rows]}"


def _differences(
    stored: Mapping[dt.date, Figures], truth: Mapping[dt.date, Figures], until: dt.date
) -> list[dt.date]:
    """Sessions up to the evening that are missing, or have another figure."""
    return [
        day
        for day, figures in truth.items()
        if day <= until
        and (day not in stored or not np.allclose(stored[day], figures, rtol=_MARGIN, equal_nan=False))
    ]


def _at_the_end(
    workspace: Path, run: RunSummary, truth: Truth, until: dt.date, *, strictly: bool = False
) -> Iterator[str]:
    """Every figure is right, or (not `strictly`) the ticker's status says that something is wrong."""
    if run.exit_code == 1:
        yield f"the last evening, on which all was well, failed: {run.message}"
    stored = _stored(workspace)
    told = {ticker: (status, reason) for ticker, status, reason in _query(workspace, _TOLD, run=run.run_id)}
    for ticker in TICKERS:
        wrong = _differences(stored[ticker], truth[ticker], until)
        if wrong and (strictly or told[ticker] == ("fresh", "")):
            yield f"{ticker}: {len(wrong)} prices from {wrong[0]} on are not right; it says {told[ticker]}"


# --- Yahoo


@functools.cache
def _cache() -> Path:
    """The client opens its cache once a process."""
    return Path(tempfile.mkdtemp(prefix="tickercast-yahoo-"))


@contextmanager
def _yahoo() -> Iterator[FakeYahoo]:
    with FakeYahoo() as yahoo:

        def source(config: Any, as_of: Any, workspace: Path, tickers: Sequence[str] = ()) -> YahooSource:
            session = yahoo.session(timeout_s=10.0)
            return YahooSource(_cache(), as_of.now, session=session, pause_s=0.0, retrying=ONCE_MORE)

        with mock.patch.object(night, "price_source", source):
            yield yahoo


def _listing(ticker: str, truth: Truth, until: dt.date) -> Listing:
    return Listing(ticker, [Bar(day, *bar) for day, bar in truth[ticker].items() if day <= until])


def _scripted(chance: random.Random, yahoo: FakeYahoo) -> list[str]:
    """Half of the tickers get one to three faults in turn; sometimes Yahoo is then well again."""
    said = []
    for ticker in TICKERS:
        if chance.random() < 0.5:
            replies = chance.choices(FAULTS, k=chance.randint(1, 3)) + ["ok"] * (chance.random() < 0.3)
            yahoo.script(ticker, *replies)
            said.append(f"{ticker} {'/'.join(replies)}")
    return said


def yahoo_fortnight(chance: random.Random, folder: Path) -> Outcome:
    """Ten evenings of faults drawn at random; on some the clock is wrong or an earlier evening is run again.
    No wrong close is ever stored, and after two good evenings every figure is right.
    """
    truth, workspace, days = _truth(chance), folder / "workspace", SESSIONS[-EVENINGS - 2 :]
    violations: list[str] = []
    with _yahoo() as yahoo:
        for number, day in enumerate(days):
            yahoo.listings = {ticker: _listing(ticker, truth, day) for ticker in TICKERS}
            yahoo.reset()
            last = number >= EVENINGS
            said = [] if last else _scripted(chance, yahoo)
            options, hour, evening = {"source": "yahoo"}, 22, day
            if not last and number and chance.random() < 0.2:
                back = days[max(number - chance.randint(1, 3), 0)]
                evening, hour = (back, 21) if chance.random() < 0.5 else (day, 22)
                options |= {} if evening == back else {"as_of": str(back)}
                said.append("the clock is back" if evening == back else f"as of {back}")
            run = _ingest(workspace, evening, hour, **options)
            violations += [f"{day} ({'; '.join(said)}): {each}" for each in _status_rows(workspace, run)]
            violations += [f"{day} ({'; '.join(said)}): {each}" for each in _wrong_closes(workspace, truth)]
        violations += _at_the_end(workspace, run, truth, days[-1], strictly=True)
    return Outcome(f"{len(days)} evenings", tuple(dict.fromkeys(violations)))


def _wrong_closes(workspace: Path, truth: Truth) -> Iterator[str]:
    for ticker, rows in _stored(workspace).items():
        for day, figures in rows.items():
            if day not in truth[ticker] or not np.isclose(figures[3], truth[ticker][day][3], rtol=_MARGIN):
                yield f"{ticker} {day} is stored with the close {figures[3]}"


# --- files


def _line(day: dt.date, bar: Figures) -> str:
    *prices, volume = bar
    return f"{day},{','.join(f'{price:.2f}' for price in prices)},{volume:.0f}"


def _csv(rows: Mapping[dt.date, Figures]) -> str:
    return "\n".join(["Date,Open,High,Low,Close,Volume", *(_line(*row) for row in rows.items())])


def mutated_file(chance: random.Random, folder: Path) -> Outcome:
    """One of three files is changed as an editor or a broken transfer does; the next evening it is well."""
    truth, workspace, files = _truth(chance), folder / "workspace", folder / "files"
    files.mkdir()
    for ticker in TICKERS:
        (files / f"{ticker}.csv").write_text(_csv(truth[ticker]) + "\n")
    changed, how = chance.choice(TICKERS), chance.choice(sorted(MUTATORS))
    lines = MUTATORS[how](_csv(truth[changed]).split("\n"), np.random.default_rng(chance.getrandbits(32)))
    (files / f"{changed}.csv").write_text("\n".join(lines) + "\n")
    options = {"source": "files", "files": str(files)}
    run = _ingest(workspace, SESSIONS[-1], **options)
    violations = list(_status_rows(workspace, run))
    if run.exit_code == 1:
        violations.append(f"one file ended the whole run: {run.message}")
    stored = _stored(workspace)
    others = [ticker for ticker in TICKERS if ticker != changed]
    violations += [
        f"{ticker} is not stored as it came, though {changed} was changed"
        for ticker in others
        if _differences(stored[ticker], truth[ticker], SESSIONS[-1])
    ]
    (files / f"{changed}.csv").write_text(_csv(truth[changed]) + "\n")
    violations += _at_the_end(workspace, _whole(workspace, 1, **options), truth, SESSIONS[-1])
    return Outcome(f"{changed}.csv: {how}", tuple(violations))


def growing_file(chance: random.Random, folder: Path) -> Outcome:
    """Files are written piece by piece, cut anywhere, while ingests read them; then they are whole."""
    truth, workspace, files = _truth(chance), folder / "workspace", folder / "files"
    files.mkdir()
    for ticker in TICKERS:
        (files / f"{ticker}.csv").write_text(_csv(dict(list(truth[ticker].items())[:30])) + "\n")
    rest = {
        ticker: _csv(truth[ticker]).partition(_line(SESSIONS[29], truth[ticker][SESSIONS[29]]) + "\n")[2]
        + "\n"
        for ticker in TICKERS
    }
    stop, pause = threading.Event(), chance.uniform(0.01, 0.1)
    writer = threading.Thread(
        target=_write_in_pieces, args=(random.Random(chance.random()), files, rest, pause, stop)
    )
    writer.start()
    options, violations, read = {"source": "files", "files": str(files)}, list[str](), 0
    while writer.is_alive() and read < 4:
        run = _ingest(workspace, SESSIONS[-1] + dt.timedelta(days=read), **options)
        violations += _status_rows(workspace, run)
        read += 1
    stop.set()
    writer.join()
    violations += _at_the_end(workspace, _whole(workspace, read, **options), truth, SESSIONS[-1])
    return Outcome(f"read {read} times while they grew", tuple(dict.fromkeys(violations)))


def _write_in_pieces(
    chance: random.Random, files: Path, rest: Mapping[str, str], pause: float, stop: threading.Event
) -> None:
    left = dict(rest)
    while any(left.values()):
        ticker = chance.choice([name for name, text in left.items() if text])
        size = len(left[ticker]) if stop.is_set() else chance.randint(1, 200)
        with (files / f"{ticker}.csv").open("a") as file:
            file.write(left[ticker][:size])
        left[ticker] = left[ticker][size:]
        stop.wait(pause)


SOURCES = (yahoo_fortnight, mutated_file, growing_file)
