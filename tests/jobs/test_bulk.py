"""A Parquet file of which only the wanted rows are read stores exactly what the same file read whole stores,
whatever is wrong with some of its tickers.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from flows.settings.layers import gather
from flows.settings.run_config import resolve
from forecast_lib.domain import AsOf, Ticker
from forecast_lib.errors import AuditFailed
from forecast_lib.jobs.ingest.known import read_known, with_whole_past
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.sessions import TickerCalendar
from forecast_lib.store.parquet import ParquetFiles
from forecast_lib.store.working import audits, database
from forecast_lib.store.working.store import Store
from tests import plain_runs
from tests.reading import published
from tests.store import nights

pytestmark = pytest.mark.slow

SESSIONS = TickerCalendar("XNYS").sessions(dt.date(2022, 9, 1), dt.date(2024, 6, 18))[-420:]
Change = Callable[[pd.DataFrame], pd.DataFrame]


def good(ticker: str, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    close = (100 * np.exp(np.cumsum(0.01 * random.standard_normal(len(SESSIONS))))).round(2)
    figures = {"open": close, "high": (close * 1.01).round(2), "low": (close * 0.99).round(2), "close": close}
    volume = random.integers(1000, 9000, len(SESSIONS))
    return pd.DataFrame(
        {
            "ticker": ticker,
            "date": SESSIONS,
            **figures,
            "volume": volume,
            "dividends": 0.0,
            "stock_splits": 0.0,
        }
    )


def with_value(column: str, value: float, at: int = 200) -> Change:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows.astype({column: float})
        rows.loc[at, column] = value
        return rows

    return change


def times(factor: float, rows_from: int, rows_to: int) -> Change:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[rows_from:rows_to, ["open", "high", "low", "close"]] *= factor
        return rows

    return change


def moved(day: str) -> Change:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[200, "date"] = pd.Timestamp(day)
        return rows

    return change


def paid(at: int, value: float) -> Change:
    return with_value("dividends", value, at)


def split(at: int, ratio: float, *, traded: bool) -> Change:
    """A split on the row's session; the rows before as they were traded, or divided already: then the prices
    stay.
    """

    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows = with_value("stock_splits", ratio, at)(rows)
        return times(ratio, 0, at - 1)(rows) if traded else rows

    return change


CHANGES: dict[str, Change] = {
    "OPEN": with_value("open", 1.0), "NAN": with_value("close", np.nan), "INF": with_value("high", np.inf),
    "ZERO": with_value("low", 0.0),
    "HUGE": with_value("close", 1e300), "NEGATIVE": with_value("volume", -1.0),
    "QUIET": with_value("volume", 0.0),
    "SPLIT": times(0.25, 300, 400), "SPIKE": times(2.0, 300, 300), "PENCE": times(100.0, 300, 302),
    "FROZEN": lambda rows: rows.assign(**dict.fromkeys(("open", "high", "low", "close"),
    rows["close"][300])).where(
        rows.index.to_series().between(300, 310), rows),
    "STALE": lambda rows: pd.concat([rows[:300], rows[299:300].assign(date=rows["date"][300]), rows[301:]]),
    "GAP": lambda rows: rows.drop(index=250), "GAPS": lambda rows: rows.drop(index=range(300, 316, 4)),
    "WEEKEND": moved("2023-10-21"), "HOLIDAY": moved("2023-11-23"),
    "TWICE": lambda rows: pd.concat([rows, rows[100:101]]),
    "RIVALS": lambda rows: pd.concat([rows[:101], rows[100:101].assign(close=1.0), rows[101:]]),
    "BACKWARDS": lambda rows: rows[::-1],
    "PAID": paid(100, 0.5), "PAIDS": lambda rows: paid(390, 0.25)(paid(327, 0.3)(rows)),
    "OWING": paid(200, -1.0), "RICH": paid(200, 2e9),
    "NOTED": lambda rows: rows.assign(dividends=np.nan), "HALVED": split(250, 2.0, traded=True),
    "DIVIDED": split(250, 4.0, traded=False),
    "BOTH": lambda rows: split(250, 4.0, traded=False)(paid(250, 0.5)(paid(60, 0.25)(rows))),
    "MERGED": split(250, 0.1, traded=False),
    "SPUN": split(250, 1.046, traded=False),
    "TORN": lambda rows: split(150, 3.0, traded=True)(split(250, 4.0, traded=False)(rows)),
    "VAGUE": lambda rows: split(250, 2.0, traded=False)(times(1.414, 0, 249)(rows)),
    "UNSPLIT": lambda rows: rows.assign(stock_splits=1.0),
    "ENDLESS": split(250, 1e6, traded=False),
    "SPLITGAP": lambda rows: split(300, 2.0, traded=True)(rows).drop(index=200),
}  # fmt: skip


def change_at(day: int, **values: float) -> Change:
    """Other values on a session, counted from the end."""
    return lambda rows: rows.assign(
        **{
            name: rows[name].astype(float).mask(rows["date"] == SESSIONS[day], value)
            for name, value in values.items()
        }
    )


def scaled_at(day: int, factor: float) -> Change:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        prices = ["open", "high", "low", "close"]
        return rows.assign(
            **{name: rows[name].where(rows["date"] != SESSIONS[day], rows[name] * factor) for name in prices}
        )

    return change


def without(day: int) -> Change:
    return lambda rows: rows[rows["date"] != SESSIONS[day]]


def split_later(ratio: float, *, divided: bool) -> Change:
    """A split on the session five before the end: the prices fall from it on; those before stay as traded, or
    are divided too.
    """

    def change(rows: pd.DataFrame) -> pd.DataFrame:
        falls = rows["date"] >= SESSIONS[-5] if not divided else rows["date"] <= SESSIONS[-1]
        prices = {
            name: rows[name].where(~falls, rows[name] / ratio) for name in ("open", "high", "low", "close")
        }
        volume = rows["volume"] * ratio if divided else rows["volume"]
        return change_at(-5, stock_splits=ratio)(rows.assign(volume=volume, **prices))

    return change


FIRST, SECOND, LAST = -9, -4, -1
"""Places of the sessions on whose evenings the file is taken in: as far as it had come by then."""

SECOND_EVENING: dict[str, Change] = {
    "LATE": lambda rows: rows, "GONE": lambda rows: rows[:0], "REVISED": scaled_at(-12, 1.002),
    "OLD": scaled_at(100, 0.5), "MISSED": without(-6),
    "JUMPED": change_at(-5, open=400.0, high=401.0, low=399.0, close=400.0),
    "BROKE": change_at(-5, low=1e6), "THIN": change_at(-5, volume=0.0),
    "DOUBLED": lambda rows: pd.concat([rows, rows[-4:-3]]),
    "BEHIND": lambda rows: rows[rows["date"] <= SESSIONS[FIRST]], "CAME": lambda rows: rows,
    "PAYS": change_at(-5, dividends=0.4),
    "PAYSTWICE": lambda rows: change_at(-14, dividends=0.2)(change_at(-2, dividends=0.4)(rows)),
    "OVERLAPS": change_at(-12, dividends=0.4), "SPLITS": split_later(2.0, divided=True),
    "SPLITSOLD": split_later(2.0, divided=False),
    "PAYSREVISED": lambda rows: change_at(-5, dividends=0.4)(scaled_at(60, 1.002)(rows)),
    "PAYSMISSED": change_at(-5, dividends=0.4),
}  # fmt: skip
"""What happened to tickers by the second evening; they were good before, LATE was not there, CAME and
PAYSMISSED lacked a session.
"""
LACKED_A_SESSION = ("CAME", "PAYSMISSED")


def up_to(place: int, rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["date"] <= SESSIONS[place]]


def write(path: Path, parts: list[pd.DataFrame]) -> Path:
    rows = pd.concat(parts, ignore_index=True)
    duckdb.from_df(rows.assign(date=rows["date"].dt.date)).write_parquet(str(path))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The file on three evenings. Three good tickers, one for each change, and one for each thing that
    happens later; EARLY, which begins the file, goes on at its end. On the last evening the file has only the
    last twelve sessions.
    """
    folder = tmp_path_factory.mktemp("market")
    always = [good(f"G{number}", number) for number in range(3)]
    always += [change(good(name, seed)) for seed, (name, change) in enumerate(CHANGES.items(), 20)]
    early = good("EARLY", 50)
    always = [early[:100], *always, early[100:]]
    later = {name: good(name, seed) for seed, name in enumerate(SECOND_EVENING, 60)}
    before = [
        without(-15)(rows) if name in LACKED_A_SESSION else rows
        for name, rows in later.items()
        if name != "LATE"
    ]
    happened = [change(up_to(SECOND, later[name])) for name, change in SECOND_EVENING.items()]
    last = [
        rows[rows["date"] > SESSIONS[-13]]
        for rows in [*always, *(change(later[name]) for name, change in SECOND_EVENING.items())]
    ]
    return {
        "first": write(folder / "first.parquet", [up_to(FIRST, rows) for rows in [*always, *before]]),
        "second": write(folder / "second.parquet", [*(up_to(SECOND, rows) for rows in always), *happened]),
        "last": write(folder / "last.parquet", last),
    }


