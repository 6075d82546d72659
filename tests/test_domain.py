"""Words of the trade: tickers, quantile columns, the evening."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast_lib.domain import QUANTILES, AsOf, parse_ticker, parse_tickers, quantile_column
from forecast_lib.errors import UsageError

NOON = dt.datetime(2024, 6, 28, 12, tzinfo=dt.UTC)


def test_quantile_columns_are_those_of_the_published_tables():
    assert [quantile_column(level) for level in QUANTILES] == [
        *("q005", "q01", "q025", "q05", "q10", "q25", "q50", "q75", "q90", "q95", "q975", "q99", "q995")
    ]


def test_quantiles_are_symmetric_and_rise():
    assert list(QUANTILES) == sorted(QUANTILES)
    assert [round(1 - level, 3) for level in reversed(QUANTILES)] == list(QUANTILES)


@pytest.mark.parametrize("text", ["AAPL", "BRK-B", "BTC-USD", "^GSPC", "7203.T", "EURUSD=X", "A", "A" * 15])
def test_usual_tickers_pass_unchanged(text):
    assert parse_ticker(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "A" * 16,
        ".A",
        "-A",
        "A B",
        "A/B",
        "../A",
        "A\n",
        "A;DROP",
        "A'",
        "Ä",
        "\uff21",
        "\u212a",
        "A\0",
        "~",
        "a\tb",
    ],
)
def test_anything_else_is_refused_in_one_line(text):
    with pytest.raises(UsageError, match="is not a ticker name: expected 1 to 15 of") as caught:
        parse_ticker(text)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=20))
def test_what_passes_is_safe_in_a_path_and_in_sql(text):
    try:
        ticker = parse_ticker(text)
    except UsageError:
        return
    assert (
        set(ticker) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789^.-=")
        and ticker[0] not in ".-="
        and len(ticker) <= 15
    )
    assert parse_ticker(ticker) == ticker


def test_long_nonsense_is_shown_shortened():
    with pytest.raises(UsageError) as caught:
        parse_ticker("x" * 10_000)
    assert len(str(caught.value)) < 200


def test_doubles_are_merged_in_the_order_given():
    assert parse_tickers(["msft", " AAPL ", "MSFT"]) == ("MSFT", "AAPL")


def test_evening_of_today_is_no_future():
    assert AsOf(NOON.date(), NOON, NOON).day == NOON.date()


def test_tomorrow_is_allowed_for_markets_east_of_greenwich_and_no_more():
    AsOf(dt.date(2024, 6, 29), NOON, NOON)
    with pytest.raises(UsageError, match=r"as-of 2024-06-30 lies in the future: today is 2024-06-28 \(UTC\)"):
        AsOf(dt.date(2024, 6, 30), NOON, NOON)


@pytest.mark.parametrize(
    "wrong", [NOON.replace(tzinfo=None), NOON.astimezone(dt.timezone(dt.timedelta(hours=2)))]
)
@pytest.mark.parametrize("name", ["now", "known_at"])
def test_times_that_are_not_utc_are_refused(wrong, name):
    with pytest.raises(UsageError, match=f"as-of {name} .* is not in UTC"):
        AsOf(NOON.date(), **{"now": NOON, "known_at": NOON, name: wrong})
