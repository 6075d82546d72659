"""The real Yahoo client against a Yahoo on the loopback (`fake_yahoo`); each test has a few seconds
at most.
"""

import datetime as dt
import re
import threading
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from forecast_lib.config import SourceConfig
from forecast_lib.domain import AsOf, Ticker
from forecast_lib.errors import (
    BadReply,
    NoPrices,
    RateLimited,
    SourceGivenUp,
    SourceOutage,
    TickercastError,
    TransientError,
    UnknownTicker,
)
from forecast_lib.prices import open_source
from forecast_lib.prices.sources.retrying import Retrying
from forecast_lib.prices.sources.yahoo import YahooSource
from forecast_lib.prices.sources.yahoo_replies import YahooSession
from tests.contracts.price_source import PriceSourceContract
from tests.prices.fake_yahoo import CRUMB, Bar, FakeYahoo, Listing
from tests.prices.one_ticker import OfferedTicker, ask, part_of

DAY = dt.date
NOW = dt.datetime(2024, 7, 1, 22, 0, tzinfo=dt.UTC)
LAST = DAY(2024, 6, 28)
ONCE = Retrying(attempts=1)
NEW_SOURCE = Callable[..., YahooSource]


def weekdays(first: str, last: str) -> list[dt.date]:
    return [stamp.date() for stamp in pd.bdate_range(first, last)]


def plain_bars(days: list[dt.date], base: float = 100.0) -> list[Bar]:
    """Prices that rise by 1 a session."""
    return [
        Bar(day, base + place, base + place + 2, base + place - 1, base + place + 1, 1000.0 + place)
        for place, day in enumerate(days)
    ]


JUNE = weekdays("2024-06-03", "2024-06-28")

# As traded, from Alpha Vantage's record of Apple (the development data's AAPL_daily_adjusted.csv): session,
# close, volume.
APPLE_AS_TRADED = {
    DAY(2012, 8, 8): (619.86, 8739500),
    DAY(2012, 8, 9): (620.73, 7915800),
    DAY(2014, 6, 6): (645.57, 12497800),
    DAY(2014, 6, 9): (93.7, 75414997),
    DAY(2020, 8, 7): (444.45, 49511403),
    DAY(2020, 8, 28): (499.23, 46907479),
    DAY(2020, 8, 31): (129.04, 223505733),
    DAY(2020, 9, 1): (134.18, 152470142),
}
# The same sessions as Yahoo itself had them after both splits (the development data's AAPL.csv): session,
# close, volume.
APPLE_BY_YAHOO = {
    DAY(2012, 8, 8): (22.137857, 244706000),
    DAY(2012, 8, 9): (22.168928, 221642400),
    DAY(2014, 6, 6): (23.056070, 349938400),
    DAY(2014, 6, 9): (23.424999, 301660000),
    DAY(2020, 8, 7): (111.112503, 198045600),
    DAY(2020, 8, 28): (124.807503, 187630000),
    DAY(2020, 8, 31): (129.039993, 225702700),
    DAY(2020, 9, 1): (134.179993, 151948100),
}


class _AppleByYahoo(Listing):
    """Plays numbers that Yahoo really gave: nothing is re-based here."""

    def shares_since(self, session: dt.date) -> float:
        return 1.0


class _AnswersTooMuch(Listing):
    def chart(self, start: int, end: int) -> dict[str, Any]:
        return super().chart(0, end)