NAMES = ("EARLY", *(f"G{number}" for number in range(3)), *CHANGES, *SECOND_EVENING)
EVENINGS = {"first": FIRST, "second": SECOND, "last": LAST}
Ingest = Callable[..., RunSummary]


@pytest.fixture
def ingest(files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ingest:
    """Takes the file of an evening in: `whole`, as a file whose columns say too little is read, or only the
    rows that are wanted.
    """

    def run(name: str, evening: str, *, whole: bool, hour: int = 22, **options: str) -> RunSummary:
        with monkeypatch.context() as patched:
            if whole:
                patched.setattr(ParquetFiles, "names", lambda *_: None)
            day = SESSIONS[EVENINGS[evening]].date()
            given = {
                "files": str(files[evening]),
                "workspace": str(tmp_path / name),
                "as_of": str(day),
                "tickers": ",".join(NAMES),
                **options,
            }
            now = dt.datetime.combine(day, dt.time(hour, 30), dt.UTC)
            return plain_runs.ingest(resolve(gather(given, environ={}), now=now))

    return run


TABLES = {
    "prices": "SELECT * EXCLUDE (run_id, adj_close) FROM prices ORDER BY ALL",
    "corporate_actions": "SELECT * EXCLUDE run_id FROM corporate_actions ORDER BY ALL",
    "quarantined_prices": "SELECT * EXCLUDE run_id FROM quarantined_prices ORDER BY ALL",
    "quality_counts": (
        "SELECT q.* EXCLUDE run_id, r.as_of FROM quality_counts AS q JOIN runs AS r USING (run_id) ORDER"
        " BY ALL"
    ),
    "price_gaps": "SELECT * EXCLUDE run_id FROM price_gaps ORDER BY ALL",
    "run_tickers": (
        "SELECT t.* EXCLUDE run_id, r.as_of FROM run_tickers AS t JOIN runs AS r USING (run_id) ORDER BY ALL"
    ),
    "runs": "SELECT as_of, status, message, degraded, prices_hash FROM runs ORDER BY ALL",
}


def test_both_ways_store_the_same_rows_on_every_evening(ingest: Ingest, tmp_path: Path) -> None:
    """On the second evening some rules have other severities."""
    for evening in EVENINGS:
        rules = (
            "zero_volume=drop_row,stale_bar=hold_ticker,duplicate_session=hold_ticker"
            if evening == "second"
            else ""
        )
        both = [ingest(name, evening, whole=name == "whole", rules=rules) for name in ("whole", "wanted")]
        for table, sql in TABLES.items():
            assert published(tmp_path / "whole", sql) == published(tmp_path / "wanted", sql), (evening, table)
        assert both[0].degraded == both[1].degraded
    assert published(tmp_path / "whole", "SELECT max(revision) FROM prices WHERE ticker = 'REVISED'") == [
        (1,)
    ]
    assert published(tmp_path / "whole", "SELECT count(*) FROM prices WHERE ticker = 'G0'") == [
        (len(SESSIONS),)
    ]
    before = published(tmp_path / "whole", TABLES["prices"])
    ingest("whole", "last", whole=True, hour=23)
    assert published(tmp_path / "whole", TABLES["prices"]) == before, (
        "a second ingest of the same file adds nothing"
    )


def relation(path: Path, rows: pd.DataFrame, **columns: str) -> Path:
    """Writes the rows, some columns as SQL says."""
    arriving = rows.assign(date=rows["date"].dt.date)
    duckdb.from_df(arriving).project(
        ", ".join(f"{columns.get(name, name)} AS {name}" for name in arriving)
    ).write_parquet(str(path))
    return path


YEARS = (-43, 23, 1599, 1650, 1677, 1750, 1850, 2150)
FIGURES = ("open", "high", "volume", "dividends", "stock_splits")


def each_with(odd: Sequence[object], rows: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[str, object]]]:
    """BBB as it is, and a copy of AAA for each odd thing, with where its row is."""
    names = [f"A{place}" for place in range(len(odd))]
    copies = [rows[rows["ticker"] == "AAA"].assign(ticker=name) for name in names]
    places = [f"ticker = '{name}' AND date = DATE '{SESSIONS[100].date()}'" for name in names]
    return pd.concat([rows[rows["ticker"] == "BBB"], *copies]), list(zip(places, odd, strict=True))


