"""What the report draws of each ticker."""

import numpy as np
import pandas as pd

from forecast_lib.jobs.ingest.new_prices import Market
from forecast_lib.jobs.record import publish
from forecast_lib.tables import empty
from forecast_lib.windows.histories import FIGURES, Histories, series_from

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