def listings() -> list[Listing]:
    split_days = weekdays("2024-05-27", "2024-06-28")
    return [
        Listing("ACME", plain_bars(JUNE), dividends={DAY(2024, 6, 12): 0.25}),
        Listing(
            "SPLT",
            plain_bars(split_days, 400.0),
            splits={DAY(2024, 6, 10): (4, 1)},
            dividends={DAY(2024, 6, 5): 0.82, DAY(2024, 6, 20): 0.21},
        ),
        Listing("7203.T", plain_bars(JUNE, 3000.0), currency="JPY", zone="Asia/Tokyo", opens=dt.time(9)),
        Listing("VOD.L", plain_bars(JUNE, 70.0), currency="GBp", zone="Europe/London", opens=dt.time(8)),
        Listing("AIR.NZ", plain_bars(JUNE, 5.0), currency="NZD", zone="Pacific/Auckland", opens=dt.time(10)),
        Listing("BTC-USD", plain_bars(JUNE, 6e4), zone="UTC", opens=dt.time(0), instrument="CRYPTOCURRENCY"),
        _AppleByYahoo(
            "AAPL",
            [Bar(day, close, close, close, close, volume) for day, (close, volume) in APPLE_BY_YAHOO.items()],
            splits={DAY(2014, 6, 9): (7, 1), DAY(2020, 8, 31): (4, 1)},
            dividends={DAY(2012, 8, 9): 0.094643, DAY(2020, 8, 7): 0.205},  # as Yahoo reports them
        ),
        *[Listing(f"T{place}", plain_bars(JUNE)) for place in range(40)],
    ]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeYahoo]:
    with FakeYahoo(listings()) as running:
        yield running


