"""What the report draws of each ticker, and a run whose pages fail, or which fails while they are made."""

import contextlib
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast_lib.errors import AuditFailed
from forecast_lib.jobs.ingest.new_prices import Market
from forecast_lib.jobs.record import publish
from forecast_lib.report import writing
from forecast_lib.store.disk import ledger
from forecast_lib.store.working import audits
from forecast_lib.tables import empty
from forecast_lib.windows.histories import FIGURES, Histories, series_from
from tests import plain_runs
from tests.jobs.evenings import Evenings, day, prices

NAMES = ("AAA", "BBB", "CCC")
FILES = {"AAA": prices()}
RUNS = "SELECT as_of::DATE::VARCHAR FROM runs ORDER BY 1"
DAYS = pd.to_datetime(["2024-06-03", "2024-06-04"])


def market() -> Market:
    frame = pd.DataFrame(
        {"ticker": np.repeat(NAMES, 2), "session": [*DAYS] * 3, **dict.fromkeys(FIGURES, range(1, 7))}
    )
    series = series_from(Histories.from_frame(frame, NAMES), {})
    return Market(
        series, {}, {}, *(empty(table) for table in ("prices", "corporate_actions", "quarantined_prices"))
    )


def test_every_ticker_with_prices_is_drawn_with_its_own_closes() -> None:
    found = publish._recent_closes(market())
    assert found["ticker"].tolist() == ["AAA", "AAA", "BBB", "BBB", "CCC", "CCC"]
    assert found["close"].tolist() == [1, 2, 3, 4, 5, 6]
    assert found["session"].tolist() == [*DAYS] * 3


@pytest.fixture
def evenings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evenings:
    """One evening without pages; those that follow have theirs."""
    made = Evenings(tmp_path, "csv")
    made.ingest(-2, FILES)
    monkeypatch.setattr(plain_runs, "without_pages", contextlib.nullcontext)
    return made


@pytest.mark.slow
def test_a_run_whose_pages_cannot_be_written_is_stored_and_not_shown(evenings: Evenings) -> None:
    """A file lies where they belong."""
    reports = evenings.workspace / "reports"
    reports.write_text("in the way")
    with pytest.raises(FileExistsError, match="reports"):
        evenings.ingest(-1, FILES)
    assert evenings.rows(RUNS) == [(day(-2),)]
    assert not list(evenings.workspace.rglob("*.next-*"))
    reports.unlink()
    evenings.ingest(-1, FILES)
    assert evenings.rows(RUNS) == [(day(-2),), (day(-1),), (day(-1),)]
    assert (reports / "latest.html").is_file()


@pytest.mark.slow
def test_a_run_that_is_refused_while_its_pages_are_made_stores_and_shows_nothing(
    evenings: Evenings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An audit finds something when the first page is there."""
    refused = audits.Audit("no ticker comes tonight", "SELECT ticker AS breach FROM run_tickers")
    made, write, check = threading.Event(), writing._write, audits.check_run

    def noted(*given: object, **named: object) -> None:
        write(*given, **named)
        made.set()

    def later(*given: object) -> None:
        assert made.wait(60)
        assert list(evenings.workspace.glob("reports/.*.new/index.html"))
        check(*given)

    with monkeypatch.context() as tonight:
        tonight.setattr(writing, "_write", noted)
        tonight.setattr(audits, "check_run", later)
        tonight.setattr(audits, "AUDITS", (*audits.AUDITS, refused))
        with pytest.raises(AuditFailed, match="was not stored: no ticker comes tonight: 2 found"):
            evenings.ingest(-1, FILES)
    assert list((evenings.workspace / "reports").iterdir()) == []
    assert list(ledger.read(evenings.workspace).runs()) == [evenings.rows("SELECT run_id FROM runs")[0][0]]
    assert not list(evenings.workspace.rglob("*.next-*"))
    evenings.ingest(-1, FILES)
    assert evenings.rows(RUNS) == [(day(-2),), (day(-1),)]
