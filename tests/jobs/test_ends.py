"""When a ticker's prices have ended, evening by evening, with real files and the database: nobody is told of
it twice.
"""

import pandas as pd
import pytest

from forecast_lib.jobs.ingest.ends import ENDED_AFTER, end_of
from tests.jobs.evenings import SESSIONS, Evenings, prices, without

pytestmark = pytest.mark.slow

LAST = pd.Timestamp("2021-01-28")


@pytest.mark.parametrize(
    ("behind", "rule", "refused", "ended"),
    [
        (ENDED_AFTER, None, 0, True),
        (ENDED_AFTER - 1, None, 0, False),
        (ENDED_AFTER, "no_rows", 0, True),
        (1, "no_rows", 0, False),
        (1, "unknown_ticker", 0, True),  # believed: said on three sessions in a row
        (1, "no_data_yet", 0, False),
        (100, "SourceOutage", 0, False),  # it does not answer
        (100, "no_rows", 3, False),  # rows came, and were refused
        (100, "file_refused", 0, False),
    ],
)
def test_a_ticker_has_ended_where_its_source_answers_and_has_nothing(
    behind: int, rule: str | None, refused: int, ended: bool
) -> None:
    assert (end_of("ACME", LAST, behind, rule, refused, "yahoo") is not None) == ended


def test_the_reason_says_since_when_and_what_to_do() -> None:
    by_yahoo = end_of("FB", LAST, 3, "unknown_ticker", 0, "yahoo")
    assert (
        by_yahoo is not None
        and by_yahoo.reason
        == "ended: no row since 2021-01-28, 3 sessions ago, and yahoo no longer knows FB; "
        "take it off the list, or name its new ticker under [renames] in the universe file"
    )
    by_file = end_of("ACME", LAST, 20, None, 0, "files")
    assert by_file is not None and by_file.reason.endswith(
        "add its newer rows, or look from its last evening with --as-of 2021-01-28"
    )


def statuses(evenings: Evenings) -> list[tuple]:
    """Status, reason and flags of OLD in every run, oldest first."""
    sql = (
        "SELECT run_tickers.status, reason, flags FROM run_tickers JOIN runs USING (run_id) WHERE ticker ="
        " 'OLD' ORDER BY started_at"
    )
    return evenings.rows(sql)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_file_that_nobody_continues_has_ended_after_twenty_sessions_and_is_said_once(
    tmp_path, form
) -> None:
    evenings, end = Evenings(tmp_path, form), len(SESSIONS) - 30
    files = {"OLD": without(prices(1), slice(end + 1, None)), "NEW": prices(2)}
    evenings.ingest(end, files)
    assert evenings.ingest(end + 19, files) == {
        "OLD": "prices are 19 sessions behind; the next run asks for them again"
    }
    assert evenings.ingest(end + 20, files) == {"OLD": "ended"}
    assert evenings.ingest(end + 21, files) == {}
    since = f"ended since {SESSIONS[end].date()}"
    assert [(status, flags) for status, _, flags in statuses(evenings)[2:]] == [("ended", since)] * 2
    back = {**files, "OLD": prices(1)}
    assert evenings.ingest(end + 22, back) == {}
    assert statuses(evenings)[-1] == ("fresh", None, None)


def test_a_file_that_was_mislaid_is_waited_for_and_ends_the_ticker_on_the_third_session(tmp_path) -> None:
    evenings = Evenings(tmp_path, "csv")
    files = {"OLD": prices(1), "NEW": prices(2)}
    evenings.ingest(280, files)
    (tmp_path / "market" / "OLD.csv").unlink()
    rules = [evenings.ingest(place, {"NEW": prices(2)}, also=("OLD",)) for place in (281, 282, 283, 284)]
    assert rules == [{"OLD": "no_data_yet"}, {"OLD": "no_data_yet"}, {"OLD": "ended"}, {}]
    assert statuses(evenings)[-2][1].startswith(
        f"ended: no row since {SESSIONS[280].date()}, 3 sessions ago, and files no longer knows OLD"
    )


def test_a_past_evening_again_says_what_was_known_then(tmp_path) -> None:
    """The rerun of the first evening that knew of the end is degraded again: the later one that mentioned it
    is not known yet.
    """
    evenings, end = Evenings(tmp_path, "csv"), len(SESSIONS) - 30
    files = {"OLD": without(prices(1), slice(end + 1, None)), "NEW": prices(2)}
    for place in (end, end + 20, end + 21):
        evenings.ingest(place, files)
    again = evenings.past(end + 20, files)
    assert {ticker: each.said_before for ticker, each in again.ended.items()} == {"OLD": False}


def test_the_summary_of_a_later_evening_mentions_the_end_and_counts_nobody(tmp_path) -> None:
    evenings, end = Evenings(tmp_path, "csv"), len(SESSIONS) - 30
    files = {"OLD": without(prices(1), slice(end + 1, None)), "NEW": prices(2)}
    summaries = [evenings.summary(place, files) for place in (end, end + 20, end + 21)]
    since = {"ticker": "OLD", "flags": f"ended since {SESSIONS[end].date()}"}
    assert [summary.exit_code for summary in summaries] == [0, 10, 0]
    assert summaries[2].flags == (since,) and summaries[2].tickers["ended"] == 1
    assert summaries[2].message == "1 of 2 tickers fresh; 1 ended"
