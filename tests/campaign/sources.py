"""The kinds of trial on what a source delivers: a fortnight of Yahoo's faults, a file that somebody broke,
one that grows while it is read.

Whole ingests by the library, against the Yahoo on the loopback or files; what is stored is read with plain
DuckDB and held against what the source was given. Only the last evening is sure to be well: then every price
has to be right, or the ticker's status has to say what is wrong.
"""

import datetime as dt
import functools
import random
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
from tests.bench import _mutations, faults
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


def _whole(workspace: Path, day: dt.date, **options: str) -> RunSummary:
    """An evening when it is every ticker's turn to be asked for its whole past."""
    with mock.patch.object(known, "WHOLE_EVERY", 1):
        return _ingest(workspace, day, **options)


def _query(workspace: Path, sql: str, **values: Any) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(workspace / "working.duckdb"), read_only=True) as con:
        con.execute("SET enable_progress_bar = false")
        return con.execute(sql, values).fetchall()


_STORED = """
    SELECT ticker, session::DATE, open, high, low, close, volume FROM prices
    QUALIFY row_number() OVER (PARTITION BY ticker, session ORDER BY revision DESC) = 1
"""
_TOLD = (
    "SELECT ticker, status, coalesce(reason, ''), coalesce(flags, '') FROM run_tickers WHERE run_id = $run"
)
_MARGIN = 1e-6
"""Relative: Yahoo's figures pass through its own arithmetic, and what differs by less is no correction."""


def _stored(workspace: Path, tickers: Sequence[str] = TICKERS) -> dict[str, dict[dt.date, Figures]]:
    found: dict[str, dict[dt.date, Figures]] = {ticker: {} for ticker in tickers}
    for ticker, day, *figures in _query(workspace, _STORED):
        found[ticker][day] = tuple(np.nan if each is None else each for each in figures)  # type: ignore[assignment]
    return found


def _status_rows(workspace: Path, run: RunSummary, asked: Sequence[str] = TICKERS) -> Iterator[str]:
    """Each ticker asked for has one status row."""
    rows = _query(workspace, _TOLD, run=run.run_id)
    if sorted(ticker for ticker, *_ in rows) != sorted(asked):
        yield f"{run.run_id} ({run.message}) has status rows of {[ticker for ticker, *_ in rows]}"


def _differences(
    stored: Mapping[dt.date, Figures], truth: Mapping[dt.date, Figures], until: dt.date
) -> list[dt.date]:
    """Sessions up to the evening that are missing, or have another figure."""
    return _wrong(stored, truth, [day for day in truth if day <= until])


def _at_the_end(
    workspace: Path, run: RunSummary, truth: Truth, until: dt.date, *, strictly: bool = False
) -> Iterator[str]:
    """Every figure is right, or (not `strictly`) the ticker's status says that something is wrong."""
    if run.exit_code == 1:
        yield f"the last evening, on which all was well, failed: {run.message}"
    stored, told = _stored(workspace), _told(workspace, run)
    for ticker in TICKERS:
        wrong = _differences(stored[ticker], truth[ticker], until)
        waits = told[ticker][1].startswith("currency_changed")  # another label is believed after two weeks
        if wrong and ((strictly and not waits) or told[ticker][:2] == ("fresh", "")):
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
    return Outcome(f"{len(days)} evenings", tuple(dict.fromkeys(violations)), tried=len(days))


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


FILES, CONTROLS, PAST = 100, 8, 150
"""Of a folder of mutated copies: all, those that stay as they are, and their sessions."""
WELL_AGAIN = 1 / 3
"""Share of the trials in which the files are well again on a next evening."""


@dataclass(frozen=True)
class Folder:
    """What a night makes of well files, and the place where such nights were: `before` knows the sessions up
    to some months ago.
    """

    texts: Mapping[str, str]
    last: dt.date
    before: Path
    stored: Mapping[str, Mapping[dt.date, Figures]]


@functools.cache
def _folder() -> Folder:
    """Copies of the files of real shares where they are there, else of made-up ones."""
    if (faults.DATA / "dev_prices.parquet").exists():
        shares = faults.real_prices()
        rows = [part for ticker, part in shares.rows.items() if shares.calendar(ticker).name == "XNYS"]
        last = min(part["session"].iloc[-1] for part in rows)
        cut = [part[part["session"] <= last].tail(PAST) for part in rows]
        originals = [_mutations.as_csv(part) for part in cut if len(part) == PAST]
        last = last.date()
    else:
        originals, last = [_csv(rows) for rows in _truth(random.Random(0)).values()], SESSIONS[-1]
    texts = {f"M{number:03d}": originals[number % len(originals)] for number in range(FILES)}
    place = Path(_made_in.name)
    _write(place / "files", texts)
    options = _of_files(texts, place / "files")
    _ingest(place / "before", last - dt.timedelta(days=120), **options)
    run = _ingest(place / "well", last, **options)
    assert run.exit_code != 1, run.message
    return Folder(texts, last, place / "before", _stored(place / "well", sorted(texts)))


