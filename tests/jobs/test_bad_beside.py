"""Whatever is wrong with what is known beside prices, a night goes on, says what it left out, and forecasts
as if only the rest had come: each a real night.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast_lib.jobs.record.summary import RunSummary
from tests import plain_runs
from tests.jobs.beside import SMALL, config, dates, day, made, rows, values, written

pytestmark = pytest.mark.slow

AT = 100
MOOD = [f"mood,{day(at)},{10 + at % 7}" for at in range(AT + 1)]
REPORTS = [f"{day(at)},earnings,SIM1" for at in (20, 83, AT + 2)]
SATURDAY = str(pd.Timestamp(day(AT)).date() + pd.offsets.Week(weekday=5))[:10]


def with_covariates(folder: Path, *more: str, known_at: bool = False) -> RunSummary:
    lines = [*MOOD, *more]
    if known_at:
        lines = [line if line.count(",") == 3 else f"{line}," for line in lines]
    header = "name,session,value" + (",known_at" if known_at else "")
    asked = written(folder / "covariates.csv", header, *lines)
    return plain_runs.night(config(folder, AT, **SMALL, covariates=asked))


def with_events(folder: Path, *more: str) -> RunSummary:
    return plain_runs.night(config(folder, AT, **SMALL, events=dates(folder, *REPORTS, *more)))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """The hashes of the forecasts of nights with nothing wrong."""
    covariates, events = (tmp_path_factory.mktemp(name) for name in ("covariates", "events"))
    made_of = {"covariates": with_covariates(covariates), "events": with_events(events)}
    assert all(night.status == "fresh" and night.notices == () for night in made_of.values())
    return {name: night.forecasts_hash for name, night in made_of.items()}


def test_values_that_cannot_be_are_left_out_and_the_night_is_as_without_them(tmp_path, good):
    """Of the future, infinite, too large, named as a ticker, known before its session: one of each."""
    more = (
        f"mood,{day(AT + 3)},11,", "mood,2023-01-03,inf,", "mood,2023-01-04,1e999,", "SIM2,2023-01-03,1,",
        "mood,2023-01-03,1,2022-12-30",
    )  # fmt: skip
    night = with_covariates(tmp_path, *more, known_at=True)
    assert night.status == "fresh" and night.forecasts_hash == good["covariates"]
    said = [notice.partition(";")[0] for notice in night.notices]
    assert sorted(said) == [
        f"covariates.csv: 1 row left out, first line 103: the session is after {day(AT)}",
        "covariates.csv: 1 row left out, first line 106: the name is that of a ticker",
        "covariates.csv: 1 row left out, first line 107: known_at lies before the session",
        "covariates.csv: 2 rows left out, first line 104: the value is missing or infinite",
    ]


def test_two_values_for_a_day_leave_the_day_out(tmp_path, good):
    night = with_covariates(tmp_path, "mood,2023-01-03,1", "mood,2023-01-03,2")
    assert night.status == "fresh" and night.forecasts_hash == good["covariates"]
    assert night.notices == ("covariates.csv: 2 rows left out, first line 103: two values for one day",)


def test_a_series_that_never_changes_is_left_out(tmp_path, good):
    night = with_covariates(tmp_path, *(f"flat,{day(at)},1" for at in range(AT + 1)))
    assert night.status == "fresh" and night.forecasts_hash == good["covariates"]
    assert night.notices == ("covariates.csv: 'flat' never changes: left out",)


def test_a_series_with_gaps_counts_where_it_is_known(tmp_path):
    """Without weeks 4 to 7: a value counts for five sessions, then nothing is known until the next."""
    lines = [line for at, line in enumerate(MOOD) if not 40 <= at < 60]
    tonight = made(config(tmp_path, AT, **SMALL, covariates=values(tmp_path, *lines)))
    series = tonight.market.series["SIM1"]
    first = int(np.searchsorted(series.sessions, np.datetime64(day(0))))
    known = series.inputs.known(("covariate mood/level",), series.sessions)[first:, 0]
    assert np.isfinite(known[22:45]).all() and np.isnan(known[45:60]).all()
    assert np.isfinite(known[60 : AT + 1]).all()
    assert tonight.market.passed_over == () and "SIM1" not in tonight.market.flags
    assert np.isfinite(tonight.forecasts["q90"]).all()


def test_a_series_of_another_calendar_is_known_on_the_next_session(tmp_path):
    """Values of Saturdays alone, as of a weekly survey: from Monday on, none on the Friday before."""
    weeks = pd.date_range("2023-06-03", SATURDAY, freq="7D")[:-1]
    lines = [f"survey,{week:%Y-%m-%d},{50 + place % 9}" for place, week in enumerate(weeks)]
    tonight = made(config(tmp_path, AT, **SMALL, covariates=values(tmp_path, *lines)))
    series = tonight.market.series["SIM1"]
    known = series.inputs.known(("covariate survey/change",), series.sessions)[:, 0]
    monday = int(np.searchsorted(series.sessions, np.datetime64(weeks[-2], "D")))
    before, after = known[monday - 1], known[monday]
    assert np.isfinite([before, after]).all() and before != after
    assert len(set(known[monday : monday + 4])) == 1
    assert tonight.market.passed_over == () and np.isfinite(tonight.forecasts["q90"]).all()


def test_events_of_unknown_tickers_are_left_out_and_past_dates_count(tmp_path, good):
    night = with_events(tmp_path, f"{day(AT + 1)},earnings,NOSUCH")
    assert night.status == "fresh" and night.forecasts_hash == good["events"]
    assert night.notices == (
        "events.csv: 1 row left out, first line 5: the ticker is not one of the run, for example NOSUCH",
    )
    assert rows(tmp_path, "SELECT count(*) FROM events WHERE session < known_at") == [(2,)]
    assert rows(tmp_path, "SELECT DISTINCT ticker FROM run_tickers ORDER BY 1") == [("SIM1",), ("SIM2",)]


def test_a_list_of_past_dates_alone_is_a_list(tmp_path):
    night = plain_runs.night(config(tmp_path, AT, **SMALL, events=dates(tmp_path, *REPORTS[:2])))
    assert night.status == "fresh" and night.notices == ()