def slipped_years(path: Path, rows: pd.DataFrame) -> Path:
    every, odd = each_with(YEARS, rows)
    whens = " ".join(f"WHEN {place} THEN make_date({year}, 1, 3)" for place, year in odd)
    return relation(path, every, date=f"CASE {whens} ELSE date::DATE END")


def no_numbers(path: Path, rows: pd.DataFrame) -> Path:
    """A NaN, which in a Parquet file is another thing than nothing."""
    every, odd = each_with(FIGURES, rows)
    return relation(
        path,
        every,
        **{
            column: f"CASE WHEN {place} THEN 'nan'::DOUBLE ELSE {column}::DOUBLE END" for place, column in odd
        },
    )


def read_as_a_pattern(path: Path, rows: pd.DataFrame) -> Path:
    """DuckDB takes the name for a pattern that another file fits."""
    relation(path.with_name("m1.parquet"), rows.assign(close=rows["close"] * 1.001))
    return relation(path.with_name("m[1].parquet"), rows)


def cut_off(path: Path, rows: pd.DataFrame) -> Path:
    path.write_bytes(relation(path, rows).read_bytes()[:-20])
    return path


ODD_FILES: dict[str, tuple[Callable[[Path, pd.DataFrame], Path], dict[str, str]]] = {
    "years": (slipped_years, {}),
    "NaN": (no_numbers, {}),
    "a split to come": (
        lambda path, rows: relation(path, split(-3 % len(SESSIONS), 4.0, traded=False)(rows)),
        {},
    ),
    "a pattern": (read_as_a_pattern, dict.fromkeys(("AAA", "BBB"), "file_refused")),
    "cut off": (cut_off, dict.fromkeys(("AAA", "BBB"), "file_refused")),
    "no close": (
        lambda path, rows: relation(path, rows.drop(columns="close")),
        dict.fromkeys(("AAA", "BBB"), "file_refused"),
    ),
    "two tickers": (
        lambda path, rows: relation(path, rows.assign(symbol="A")),
        dict.fromkeys(("AAA", "BBB"), "file_refused"),
    ),
    "empty": (lambda path, rows: relation(path, rows[:0]), dict.fromkeys(("AAA", "BBB"), "file_refused")),
}