@pytest.fixture
def yahoo(server: FakeYahoo) -> FakeYahoo:
    server.reset()
    server.listings = {listing.ticker: listing for listing in listings()}
    return server


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all: the client keeps the first folder of the process."""
    return tmp_path_factory.mktemp("yahoo") / "cache"


@pytest.fixture
def new_source(yahoo: FakeYahoo, cache_dir: Path) -> NEW_SOURCE:
    def build(now: dt.datetime = NOW, **options: object) -> YahooSource:
        session = yahoo.session(timeout_s=1.0)
        return YahooSource(cache_dir, now, session=session, **{"pause_s": 0.0, "retrying": ONCE, **options})  # type: ignore[arg-type]

    return build


def fetch(
    source: YahooSource, ticker: str, first: dt.date | None = None, last: dt.date = LAST
) -> OfferedTicker:
    return ask(source, ticker, first, last)


def closes(fetched: OfferedTicker) -> dict[dt.date, float]:
    return {row.session.date(): row.close for row in fetched.prices.itertuples()}


def actions(fetched: OfferedTicker) -> list[tuple[dt.date, str, float]]:
    return [(row.session.date(), row.kind, round(row.value, 4)) for row in fetched.actions.itertuples()]


class TestYahooIsAPriceSource(PriceSourceContract):
    ticker = "SPLT"
    unknown_ticker = "NOSUCH"
    first, middle, last = DAY(2024, 5, 27), DAY(2024, 6, 10), DAY(2024, 6, 28)

    @pytest.fixture
    def source(self, new_source: NEW_SOURCE) -> YahooSource:
        return new_source()


class TestRows:
    def test_carry_the_listings_numbers_in_order(self, new_source: NEW_SOURCE) -> None:
        prices = fetch(new_source(), "ACME").prices
        assert prices["session"].dt.date.tolist() == JUNE
        assert prices.iloc[0, 1:].tolist() == [
            100.0,
            102.0,
            99.0,
            101.0,
            101.0,
            1000.0,
            "yahoo ACME 2024-06-03",
        ]

    def test_name_currency_and_zone_of_the_exchange(self, new_source: NEW_SOURCE) -> None:
        fetched = fetch(new_source(), "VOD.L")
        assert (fetched.currency, fetched.told.timezone) == ("GBp", "Europe/London")

    @pytest.mark.parametrize("ticker", ["ACME", "7203.T", "VOD.L", "AIR.NZ", "BTC-USD"])
    def test_are_dated_by_the_exchanges_own_calendar(self, new_source: NEW_SOURCE, ticker: str) -> None:
        """Tokyo opens at midnight UTC and Auckland on the UTC day before."""
        fetched = fetch(new_source(), ticker, DAY(2024, 6, 10), DAY(2024, 6, 12))
        assert list(closes(fetched)) == [DAY(2024, 6, 10), DAY(2024, 6, 11), DAY(2024, 6, 12)]

    def test_are_dated_right_across_a_change_to_summer_time(
        self, yahoo: FakeYahoo, new_source: NEW_SOURCE
    ) -> None:
        days = weekdays("2024-03-06", "2024-03-14")  # New York changed on 2024-03-10
        yahoo.listings["ACME"] = Listing("ACME", plain_bars(days))
        assert list(closes(fetch(new_source(), "ACME"))) == days

    def test_live_row_replaces_the_days_row_under_the_plain_date(
        self, yahoo: FakeYahoo, new_source: NEW_SOURCE
    ) -> None:
        live = Bar(LAST, 119.0, 125.0, 118.0, 124.0, 5000.0, stamp=dt.time(15, 12, 7))
        yahoo.listings["ACME"].bars.append(live)
        prices = fetch(new_source(), "ACME").prices
        assert prices["session"].is_unique
        assert prices.iloc[-1][["session", "close", "volume"]].tolist() == [pd.Timestamp(LAST), 124.0, 5000.0]

    def test_todays_row_is_passed_on(self, new_source: NEW_SOURCE) -> None:
        """Whether the session has closed is for the checks to say."""
        noon = dt.datetime(2024, 6, 28, 16, 0, tzinfo=dt.UTC)
        assert LAST in closes(fetch(new_source(noon), "ACME"))

    def test_row_without_prices_is_passed_on(self, yahoo: FakeYahoo, new_source: NEW_SOURCE) -> None:
        yahoo.script("ACME", "nan row")
        prices = fetch(new_source(), "ACME").prices
        assert len(prices) == len(JUNE)
        assert prices.loc[1, ["open", "high", "low", "close", "adj_close"]].isna().all()

    @pytest.mark.parametrize(
        ("reply", "close"), [("negative", -5.0), ("zero", 0.0), ("huge", 1e308), ("infinite", np.inf)]
    )
    def test_impossible_number_is_passed_on_to_the_checks(
        self, yahoo: FakeYahoo, new_source: NEW_SOURCE, reply: str, close: float
    ) -> None:
        yahoo.script("ACME", reply)
        found = closes(fetch(new_source(), "ACME"))
        assert found[JUNE[1]] == close
        assert found[JUNE[2]] == 103.0

    def test_rows_sent_newest_first_come_oldest_first(self, yahoo: FakeYahoo, new_source: NEW_SOURCE) -> None:
        in_order = fetch(new_source(), "ACME")
        yahoo.script("ACME", "newest first")
        assert_frame_equal(fetch(new_source(), "ACME").prices, in_order.prices)

    def test_day_sent_twice_alike_counts_once(self, yahoo: FakeYahoo, new_source: NEW_SOURCE) -> None:
        yahoo.script("ACME", "same day twice")
        fetched = fetch(new_source(), "ACME")
        assert list(closes(fetched)) == JUNE
        assert fetched.refused.empty

    def test_day_with_two_different_rows_is_refused(self, yahoo: FakeYahoo, new_source: NEW_SOURCE) -> None:
        yahoo.script("ACME", "two stories of a day")
        fetched = fetch(new_source(), "ACME")
        assert JUNE[1] not in closes(fetched)
        refused = fetched.refused[["session", "rule", "origin"]].to_numpy().tolist()
        assert refused == [[pd.Timestamp(JUNE[1]), "duplicate_session", "yahoo ACME 2024-06-04"]]

    def test_only_day_asked_for_has_two_different_rows(
        self, yahoo: FakeYahoo, new_source: NEW_SOURCE
    ) -> None:
        """There is no row to use, and the refused one is handed out."""
        yahoo.listings["ACME"].bars.insert(4, Bar(JUNE[3], 50.0, 52.0, 49.0, 51.0, 900.0))
        fetched = fetch(new_source(), "ACME", JUNE[3], JUNE[3])
        assert fetched.prices.empty
        assert fetched.refused[["session", "rule"]].to_numpy().tolist() == [
            [pd.Timestamp(JUNE[3]), "duplicate_session"]
        ]

    def test_rows_before_first_are_left_out(self, yahoo: FakeYahoo, new_source: NEW_SOURCE) -> None:
        yahoo.listings["ACME"] = _AnswersTooMuch("ACME", plain_bars(JUNE), dividends={JUNE[0]: 0.25})
        fetched = fetch(new_source(), "ACME", JUNE[3])
        assert list(closes(fetched)) == JUNE[3:]
        assert fetched.actions.empty

    def test_first_before_the_listing_gives_what_there_is(self, new_source: NEW_SOURCE) -> None:
        assert min(closes(fetch(new_source(), "ACME", DAY(1990, 1, 1)))) == JUNE[0]

    def test_two_sources_in_one_process_do_not_mix(
        self, yahoo: FakeYahoo, new_source: NEW_SOURCE, cache_dir: Path
    ) -> None:
        """The client keeps one session for the whole process; each source must still be heard on its own."""
        one, two = new_source(), new_source()
        yahoo.script("T1", "503")
        fetch(one, "T0")
        with pytest.raises(SourceOutage):
            fetch(two, "T1")
        assert list(closes(fetch(one, "T0"))) == JUNE


class TestSplits:
    def test_apples_history_is_undone_to_what_was_traded(self, new_source: NEW_SOURCE) -> None:
        """Two vendors, one truth: Yahoo's re-based closes against Alpha Vantage's raw ones, over a 7:1 and a
        4:1 split.
        """
        prices = fetch(new_source(), "AAPL").prices
        close, volume = zip(*APPLE_AS_TRADED.values(), strict=True)
        assert prices["session"].dt.date.tolist() == list(APPLE_AS_TRADED)
        np.testing.assert_allclose(prices["close"], close, rtol=1e-4)
        # The vendors count late trades differently.
        np.testing.assert_allclose(prices["volume"], volume, rtol=0.02)

    def test_apples_dividends_are_those_paid_on_the_day(self, new_source: NEW_SOURCE) -> None:
        """2.65 in 2012 and 0.82 in 2020, as declared; Yahoo says 0.094643 and 0.205."""
        assert actions(fetch(new_source(), "AAPL")) == [
            (DAY(2012, 8, 9), "dividend", 2.65),
            (DAY(2014, 6, 9), "split", 7.0),
            (DAY(2020, 8, 7), "dividend", 0.82),
            (DAY(2020, 8, 31), "split", 4.0),
        ]

    def test_adjusted_close_stays_yahoos_own(self, new_source: NEW_SOURCE) -> None:
        prices = fetch(new_source(), "SPLT").prices
        assert prices.loc[0, "close"] == 401.0
        assert prices.loc[0, "adj_close"] == 401.0 / 4

    def test_split_after_last_is_undone_too(self, new_source: NEW_SOURCE) -> None:
        """Yahoo's rows are on today's basis, whatever range is asked for."""
        before = fetch(new_source(), "SPLT", last=DAY(2024, 6, 7))
        assert closes(before)[DAY(2024, 6, 7)] == 410.0
        assert actions(before) == [(DAY(2024, 6, 5), "dividend", 0.82)]

    def test_history_rewritten_by_a_split_reads_the_same(
        self, yahoo: FakeYahoo, new_source: NEW_SOURCE
    ) -> None:
        listing = yahoo.listings["SPLT"]
        listing.rebased_through = DAY(2024, 6, 9)
        eve = fetch(new_source(dt.datetime(2024, 6, 7, 22, tzinfo=dt.UTC)), "SPLT", last=DAY(2024, 6, 7))
        listing.rebased_through = DAY.max
        later = fetch(new_source(), "SPLT", last=DAY(2024, 6, 7))
        assert_frame_equal(eve.prices.drop(columns="adj_close"), later.prices.drop(columns="adj_close"))
        assert_frame_equal(eve.actions, later.actions)
        assert eve.prices.loc[0, "adj_close"] == 4 * later.prices.loc[0, "adj_close"]

    def test_announced_split_is_not_undone_before_its_day(
        self, yahoo: FakeYahoo, new_source: NEW_SOURCE
    ) -> None:
        """An hour before midnight in New York, the day before: Yahoo lists the split, but its rows are not
        re-based.
        """
        announced = _AppleByYahoo("SOON", plain_bars(JUNE[:5]), splits={DAY(2024, 6, 8): (4, 1)})
        yahoo.listings["SOON"] = announced
        eve = dt.datetime(2024, 6, 8, 3, 0, tzinfo=dt.UTC)
        fetched = fetch(new_source(eve), "SOON", last=DAY(2024, 6, 7))
        assert closes(fetched)[JUNE[0]] == 101.0
        assert actions(fetched) == []

    def test_impossible_split_is_a_bad_reply(self, yahoo: FakeYahoo, new_source: NEW_SOURCE) -> None:
        yahoo.script("ACME", "split of nothing")
        with pytest.raises(BadReply, match=r"split of -0\.5 new shares per old on 2024-06-04"):
            fetch(new_source(), "ACME")

    def test_impossible_dividend_is_handed_on_for_the_checks_to_refuse_and_the_prices_stay(
        self, yahoo: FakeYahoo, new_source: NEW_SOURCE
    ) -> None:
        yahoo.script("ACME", "negative dividend")
        fetched = fetch(new_source(), "ACME")
        assert list(closes(fetched)) == JUNE
        assert fetched.actions[["kind", "value"]].to_numpy().tolist()[0][0] == "dividend"
        assert (fetched.actions["value"] < 0).all()


FAILURES = {
    "429": RateLimited,
    "429 in disguise": RateLimited,
    "401": SourceOutage,
    "403": SourceOutage,
    "500": SourceOutage,
    "502": SourceOutage,
    "503": SourceOutage,
    "right back": SourceOutage,
    "drip": SourceOutage,
    "reset": SourceOutage,
    "404": UnknownTicker,
    "404 html": BadReply,
    "404 other": BadReply,
    "200 not found": BadReply,
    "400": BadReply,
    "400 no data": NoPrices,
    "html": BadReply,
    "empty": BadReply,
    "nul": BadReply,
    "json list": BadReply,
    "json deep": BadReply,
    "result null": BadReply,
    "result empty": BadReply,
    "no timestamp": BadReply,
    "no volume": BadReply,
    "no meta": BadReply,
    "short column": BadReply,
    "words": BadReply,
    "bare infinity": BadReply,
    "monthly": BadReply,
    "another symbol": BadReply,
    "elsewhere": BadReply,
    "currency is no text": BadReply,
    "cut": BadReply,
    "short": BadReply,
    "oversize": BadReply,
    "bomb": BadReply,
    "not gzip": BadReply,
}


@pytest.mark.slow
class TestFailures:
    @pytest.mark.parametrize(("reply", "error"), FAILURES.items(), ids=list(FAILURES))
    @pytest.mark.parametrize("known", [False, True], ids=["new ticker", "known ticker"])
    def test_each_bad_reply_has_its_typed_outcome(
        self, yahoo: FakeYahoo, new_source: NEW_SOURCE, reply: str, error: type[TickercastError], known: bool
    ) -> None:
        """A ticker new to the client goes through its time-zone step, where it takes an outage for a
        delisting.
        """
        ticker = "ACME" if known else f"N{list(FAILURES).index(reply)}"
        yahoo.listings[ticker] = Listing(ticker, plain_bars(JUNE))
        if known:
            fetch(new_source(), ticker)
        yahoo.script(ticker, reply)
        with pytest.raises(error) as caught:
            fetch(new_source(), ticker)
        assert type(caught.value) is error
        message = str(caught.value)
        assert message.startswith(f"{ticker}: ")
        assert "\n" not in message
        assert "delisted" not in message or reply in ("404", "200 not found")  # there in Yahoo's own words

    @pytest.mark.parametrize(
        "reply", [name for name, error in FAILURES.items() if error not in (UnknownTicker, NoPrices)]
    )
    def test_next_fetch_asks_anew_and_is_well(
        self, yahoo: FakeYahoo, new_source: NEW_SOURCE, reply: str
    ) -> None:
        """The client would answer from its cache of failures."""
        source = new_source()
        yahoo.script("ACME", reply)
        with pytest.raises(TransientError):
            fetch(source, "ACME")
        yahoo.script("ACME", "ok")
        assert list(closes(fetch(source, "ACME"))) == JUNE

    @pytest.mark.parametrize("trouble", ["503", "429", "403"])
    def test_not_found_beside_trouble_is_no_news_of_the_ticker(
        self, yahoo: FakeYahoo, new_source: NEW_SOURCE, trouble: str
    ) -> None:
        fetch(new_source(), "ACME")
        yahoo.script("ACME", trouble, "404")
        with pytest.raises(TransientError):
            fetch(new_source(), "ACME")

    def test_trouble_that_passes_within_the_fetch_does_no_harm(
        self, yahoo: FakeYahoo, new_source: NEW_SOURCE
    ) -> None:
        yahoo.script("ACME", "503", "ok")
        assert list(closes(fetch(new_source(), "ACME"))) == JUNE

    def test_another_companys_rows_are_named(self, yahoo: FakeYahoo, new_source: NEW_SOURCE) -> None:
        yahoo.script("ACME", "another symbol")
        with pytest.raises(BadReply, match=r"ACME: Yahoo answers for another symbol \('OTHER'\)"):
            fetch(new_source(), "ACME")

    def test_class_share_by_yahoos_own_spelling_is_the_ticker_asked_for(
        self, yahoo: FakeYahoo, new_source: NEW_SOURCE
    ) -> None:
        yahoo.listings["BRK.B"] = Listing("BRK.B", plain_bars(JUNE))
        yahoo.script("BRK.B", "its own spelling")  # brk-b
        assert list(closes(fetch(new_source(), "BRK.B"))) == JUNE

    def test_rows_of_another_host_are_not_asked_for(self, yahoo: FakeYahoo, new_source: NEW_SOURCE) -> None:
        with FakeYahoo([Listing("ACME", plain_bars(JUNE))]) as impostor:
            yahoo.elsewhere = impostor.address
            yahoo.script("ACME", "elsewhere")
            with pytest.raises(BadReply, match="leads to another address"):
                fetch(new_source(), "ACME")
            assert impostor.charts_asked("ACME") == 0

    def test_refused_crumb_does_no_harm(self, yahoo: FakeYahoo, new_source: NEW_SOURCE) -> None:
        yahoo.crumb_status = 429
        assert list(closes(fetch(new_source(), "ACME"))) == JUNE

    def test_unknown_ticker_is_named_with_yahoos_own_words(self, new_source: NEW_SOURCE) -> None:
        with pytest.raises(UnknownTicker) as caught:
            fetch(new_source(), "NOSUCH")
        assert (caught.value.ticker, caught.value.rule) == ("NOSUCH", "not_found")
        assert "No data found" in caught.value.reason

    def test_isin_is_refused_without_a_request(self, yahoo: FakeYahoo, new_source: NEW_SOURCE) -> None:
        """The client would look it up and fetch another name."""
        with pytest.raises(UnknownTicker, match="ISIN"):
            fetch(new_source(), "US0378331005")
        assert not yahoo.tally.requests

    def test_sessions_yet_to_come_are_no_prices(self, new_source: NEW_SOURCE) -> None:
        with pytest.raises(NoPrices):
            fetch(new_source(), "ACME", DAY(2024, 7, 1), DAY(2024, 7, 1))

    def test_no_server_at_all_is_an_outage(self, cache_dir: Path) -> None:
        with FakeYahoo() as gone:
            session = gone.session(timeout_s=2.0)
        with pytest.raises(SourceOutage, match="no answer"):
            fetch(YahooSource(cache_dir, NOW, session=session, pause_s=0.0, retrying=ONCE), "GONE")

    def test_slow_reply_ends_at_the_time_limit(
        self, yahoo: FakeYahoo, cache_dir: Path, new_source: NEW_SOURCE
    ) -> None:
        fetch(new_source(), "ACME")
        yahoo.script("ACME", "drip")
        source = YahooSource(cache_dir, NOW, session=yahoo.session(timeout_s=0.5), pause_s=0.0, retrying=ONCE)
        began = time.monotonic()
        with pytest.raises(SourceOutage, match="Timeout"):
            fetch(source, "ACME")
        assert time.monotonic() - began < 2.0

    def test_gzip_bomb_is_cut_off_before_it_fills_the_memory(
        self, yahoo: FakeYahoo, new_source: NEW_SOURCE
    ) -> None:
        """200 MB packed into 0.2 MB; 20 MB may come in."""
        fetch(new_source(), "ACME")
        yahoo.script("ACME", "bomb")
        tracemalloc.start()
        try:
            with pytest.raises(BadReply, match="20971520 bytes"):
                fetch(new_source(), "ACME")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 64 * 1024 * 1024


class TestSecrets:
    def test_reply_that_repeats_crumb_and_credentials_shows_neither(
        self, yahoo: FakeYahoo, new_source: NEW_SOURCE
    ) -> None:
        yahoo.script("ACME", "html echo")
        with pytest.raises(BadReply, match="bad request") as caught:
            fetch(new_source(), "ACME")
        assert CRUMB not in str(caught.value)
        assert "hunter2" not in str(caught.value)

    def test_proxys_password_is_in_no_error(self, cache_dir: Path) -> None:
        # Nobody listens on port 1.
        session = YahooSession(proxy="http://ann:hunter2@127.0.0.1:1", timeout_s=1.0)
        with pytest.raises(SourceOutage) as caught:
            fetch(YahooSource(cache_dir, NOW, session=session, pause_s=0.0, retrying=ONCE), "PROXIED")
        assert "hunter2" not in f"{caught.value!r} {vars(caught.value)}"
        shown = "".join(traceback.format_exception(caught.value))
        assert "hunter2" not in shown
        assert "curl_cffi" not in shown  # the client's own error, addresses and all, is not shown under ours

    def test_every_request_goes_through_the_proxy(
        self, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One on the loopback that writes down what it is asked and refuses."""
        monkeypatch.setattr("forecast_lib.prices.sources.retrying.FIRST_DELAY_S", 0.0)
        heard: list[str] = []

        class Proxy(BaseRequestHandler):
            def handle(self) -> None:
                heard.append(self.request.recv(4096).decode())
                self.request.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")

        with ThreadingTCPServer(("127.0.0.1", 0), Proxy) as proxy:
            threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            config = SourceConfig(
                "yahoo", proxy=f"http://ann:hunter2@127.0.0.1:{proxy.server_address[1]}", pause_s=0.0
            )
            with pytest.raises(SourceOutage, match="no answer"):
                fetch(open_source(config, AsOf(LAST, NOW, NOW), cache_dir=cache_dir), "PROXIED")
            proxy.shutdown()
        assert any(request.startswith("CONNECT query2.finance.yahoo.com:443 ") for request in heard)
        assert all(re.match(r"CONNECT \w+(\.finance)?\.yahoo\.com:443 ", request) for request in heard)
        # ann:hunter2.
        assert all("Proxy-Authorization: Basic YW5uOmh1bnRlcjI=" in request for request in heard)

    def test_sample_of_a_bad_body_is_short(self, yahoo: FakeYahoo, new_source: NEW_SOURCE) -> None:
        yahoo.script("ACME", "json deep")
        with pytest.raises(BadReply) as caught:
            fetch(new_source(), "ACME")
        assert str(caught.value).count("[") == 200