_made_in = tempfile.TemporaryDirectory(prefix="tickercast-files-")


def _write(folder: Path, texts: Mapping[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    for ticker, text in texts.items():
        (folder / f"{ticker}.csv").write_text(text + "\n", encoding="utf-8")


def _of_files(tickers: Iterable[str], files: Path) -> dict[str, str]:
    return {"source": "files", "files": str(files), "tickers": ",".join(sorted(tickers))}


def mutated_files(chance: random.Random, folder: Path) -> Outcome:
    """All files of a universe but some are changed, each in its own way, as an editor or a broken transfer
    does; half of the times their past is known already. Each is judged by itself; in a third of the trials
    there is a next evening, on which all are well.
    """
    well, workspace, files = _folder(), folder / "workspace", folder / "files"
    if chance.random() < 0.5:
        shutil.copytree(well.before, workspace)
    changed, how = dict(well.texts), {}
    for ticker in chance.sample(sorted(well.texts), FILES - CONTROLS):
        how[ticker] = chance.choice(sorted(MUTATORS))
        random_ = np.random.default_rng(chance.getrandbits(32))
        changed[ticker] = "\n".join(MUTATORS[how[ticker]](well.texts[ticker].split("\n"), random_))
    _write(files, changed)
    options = _of_files(changed, files)
    run = _whole(workspace, well.last, **options)
    violations = list(_status_rows(workspace, run, sorted(changed)))
    if run.exit_code == 1:
        violations.append(f"the files ended the whole run: {run.message}")
    stored, told, refused = _stored(workspace, sorted(changed)), _told(workspace, run), _refused(workspace)
    for ticker, text in changed.items():
        wrong = _wrong(stored[ticker], well.stored[ticker], _mutations.untouched(well.texts[ticker], text))
        silent = told[ticker] == ("fresh", "", "") and ticker not in refused
        if ticker not in how and (wrong or set(stored[ticker]) != set(well.stored[ticker])):
            violations.append(f"{ticker} is not stored as it came, though only others were changed")
        elif any(day in stored[ticker] for day in wrong):
            violations.append(f"{ticker} ({how[ticker]}): a row that was not touched is altered: {wrong[0]}")
        elif wrong and silent:
            violations.append(f"{ticker} ({how[ticker]}): rows that were not touched are missing: {wrong[0]}")
    if chance.random() < WELL_AGAIN:
        violations += _all_well(workspace, well, options, how)
    return Outcome(f"{len(how)} files of {FILES}", tuple(violations), tried=len(how))


def _all_well(
    workspace: Path, well: Folder, options: Mapping[str, str], how: Mapping[str, str]
) -> Iterator[str]:
    """After an evening with well files each price is right, or its ticker's status says that it is not."""
    _write(Path(options["files"]), well.texts)
    run = _whole(workspace, well.last + dt.timedelta(days=1), **options)
    if run.exit_code == 1:
        yield f"the last evening, on which all was well, failed: {run.message}"
    stored, told = _stored(workspace, sorted(well.texts)), _told(workspace, run)
    for ticker in well.texts:
        wrong = _wrong(stored[ticker], well.stored[ticker], well.stored[ticker])
        if wrong and told[ticker][:2] == ("fresh", ""):
            yield (
                f"{ticker} ({how.get(ticker)}): {len(wrong)} prices from {wrong[0]} on are not right at the"
                f" end; it says {told[ticker]}"
            )


def _wrong(
    stored: Mapping[dt.date, Figures], well: Mapping[dt.date, Figures], days: Iterable[dt.date]
) -> list[dt.date]:
    """Days of well rows that are missing or have other figures."""
    return sorted(day for day in days if day in well and not _same(stored.get(day), well[day]))


def _same(one: Figures | None, other: Figures) -> bool:
    return one == other or (one is not None and np.allclose(one, other, rtol=_MARGIN, equal_nan=True))


def _told(workspace: Path, run: RunSummary) -> dict[str, tuple[str, str, str]]:
    """By ticker: status, reason, flags."""
    return {ticker: (status, *said) for ticker, status, *said in _query(workspace, _TOLD, run=run.run_id)}


def _refused(workspace: Path) -> set[str]:
    """Tickers with a row in quarantine."""
    return {ticker for (ticker,) in _query(workspace, "SELECT DISTINCT ticker FROM quarantined_prices")}


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
    violations += _at_the_end(
        workspace, _whole(workspace, SESSIONS[-1] + dt.timedelta(days=read), **options), truth, SESSIONS[-1]
    )
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


SOURCES = (yahoo_fortnight, mutated_files, growing_file)