@pytest.mark.parametrize("name", ODD_FILES)
def test_both_ways_say_and_store_the_same_of_an_odd_file(ingest: Ingest, tmp_path: Path, name: str) -> None:
    """The file goes on after the evening. A row of a ticker is odd, or the file as a whole."""
    make, expected = ODD_FILES[name]
    path = make(tmp_path / "market.parquet", pd.concat([good("AAA", 1), good("BBB", 2)], ignore_index=True))
    odd = {"years": YEARS, "NaN": FIGURES}.get(name)
    asked = ",".join(["BBB", *(f"A{place}" for place in range(len(odd)))]) if odd else "AAA,BBB"
    both = [
        ingest(way, "first", whole=way == "whole", files=str(path), tickers=asked)
        for way in ("whole", "wanted")
    ]
    for summary in both:
        assert {row["ticker"]: row["reason"].partition(":")[0] for row in summary.degraded} == expected
    assert both[0].degraded == both[1].degraded
    for sql in TABLES.values() if not expected else ():
        assert published(tmp_path / "whole", sql) == published(tmp_path / "wanted", sql)


def test_the_end_of_a_history_is_read_alone_where_the_rules_need_no_more(tmp_path: Path) -> None:
    """LONG has 420 sessions, 131 of them in 190 days; GONE ended long ago and NEW has begun: both have fewer
    than the rules see.
    """
    day = SESSIONS[LAST].date()
    when = AsOf(day, *[dt.datetime.combine(day, dt.time(22, 30), dt.UTC)] * 2)
    parts = [good("GONE", 1)[:20], good("LONG", 2), good("NEW", 3)[-7:]]
    names = tuple(map(Ticker, ("GONE", "LONG", "NEW")))
    with Store(tmp_path, when.now) as store:
        con = store.con
        con.register("arriving", pd.concat(parts, ignore_index=True))
        con.execute(
            "INSERT INTO prices BY NAME SELECT * EXCLUDE (date, dividends, stock_splits), date::DATE AS"
            " session, 'files' AS source, 0 AS revision, TIMESTAMP '2024-06-18' AS known_at, 'x' AS run_id"
            " FROM arriving"
        )
        con.unregister("arriving")
        whole, tails = (read_known(store, names, when, tails=cut) for cut in (False, True))
        filled = with_whole_past(store, tails, (names[1],), when)
    assert [len(whole.sessions[name]) for name in names] == [20, 420, 7]
    assert [len(tails.sessions[name]) for name in names] == [20, 131, 7]
    assert (tails.sessions["LONG"] == SESSIONS[-131:].to_numpy("datetime64[D]")).all()
    pd.testing.assert_frame_equal(filled.rows.frame(), whole.rows.frame())


