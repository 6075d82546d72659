"""When companies report and split their shares, by the real client from a Yahoo on the loopback."""

import datetime as dt
from pathlib import Path

import pytest

from forecast_lib.domain import Ticker
from forecast_lib.prices.source import Listed
from forecast_lib.prices.sources.yahoo import YahooSource
from tests.prices.fake_yahoo import FakeYahoo, _Sent

DAY = dt.date(2024, 4, 22)
NOW = dt.datetime.combine(DAY, dt.time(22, 30), dt.UTC)
TICKERS = (Ticker("ACME"), Ticker("BOLT"), Ticker("BRK-B"))


@pytest.fixture(scope="module")
def server():
    with FakeYahoo() as yahoo:
        yield yahoo


@pytest.fixture
def yahoo(server: FakeYahoo) -> FakeYahoo:
    server.reset()
    return server


def both(yahoo: FakeYahoo, folder: Path) -> tuple[Listed, Listed]:
    reports, splits = YahooSource(folder, NOW, session=yahoo.session(timeout_s=5.0)).events(TICKERS, DAY)
    return reports, splits


def listed(yahoo: FakeYahoo, folder: Path) -> Listed:
    return both(yahoo, folder)[0]


def dates(found: Listed) -> list[tuple[str, str, str]]:
    return [(row.kind, row.ticker, str(row.session.date())) for row in found.rows.itertuples()]


def test_a_report_before_the_open_is_of_its_day_and_one_after_the_close_of_the_next(yahoo, tmp_path):
    yahoo.reports = [
        ("ACME", "2024-05-02T20:30:00.000Z", "AMC"),
        ("BOLT", "2024-05-03T11:00:00.000Z", "BMO"),
        ("BRK-B", "2024-05-04T04:00:00.000Z", "TNS"),  # midnight in New York
        ("OTHER", "2024-05-03T11:00:00.000Z", "BMO"),
    ]
    found = listed(yahoo, tmp_path)
    assert sorted(dates(found)) == [
        ("earnings", "ACME", "2024-05-03"),
        ("earnings", "BOLT", "2024-05-03"),
        ("earnings", "BRK-B", "2024-05-04"),
    ]
    assert (found.tickers, found.until, found.left_out) == (TICKERS, dt.date(2024, 5, 20), ())


def test_all_pages_are_read(yahoo, tmp_path):
    crowd = [(f"T{place}", "2024-05-01T11:00:00.000Z", "BMO") for place in range(250)]
    yahoo.reports = [*crowd, ("ACME", "2024-05-01T11:00:00.000Z", "BMO")]
    assert dates(listed(yahoo, tmp_path)) == [("earnings", "ACME", "2024-05-01")]
    assert yahoo.tally.requests["/v1/finance/visualization"] == 3 + 1  # and one of the splits


def test_a_list_that_is_cut_gives_up_nothing_of_those_it_does_not_name(yahoo, tmp_path):
    crowd = [(f"T{place}", "2024-05-01T11:00:00.000Z", "BMO") for place in range(4000)]
    yahoo.reports = [("ACME", "2024-05-01T11:00:00.000Z", "BMO"), *crowd]
    found = listed(yahoo, tmp_path)
    assert found.tickers == ("ACME",)
    assert found.left_out == (
        "Yahoo's calendar of earnings was cut at 3,000 companies, the smallest left out",
    )


def test_a_company_listed_twice_on_a_day_is_there_once(yahoo, tmp_path):
    yahoo.reports = [("ACME", "2024-05-02T11:00:00.000Z", "BMO"), ("ACME", "2024-05-02T13:00:00.000Z", "TAS")]
    assert dates(listed(yahoo, tmp_path)) == [("earnings", "ACME", "2024-05-02")]


def test_an_empty_list_is_a_list(yahoo, tmp_path):
    found = listed(yahoo, tmp_path)
    assert (dates(found), found.tickers, found.left_out) == ([], TICKERS, ())


def test_splits_to_come_with_their_ratio(yahoo, tmp_path):
    """Midnight in New York, summer and winter, whatever the exchange; rows that say nothing are none."""
    yahoo.splits = [
        ("ACME", "2024-05-06T04:00:00.000Z", 1, 4),
        ("BOLT", "2024-05-07T05:00:00.000Z", 10, 1),
        ("BRK-B", "2024-05-08T04:00:00.000Z", 1, 1),
        ("OTHER", "2024-05-08T04:00:00.000Z", 1, 2),
    ]
    _, found = both(yahoo, tmp_path)
    assert dates(found) == [("split", "ACME", "2024-05-06"), ("split", "BOLT", "2024-05-07")]
    assert found.rows["value"].tolist() == [4.0, 0.1]
    assert (found.kinds, found.tickers, found.left_out) == (("split",), TICKERS, ())


def test_two_ratios_for_a_day_are_none(yahoo, tmp_path):
    yahoo.splits = [(name, "2024-05-06T04:00:00.000Z", 1, new) for name, new in (("ACME", 4), ("ACME", 5))]
    assert dates(both(yahoo, tmp_path)[1]) == []


@pytest.mark.parametrize(
    "reply",
    [
        _Sent(429, b"Edge: Too Many Requests"),
        _Sent(500, b"oops"),
        _Sent(200, b"<html>Will be right back</html>", "text/html"),
        _Sent(200, b'{"finance": {"result": null, "error": {"code": "Bad Request"}}}'),
        _Sent(
            200, b'{"finance": {"result": [{"documents": [{"columns": [], "rows": [[1]]}]}], "error": null}}'
        ),
        _Sent(200, b"[1, 2]"),
    ],
)
def test_whatever_else_comes_is_said_and_gives_up_nothing(yahoo, tmp_path, reply):
    yahoo.calendar_reply = reply
    for found, name in zip(both(yahoo, tmp_path), ("earnings", "splits"), strict=True):
        assert dates(found) == [] and found.tickers == ()
        (said,) = found.left_out
        assert said.startswith(f"Yahoo's calendar of {name} could not be read (")
        assert said.endswith("): dates of earlier nights are used")
