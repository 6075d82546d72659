"""What every price source must do, whatever it reads. A new source subclasses `PriceSourceContract` and gives
the facts.

    class TestMySource(PriceSourceContract):
        ticker, unknown_ticker = "ACME", "NOSUCH"
        first, middle, last = dt.date(2024, 1, 2), dt.date(2024, 3, 4), dt.date(2024, 6, 3)

        @pytest.fixture
        def source(self, tmp_path):
            return MySource(...)

No test may be overridden: a source that cannot pass one is no price source.
"""

import datetime as dt
from typing import Any, ClassVar

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from forecast_lib.domain import Ticker, parse_ticker
from forecast_lib.errors import NoPrices, UnknownTicker
from forecast_lib.prices.source import ACTION_COLUMNS, REFUSED_COLUMNS, PriceSource
from tests.prices.one_ticker import RAW_COLUMNS, OfferedTicker, ask, part_of

__all__ = ["PriceSourceContract"]

NUMBERS = ["open", "high", "low", "close", "adj_close", "volume"]
ONE_DAY = dt.timedelta(days=1)


def by_session(frame: pd.DataFrame, *further: str) -> pd.DataFrame:
    """The rows, oldest first: sources may answer in any order."""
    return frame.sort_values(["session", *further], ignore_index=True)


