import datetime as dt

import pandas as pd
import pytest

from forecast_lib.domain import AsOf, Ticker
from forecast_lib.errors import UnknownTicker
from forecast_lib.jobs.ingest.absence import judged_absence
from forecast_lib.sessions import TickerCalendar

NEW_YORK = TickerCalendar("XNYS")
NOT_FOUND = UnknownTicker(Ticker("ACME"), "Yahoo has no such ticker", rule="not_found")
NO, UNKNOWN, OUTAGE = "no_data_yet: said once", "unknown_ticker: said thrice", "SourceOutage: HTTP 503"


def rule_on(day: str, *before: tuple[str, str | None]) -> str:
    """The rule on an evening, after runs (as-of day, problem), newest first."""
    instant = dt.datetime.fromisoformat(day + "T22:30:00+00:00")
    statuses = (
        pd.DataFrame(before, columns=["as_of", "problem"])
        .astype({"as_of": "datetime64[us]"})
        .assign(reason=None)
    )
    return judged_absence(
        NOT_FOUND, statuses, NEW_YORK, AsOf(instant.date(), instant, instant), once_had=False
    )[0]


@pytest.mark.parametrize(
    ("before", "rule"),
    [
        ([], "no_data_yet"),
        ([("2024-06-13", NO)], "no_data_yet"),
        ([("2024-06-13", NO), ("2024-06-12", NO)], "unknown_ticker"),
        ([("2024-06-14", NO), ("2024-06-14", NO)], "no_data_yet"),  # the same evening again
        ([("2024-06-13", NO), ("2024-06-13", NO)], "no_data_yet"),
        # An outage says nothing: not in a row.
        ([("2024-06-13", OUTAGE), ("2024-06-12", NO), ("2024-06-11", NO)], "no_data_yet"),
        # There were prices on the 13th.
        ([("2024-06-13", None), ("2024-06-12", NO), ("2024-06-11", NO)], "no_data_yet"),
        ([("2024-06-13", UNKNOWN), ("2024-06-12", NO)], "unknown_ticker"),
    ],
)
def test_not_found_is_believed_on_the_third_session_in_a_row(
    before: list[tuple[str, str | None]], rule: str
) -> None:
    """14 June 2024 was a Friday."""
    assert rule_on("2024-06-14", *before) == rule


def test_a_weekend_is_no_session_of_its_own() -> None:
    assert rule_on("2024-06-16", ("2024-06-15", NO), ("2024-06-14", NO)) == "no_data_yet"
    assert rule_on("2024-06-17", ("2024-06-16", NO), ("2024-06-13", NO)) == "unknown_ticker"


def test_a_source_that_knows_all_its_tickers_is_believed_at_once_of_one_that_it_never_had() -> None:
    sure = UnknownTicker(Ticker("ACME"), "no file ACME.csv", rule="unknown_ticker")
    instant = dt.datetime(2024, 6, 14, 22, 30, tzinfo=dt.UTC)
    nothing, as_of = (
        pd.DataFrame(columns=["as_of", "problem", "reason"]),
        AsOf(instant.date(), instant, instant),
    )
    assert judged_absence(sure, nothing, NEW_YORK, as_of, once_had=False) == (
        "unknown_ticker",
        "no file ACME.csv",
    )
    rule, reason = judged_absence(sure, nothing, NEW_YORK, as_of, once_had=True)
    assert (rule, reason[:60]) == (
        "no_data_yet",
        "no file ACME.csv; said on 1 of 3 sessions in a row before it",
    )


def test_runs_made_before_problems_were_kept_are_understood_by_their_reason() -> None:
    days = pd.DataFrame(
        {"as_of": pd.to_datetime(["2024-06-13", "2024-06-12"]), "problem": None, "reason": NO}
    )
    instant = dt.datetime(2024, 6, 14, 22, 30, tzinfo=dt.UTC)
    assert (
        judged_absence(NOT_FOUND, days, NEW_YORK, AsOf(instant.date(), instant, instant), once_had=False)[0]
        == "unknown_ticker"
    )
