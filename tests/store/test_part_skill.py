"""Live figures of each part of a combination, from what it said and what came true; and that its weights are
audited.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast_lib.distribution import pinball
from forecast_lib.errors import AuditFailed
from forecast_lib.store.working import database
from forecast_lib.tables import QUANTILE_COLUMNS
from tests.store import nights

pytestmark = pytest.mark.slow


def weights(
    run_id: str, *by_model: tuple[str, float, float], steps: tuple[int, ...] = (1, 2)
) -> pd.DataFrame:
    """Of both tickers: model, weight, and how far its quantiles lie above those of the fixture."""
    return pd.DataFrame(
        {
            "run_id": run_id,
            "ticker": ticker,
            "step": step,
            "model": model,
            "weight": weight,
            "point": 100.0,
            "sigma": 0.02,
            **{column: 94.0 + place + above for place, column in enumerate(QUANTILE_COLUMNS)},
        }
        for ticker in ("AAA", "BBB")
        for step in steps
        for model, weight, above in by_model
    )


def combined(number: int, frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    made = nights.night(number)
    return made | {"forecasts": made["forecasts"].assign(made_by="combined"), "forecast_weights": frame}


def test_each_part_is_scored_as_if_it_had_answered_alone(tmp_path: Path) -> None:
    nights.store_night(
        tmp_path, 0, combined(0, weights("run-0", ("stacked", 0.75, 0.0), ("naive", 0.25, 3.0)))
    )
    outcomes = nights.outcomes("run-0", "run-1", 1, 0)
    nights.store_night(tmp_path, 1, nights.night(1) | {"forecast_outcomes": outcomes})
    with database.open_working(tmp_path, nights.now(2)) as con:
        found = con.execute(
            "SELECT model, n, weight, pinball FROM part_skill WHERE ticker = 'AAA' AND step = 1 ORDER BY"
            " model"
        ).fetchall()
    actual = outcomes["actual"].to_numpy()[:1]
    losses = [pinball(actual, 94.0 + above + np.arange(13.0)[None]).item() for above in (3.0, 0.0)]
    assert found == [
        ("naive", 1, 0.25, pytest.approx(losses[0])),
        ("stacked", 1, 0.75, pytest.approx(losses[1])),
    ]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            weights("run-0", ("stacked", 0.75, 0.0), ("naive", 0.2, 0.0)),
            "weights of a forecast sum to one.*AAA step 1 has 0.95",
        ),
        (weights("run-0", ("stacked", 1.0, 0.0), steps=(1,)), "a combined forecast has weights"),
        (weights("run-0", ("stacked", 1.0, 0.0), steps=(1, 2, 3)), "weights have a forecast"),
    ],
)
def test_weights_that_do_not_add_up_or_belong_to_nothing_are_not_stored(
    tmp_path: Path, frame: pd.DataFrame, message: str
) -> None:
    with pytest.raises(AuditFailed, match=message):
        nights.store_night(tmp_path, 0, combined(0, frame))