class PriceSourceContract:
    """Facts: `ticker` has rows on the sessions `first` (its very first one), `middle` and `last`, at least
    one between each.
    """

    ticker: ClassVar[str]
    unknown_ticker: ClassVar[str]
    first: ClassVar[dt.date]
    middle: ClassVar[dt.date]
    last: ClassVar[dt.date]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        loosened = [
            name for name in vars(cls) if name.startswith("test_") and hasattr(PriceSourceContract, name)
        ]
        if loosened:
            raise TypeError(
                f"{cls.__name__} overrides {', '.join(loosened)}: the contract's tests stay as they are"
            )

    @pytest.fixture
    def source(self) -> PriceSource:
        """The source under test, holding the facts above. To be given by the subclass."""
        raise NotImplementedError

    def fetch(self, source: PriceSource, first: dt.date | None, last: dt.date) -> OfferedTicker:
        return ask(source, self.ticker, first, last)

    def test_has_a_name_for_the_column_source(self, source: PriceSource) -> None:
        assert source.name
        assert source.name == source.name.strip().lower()

    def test_default_tickers_are_valid_tickers_without_doubles(self, source: PriceSource) -> None:
        tickers = source.default_tickers()
        assert isinstance(tickers, tuple)
        assert tickers == tuple(dict.fromkeys(parse_ticker(ticker) for ticker in tickers))

    def test_prices_have_the_raw_columns_and_types(self, source: PriceSource) -> None:
        fetched = self.fetch(source, None, self.last)
        assert tuple(fetched.prices.columns) == RAW_COLUMNS
        assert fetched.prices["session"].dtype == "datetime64[us]"
        assert {column: str(fetched.prices[column].dtype) for column in NUMBERS} == dict.fromkeys(
            NUMBERS, "float64"
        )
        assert fetched.prices["origin"].map(type).eq(str).all()
        assert isinstance(fetched.prices.index, pd.RangeIndex)

    def test_sessions_are_plain_dates_and_each_says_where_it_stands(self, source: PriceSource) -> None:
        prices = self.fetch(source, None, self.last).prices
        assert prices["session"].notna().all()
        assert prices["session"].eq(prices["session"].dt.normalize()).all()
        assert prices["origin"].str.len().gt(0).all()

    def test_actions_have_the_action_columns_and_types(self, source: PriceSource) -> None:
        actions = self.fetch(source, None, self.last).actions
        assert tuple(actions.columns) == ACTION_COLUMNS
        assert actions["session"].dtype == "datetime64[us]"
        assert str(actions["value"].dtype) == "float64"
        assert set(actions["kind"]) <= {"dividend", "split"}
        assert actions["value"].gt(0).all()

    def test_refused_rows_have_their_columns(self, source: PriceSource) -> None:
        assert list(self.fetch(source, None, self.last).refused.columns) == list(REFUSED_COLUMNS)

    def test_first_and_last_are_inclusive(self, source: PriceSource) -> None:
        sessions = self.fetch(source, self.middle, self.last).prices["session"]
        assert sessions.min() == pd.Timestamp(self.middle)
        assert sessions.max() == pd.Timestamp(self.last)

    def test_no_first_means_from_the_very_beginning(self, source: PriceSource) -> None:
        everything = self.fetch(source, None, self.last)
        assert everything.prices["session"].min() == pd.Timestamp(self.first)
        from_first = self.fetch(source, self.first, self.last)
        assert_frame_equal(by_session(everything.prices), by_session(from_first.prices))

    def test_one_session_can_be_asked_for(self, source: PriceSource) -> None:
        sessions = self.fetch(source, self.middle, self.middle).prices["session"]
        assert list(sessions) == [pd.Timestamp(self.middle)]

    def test_actions_lie_within_the_sessions_asked_for_or_told_of(self, source: PriceSource) -> None:
        answer = self.fetch(source, self.middle, self.last)
        first = (
            pd.Timestamp(self.middle)
            if answer.told.actions_from is None
            else pd.Timestamp(answer.told.actions_from)
        )
        assert answer.actions["session"].between(first, pd.Timestamp(self.last)).all()

    def test_an_unknown_ticker_is_an_error_that_names_it(self, source: PriceSource) -> None:
        problem = (
            source.fetch({Ticker(self.unknown_ticker): None}, self.last)
            .told[Ticker(self.unknown_ticker)]
            .problem
        )
        assert isinstance(problem, UnknownTicker)
        assert problem.ticker == self.unknown_ticker

    def test_one_tickers_trouble_is_no_other_tickers(self, source: PriceSource) -> None:
        alone = source.fetch({Ticker(self.ticker): None}, self.last)
        heard: list[str] = []
        both = source.fetch(
            {Ticker(self.unknown_ticker): None, Ticker(self.ticker): None}, self.last, heard.append
        )
        mine, then = part_of(both, self.ticker), part_of(alone, self.ticker)
        assert_frame_equal(mine.prices, then.prices)
        assert_frame_equal(mine.actions, then.actions)
        assert sorted(heard) == sorted([self.ticker, self.unknown_ticker])
        assert both.rows.tickers == tuple(sorted([self.ticker, self.unknown_ticker]))

    def test_rows_come_by_ticker_and_session(self, source: PriceSource) -> None:
        keys = source.fetch({Ticker(self.ticker): None}, self.last).rows.keys()
        assert (keys[1:] >= keys[:-1]).all()

    def test_nobody_asked_for_is_nobody_answered(self, source: PriceSource) -> None:
        assert not len(source.fetch({}, self.last).rows)

    def test_nothing_in_the_range_is_an_error_and_never_an_empty_frame(self, source: PriceSource) -> None:
        with pytest.raises((NoPrices, UnknownTicker)):
            self.fetch(source, None, self.first - ONE_DAY)

    def test_a_range_that_ends_before_it_begins_is_an_error(self, source: PriceSource) -> None:
        with pytest.raises(NoPrices) as caught:
            self.fetch(source, self.last, self.middle)
        assert caught.value.rule == "no_rows"  # by which a ticker's end is known

    def test_the_same_question_has_the_same_answer(self, source: PriceSource) -> None:
        one, two = self.fetch(source, None, self.last), self.fetch(source, None, self.last)
        assert_frame_equal(one.prices, two.prices)
        assert_frame_equal(one.actions, two.actions)

    def test_a_caller_who_writes_into_the_answer_does_not_change_the_next(self, source: PriceSource) -> None:
        before = self.fetch(source, None, self.last)
        kept_prices, kept_actions = before.prices.copy(deep=True), before.actions.copy(deep=True)
        before.prices.loc[:, "close"] = -1.0
        before.actions.loc[:, "value"] = -1.0
        after = self.fetch(source, None, self.last)
        assert_frame_equal(after.prices, kept_prices)
        assert_frame_equal(after.actions, kept_actions)

    def test_a_later_last_does_not_change_earlier_rows(self, source: PriceSource) -> None:
        """As-of stability: what was known on an evening stays the same however much is known later."""
        early, late = self.fetch(source, None, self.middle), self.fetch(source, None, self.last)
        known = late.prices[late.prices["session"] <= pd.Timestamp(self.middle)]
        assert_frame_equal(by_session(early.prices), by_session(known))
        known_actions = late.actions[late.actions["session"] <= pd.Timestamp(self.middle)]
        assert_frame_equal(by_session(early.actions, "kind"), by_session(known_actions, "kind"))
