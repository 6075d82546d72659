"""What the report draws of each ticker, and a publication whose pages fail."""

import errno
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast_lib.jobs.ingest.new_prices import Market
from forecast_lib.jobs.record import publish
from forecast_lib.tables import empty
from forecast_lib.windows.histories import FIGURES, Histories, series_from
from tests import plain_runs
from tests.jobs.evenings import Evenings, day, prices

NAMES = ("AAA", "BBB", "CCC")
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


@pytest.mark.slow
def test_a_run_whose_pages_cannot_be_written_is_stored_and_not_shown(tmp_path: Path, monkeypatch) -> None:
    """The disk is full on the second evening."""
    evenings, files = Evenings(tmp_path, "csv"), {"AAA": prices()}
    evenings.ingest(-2, files)
    with monkeypatch.context() as full:

        def refuse(*_: object) -> Path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        full.setattr(plain_runs, "_no_page", refuse)
        with pytest.raises(OSError, match="No space left"):
            evenings.ingest(-1, files)
    runs = "SELECT as_of::DATE::VARCHAR FROM runs ORDER BY 1"
    assert evenings.rows(runs) == [(day(-2),)]
    assert not list(evenings.workspace.rglob("*.next-*"))
    evenings.ingest(-1, files)
    assert evenings.rows(runs) == [(day(-2),), (day(-1),), (day(-1),)]