class TestCrowds:
    def test_no_more_than_the_allowed_requests_at_once(
        self, yahoo: FakeYahoo, new_source: NEW_SOURCE
    ) -> None:
        yahoo.work_s = 0.05
        source = new_source(requests_at_once=2)
        try:
            offered = source.fetch({Ticker(f"T{place}"): None for place in range(8)}, LAST)
            answers = [closes(part_of(offered, f"T{place}")) for place in range(8)]
        finally:
            yahoo.work_s = 0.0
        assert yahoo.tally.most_at_once == 2
        assert all(list(answer) == JUNE for answer in answers)

    def test_threads_get_their_own_tickers_outcome(self, yahoo: FakeYahoo, new_source: NEW_SOURCE) -> None:
        """One thread's server error must not colour another's answer."""
        replies = ["ok", "404", "503", "html"] * 4
        expected: list[type | None] = [None, UnknownTicker, SourceOutage, BadReply] * 4
        for place, reply in enumerate(replies):
            yahoo.script(f"T{place}", reply)
        start = threading.Barrier(len(replies))

        def outcome(place: int) -> type | None:
            start.wait()
            try:
                fetch(new_source(), f"T{place}")
            except TickercastError as problem:
                return type(problem)
            return None

        with ThreadPoolExecutor(len(replies)) as pool:
            assert list(pool.map(outcome, range(len(replies)))) == expected

    def test_pauses_after_each_fetch_good_or_bad(self, yahoo: FakeYahoo, new_source: NEW_SOURCE) -> None:
        pauses: list[float] = []
        source = new_source(pause_s=0.7, retrying=Retrying(attempts=1, sleep=pauses.append))
        fetch(source, "ACME")
        yahoo.script("ACME", "html")
        with pytest.raises(BadReply):
            fetch(source, "ACME")
        assert pauses == [0.7, 0.7]

    def test_outage_for_everybody_ends_the_asking(self, yahoo: FakeYahoo, new_source: NEW_SOURCE) -> None:
        source = new_source()
        for place in range(40):
            yahoo.script(f"T{place}", "html")
        for place in range(5):
            with pytest.raises(BadReply):
                fetch(source, f"T{place}")
        with pytest.raises(SourceGivenUp, match=r"T5: not asked for: 5 of 5 tickers failed"):
            fetch(source, "T5")
        assert yahoo.charts_asked("T5") == 0

    def test_asking_goes_on_when_a_failing_ticker_recovers(
        self, yahoo: FakeYahoo, new_source: NEW_SOURCE
    ) -> None:
        source = new_source()
        for place in range(5):
            yahoo.script(f"T{place}", "html")
            with pytest.raises(BadReply):
                fetch(source, f"T{place}")
        yahoo.script("T0", "ok")
        fetch(source, "T0")
        assert list(closes(fetch(source, "T5"))) == JUNE

    def test_unknown_tickers_are_no_outage(self, new_source: NEW_SOURCE) -> None:
        source = new_source()
        for place in range(8):
            with pytest.raises(UnknownTicker):
                fetch(source, f"NOSUCH{place}")
        assert list(closes(fetch(source, "ACME"))) == JUNE

    def test_well_source_needs_two_requests_for_a_known_ticker(
        self, yahoo: FakeYahoo, new_source: NEW_SOURCE
    ) -> None:
        source = new_source()
        fetch(source, "ACME")
        yahoo.reset()
        fetch(source, "ACME")
        assert yahoo.charts_asked("ACME") == 1
        assert sum(yahoo.tally.requests.values()) <= 2  # the chart, and a crumb where the client has none