def test_prices_in_rising_blocks_need_no_grouping_and_anything_else_does(tmp_path: Path) -> None:
    """A night is stored: AAA and BBB with a session each."""
    workspace = tmp_path / "workspace"
    nights.store_night(workspace, 0)
    with database.open_working(workspace, nights.now(3)) as con:
        for insert, proven in (
            ("('CCC', '2024-02-01'), ('CCC', '2024-02-02'), ('DDD', '2024-02-01')", True),
            ("('CCC', '2024-02-01'), ('DDD', '2024-02-01'), ('CCC', '2024-02-02')", True),
            ("('CCC', '2024-02-01'), ('CCC', '2024-02-01')", False),
            ("('CCC', '2024-02-02'), ('CCC', '2024-02-01')", False),
            ("('CCC', '2024-02-01'), ('DDD', '2024-02-01'), ('CCC', '2024-02-01')", False),
            ("('AAA', '2024-02-01')", False),
        ):
            con.begin()
            con.execute(
                "INSERT INTO prices SELECT ticker, day::DATE, NULL, NULL, NULL, 1, NULL, NULL, NULL,"
                f" 'files', 0, TIMESTAMP '2024-02-03', 'x' FROM (VALUES {insert}) AS v(ticker, day)"
            )
            assert audits._new_and_in_order(con, "x", "prices") == proven, insert
            con.rollback()


def test_forecasts_of_a_backtest_in_rising_blocks_need_no_grouping_and_others_do(
    tmp_path: Path,
) -> None:
    workspace = tmp_path / "workspace"
    nights.store_night(workspace, 0)
    figures = ("point", "q025", "q05", "q10", "q25", "q50", "q75", "q90", "q95", "q975", "actual", "naive")
    with database.open_working(workspace, nights.now(3)) as con:
        con.execute(
            "INSERT INTO backtests BY NAME SELECT 'b' AS backtest_id, 'x' AS run_id,"
            " DATE '2024-02-03' AS as_of, '{}' AS config, '[]' AS splits, 1 AS seconds, 'files' AS source"
        )
        for insert, proven in (
            ("('AAA', 'garch', 1, 1), ('AAA', 'garch', 1, 2), ('AAA', 'naive', 1, 1)", True),
            ("('AAA', 'garch', 1, 2), ('AAA', 'naive', 1, 1), ('AAA', 'garch', 2, 1)", True),
            ("('AAA', 'garch', 1, 1), ('AAA', 'garch', 1, 1)", False),
            ("('AAA', 'garch', 1, 2), ('AAA', 'garch', 1, 1)", False),
            ("('AAA', 'garch', 1, 1), ('BBB', 'garch', 1, 1), ('AAA', 'garch', 1, 1)", False),
        ):
            con.begin()
            con.execute(
                "INSERT INTO backtest_forecasts BY NAME SELECT 'b' AS backtest_id, ticker, model,"
                " DATE '2024-01-01' + cutoff AS cutoff, step, DATE '2024-02-01' AS target_session,"
                f" {', '.join(f'1.0 AS {name}' for name in figures)}, 'files' AS source"
                f" FROM (VALUES {insert}) AS v(ticker, model, cutoff, step)"
            )
            assert audits._new_and_in_order(con, "x", "backtest_forecasts") == proven, insert
            con.rollback()


def test_a_price_stored_twice_is_still_found(tmp_path: Path) -> None:
    frames = nights.night(0)
    frames["prices"] = pd.concat(
        [frames["prices"], frames["prices"].head(1).assign(revision=2)], ignore_index=True
    )
    with pytest.raises(AuditFailed, match="revisions of a price are 0, 1, 2 and so on"):
        nights.store_night(tmp_path / "workspace", 0, frames)
