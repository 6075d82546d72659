"""Every failure that the loopback Yahoo can play, through the real ingest: outcome, stored rows,
status row.
"""

import pytest

from tests.prices.failure_table import Row, as_markdown, failure_table
from tests.prices.fake_yahoo import REPLIES

pytestmark = pytest.mark.slow

FINE, RATE_LIMITED, OUTAGE, BAD = "ok", "RateLimited", "SourceOutage", "BadReply"
NEW_SESSIONS, STORED_BEFORE = 3, 38

# By reply: the outcome in the status row, and the rule of the row that lies in the quarantine. What Yahoo
# means by each is in `yahoo_replies`; a reply with one bad row costs that row, any other failure costs the
# evening, and nothing that was stored.
EXPECTED: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("ok", "same day twice", "newest first", "no currency"), (FINE, "")),
    **dict.fromkeys(("429", "429 in disguise"), (RATE_LIMITED, "")),
    **dict.fromkeys(("401", "403", "500", "502", "503", "right back", "drip", "reset"), (OUTAGE, "")),
    **dict.fromkeys(
        (
            "404 other",
            "200 not found",
            "404 html",
            "400",
            "html",
            "html echo",
            "empty",
            "nul",
            "json list",
            "json deep",
        ),
        (BAD, ""),
    ),
    **dict.fromkeys(
        ("result null", "result empty", "no timestamp", "no volume", "no meta", "short column", "words"),
        (BAD, ""),
    ),
    **dict.fromkeys(
        ("cut", "short", "oversize", "bomb", "not gzip", "bare infinity", "monthly", "split of nothing"),
        (BAD, ""),
    ),
    "currency is no text": (BAD, ""),
    "another symbol": (BAD, ""),
    "elsewhere": (BAD, ""),
    "its own spelling": (FINE, ""),
    "404": ("no_data_yet", ""),
    "400 no data": ("no_rows", ""),
    "pence": ("currency_changed", ""),
    "nan row": (FINE, "empty_row"),
    "negative": (FINE, "not_positive"),
    "zero": (FINE, "not_positive"),
    "huge": (FINE, "too_large"),
    "infinite": (FINE, "not_finite"),
    "two stories of a day": (FINE, "duplicate_session"),
    "negative dividend": (FINE, "bad_action"),
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    return {row.reply: row for row in failure_table(tmp_path_factory.mktemp("failures"))}


def test_every_scripted_reply_has_its_line() -> None:
    assert set(EXPECTED) == set(REPLIES)


@pytest.mark.parametrize("reply", REPLIES)
def test_outcome_stored_rows_and_status_row(table: dict[str, Row], reply: str) -> None:
    outcome, refused = EXPECTED[reply]
    row, fine = table[reply], outcome == FINE
    assert (row.outcome, row.refused) == (outcome, refused)
    assert (row.rows_new, row.revisions) == (NEW_SESSIONS if fine else 0, 0)
    assert row.kept == STORED_BEFORE
    assert (row.status, row.sessions_behind) == (("fresh", 0) if fine else ("last_good", NEW_SESSIONS))
    assert "\n" not in row.reason
    assert "hunter2" not in row.reason


def test_table_for_people_has_a_line_a_reply(table: dict[str, Row]) -> None:
    assert as_markdown(list(table.values())).count("\n") == len(REPLIES) + 2
