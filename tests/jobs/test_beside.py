"""Covariates and events from night to night: stored as revisions, known as they were, flagged where they are
missing, and never a reason to degrade anything.
"""

import dataclasses
import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from flows.settings.layers import gather, utc_now
from flows.settings.run_config import resolve
from forecast_lib.errors import UsageError
from forecast_lib.jobs import night
from forecast_lib.models.bundle import load_pool
from tests import plain_runs
from tests.jobs.beside import SESSIONS, SMALL, config, dates, day, made, rows, values, written

pytestmark = pytest.mark.slow

# --- from evening to evening


def test_a_corrected_value_is_a_revision_and_an_earlier_evening_keeps_the_first(tmp_path):
    first = values(tmp_path, f"vix,{day(0)},13", f"vix,{day(1)},14")
    plain_runs.ingest(config(tmp_path, 1, covariates=first))
    plain_runs.ingest(
        config(tmp_path, 2, covariates=values(tmp_path, f"vix,{day(0)},13", f"vix,{day(1)},15"))
    )
    sql = "SELECT session::VARCHAR, revision, value, source FROM covariates ORDER BY ALL"
    assert rows(tmp_path, sql) == [
        (day(0), 0, 13.0, "files"),
        (day(1), 0, 14.0, "files"),
        (day(1), 1, 15.0, "files"),
    ]
    tonight = plain_runs.market(config(tmp_path, 3, covariates=first))
    assert tonight.beside.covariates["value"].tolist() == [13.0, 15.0]
    then = config(tmp_path, 1, covariates=first, known_at=f"{day(1)}T23:00:00+00:00", as_of=day(1))
    later = dataclasses.replace(then, as_of=dataclasses.replace(then.as_of, now=utc_now()))
    assert plain_runs.market(later).beside.covariates["value"].tolist() == [13.0, 14.0]


def test_a_date_that_moves_is_given_up_and_its_track_record_says_so(tmp_path):
    asked = {"events": dates(tmp_path, f"{day(4)},earnings,SIM1", f"{day(6)},fomc,")}
    plain_runs.ingest(config(tmp_path, 1, **asked))
    dates(tmp_path, f"{day(5)},earnings,SIM1", f"{day(6)},fomc,")
    plain_runs.ingest(config(tmp_path, 2, **asked))
    plain_runs.ingest(config(tmp_path, 7, **asked))
    sql = "SELECT kind, ticker, session::VARCHAR, revision, expected FROM events ORDER BY ALL"
    assert rows(tmp_path, sql) == [
        ("earnings", "SIM1", day(4), 0, True),
        ("earnings", "SIM1", day(4), 1, False),
        ("earnings", "SIM1", day(5), 0, True),
        ("fomc", "*", day(6), 0, True),
    ]
    sql = "SELECT kind, source, dates, stood FROM event_track_record ORDER BY kind"
    assert rows(tmp_path, sql) == [("earnings", "files", 2, 0.5), ("fomc", "files", 1, 1.0)]
    known = night._with_inputs(plain_runs.market(config(tmp_path, 7, **asked)), config(tmp_path, 7)).series[
        "SIM1"
    ]
    assert known.inputs is not None
    seen = known.inputs.falling(("event earnings",), SESSIONS[:7].to_numpy("datetime64[D]"), 5)[:, 0]
    # The evening of 1 expects it on 4, those of 2 and later on 5; that of 0 knows of nothing.
    expected = np.zeros((7, 5))
    for cutoff, on in ((1, 4), (2, 5), (3, 5), (4, 5)):
        expected[cutoff, on - cutoff - 1 :] = 1 / np.arange(on - cutoff, 6)
    np.testing.assert_allclose(seen, expected)


def test_a_run_of_fewer_tickers_gives_up_nothing_of_the_others(tmp_path):
    asked = {"events": dates(tmp_path, f"{day(8)},earnings,SIM1", f"{day(9)},earnings,SIM2")}
    for place, tickers in ((1, "SIM1,SIM2"), (2, "SIM1"), (3, "SIM1,SIM2")):
        plain_runs.ingest(config(tmp_path, place, **asked, tickers=tickers))
    sql = "SELECT ticker, session::VARCHAR, revision, expected FROM events ORDER BY ALL"
    assert rows(tmp_path, sql) == [("SIM1", day(8), 0, True), ("SIM2", day(9), 0, True)]


def test_a_date_that_another_source_lists_from_now_on_counts_on(tmp_path):
    """SIMX1 reports on 2024-04-01, its source says. The file that said so before is asked for no more."""
    asked = {"tickers": "SIMX1", "events": dates(tmp_path, "2024-04-01,earnings,SIMX1")}
    plain_runs.ingest(config(tmp_path, 1, **asked))
    for place in (2, 3):
        plain_runs.ingest(config(tmp_path, place, tickers="SIMX1", calendars="true"))
    sql = "SELECT revision, source, expected FROM events WHERE session = DATE '2024-04-01' ORDER BY ALL"
    assert rows(tmp_path, sql) == [(0, "files", True), (1, "simulated", True)]
    tonight = plain_runs.market(config(tmp_path, 4, tickers="SIMX1", calendars="true")).beside.events
    assert tonight.loc[tonight["session"] == "2024-04-01", "source"].tolist() == ["files", "simulated"]
    back = plain_runs.market(config(tmp_path, 4, **asked)).beside.events
    assert back["source"].unique().tolist() == ["files", "simulated"]


def test_a_file_that_is_missing_or_broken_tonight_leaves_what_was_stored(tmp_path):
    asked = values(tmp_path, *(f"vix,{day(place)},{13 + place}" for place in range(30)))
    plain_runs.ingest(config(tmp_path, 30, covariates=asked))
    Path(asked).write_text("name,session\n")
    environ = {"TICKERCAST_COVARIATES": asked}
    given = {"workspace": str(tmp_path / "workspace"), "as_of": day(31), "tickers": "SIM1,SIM2"}
    now = dt.datetime.combine(SESSIONS[31].date(), dt.time(22, 30), dt.UTC)
    summary = plain_runs.ingest(resolve(gather(given, environ=environ), now=now))
    assert summary.status == "fresh"
    assert summary.notices == (
        "covariates: covariates.csv: no column 'value': expected a header with name, session and value; found"
        " 'name', 'session'; what was stored before is used",
    )
    Path(asked).unlink()
    again = plain_runs.market(resolve(gather(given, environ=environ), now=now))
    assert len(again.beside.covariates) == 30 and "cannot be opened" in again.passed_over[0]


@pytest.mark.parametrize("name", ["covariates", "events"])
def test_a_wrong_file_on_the_command_line_is_a_usage_error(tmp_path, name):
    wrong = written(tmp_path / "wrong.csv", "a,b", "1,2")
    with pytest.raises(UsageError, match=f"--{name} wrong.csv: no column"):
        config(tmp_path, 1, **{name: wrong})
    with pytest.raises(UsageError, match=f"--{name} nosuch.csv: cannot be opened"):
        config(tmp_path, 1, **{name: str(tmp_path / "nosuch.csv")})
    with pytest.raises(UsageError, match="1 of 1 tickers are no ticker names"):
        config(tmp_path, 1, covariate_tickers="not a name")


def test_a_covariate_ticker_has_prices_and_no_status_row(tmp_path):
    summary = plain_runs.ingest(config(tmp_path, 5, covariate_tickers="SIMVIX,NOSUCH"))
    assert summary.status == "fresh" and sum(summary.tickers.values()) == 2
    assert rows(tmp_path, "SELECT DISTINCT ticker FROM prices ORDER BY 1") == [
        ("SIM1",),
        ("SIM2",),
        ("SIMVIX",),
    ]
    assert rows(tmp_path, "SELECT ticker FROM run_tickers ORDER BY 1") == [("SIM1",), ("SIM2",)]
    assert summary.notices == (
        "covariate NOSUCH: no ticker of the simulated market: expected SIM1, SIM2, ...",
    )


# --- whole nights


ASKED = {**SMALL, "tickers": "SIMX1,SIMX2,SIMX3", "calendars": "true", "covariate_tickers": "SIMVIX"}


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two nights with a leader and reports, and a file whose series is three sessions behind."""
    folder = tmp_path_factory.mktemp("nights")
    asked = {**ASKED, "covariates": values(folder, *(f"mood,{day(at)},{1 + at % 7}" for at in range(98)))}
    for place in (100, 101):
        plain_runs.night(config(folder, place, **asked))
    return folder


def test_what_pays_is_kept_and_recorded_with_the_model(nights):
    kept = dict(rows(nights, "SELECT name, kept FROM covariate_trials"))
    assert kept["covariate SIMVIX"] and kept["event earnings"]
    assert {name for name, stays in kept.items() if stays} == {"covariate SIMVIX", "event earnings"}
    assert not kept["covariate mood"] and "event month_end" in kept  # the exchange's calendar is always tried
    ((sha256, settings),) = rows(nights, "SELECT weights_sha256, config FROM models WHERE ticker = '*'")
    pool = load_pool(nights / "workspace" / "models", sha256)
    assert pool.inputs == (
        *(f"covariate SIMVIX/{part}" for part in ("change", "level", "mean")),
        "event earnings",
    )
    assert '"beside": ["covariate SIMVIX", "covariate mood", "event earnings"]' in settings


def test_a_late_covariate_is_flagged_and_degrades_nothing(nights):
    found = rows(
        nights,
        "SELECT t.status, t.flags FROM run_tickers AS t JOIN runs USING (run_id) ORDER BY runs.as_of, ticker",
    )
    assert [status for status, _ in found] == ["fresh"] * 6
    for place, (_, flags) in zip((100,) * 3 + (101,) * 3, found, strict=True):
        said = f"covariate mood: the newest value is of {day(97)}, {place - 97} sessions before"
        assert said in flags.split("; ")


def test_the_next_night_goes_on_with_the_same_models(nights):
    sql = "SELECT trigger FROM run_tickers JOIN runs USING (run_id) ORDER BY runs.as_of, ticker"
    assert rows(nights, sql) == [("no_model",)] * 3 + [("recent",)] * 3


def test_a_night_again_from_what_was_known_then_is_the_same(nights):
    given = {**ASKED, "covariates": str(nights / "covariates.csv"), "known_at": f"{day(101)}T22:30:00+00:00"}
    then = config(nights, 101, **given)
    later = dataclasses.replace(then, as_of=dataclasses.replace(then.as_of, now=utc_now()))
    again = made(later).forecasts
    then_made = f"FROM forecasts JOIN runs USING (run_id) WHERE as_of = DATE '{day(101)}'"
    sql = f"SELECT q90 {then_made} ORDER BY ticker, step"
    assert again["q90"].tolist() == [value for (value,) in rows(nights, sql)]


def test_another_set_of_covariates_is_changed_settings(nights):
    given = {**ASKED, "calendars": "false", "covariates": str(nights / "covariates.csv")}
    other = config(nights, 102, **given)
    refreshed = made(other).refreshed
    assert {each.decision.trigger for each in refreshed} == {"changed_settings"}


def test_without_covariates_nothing_is_asked_stored_or_known(tmp_path):
    plain = config(tmp_path, 20, **SMALL)
    tonight = made(plain)
    assert tonight.market.beside.series() == []
    assert not any("covariate" in text for texts in tonight.market.flags.values() for text in texts)
    inputs = tonight.market.series["SIM1"].inputs
    assert inputs is not None and not any(name.startswith("covariate ") for name in inputs.names)


def test_a_covariate_that_was_kept_and_is_gone_counts_as_usual(nights):
    """The night after, without the leader's newest weeks: its part is neutral, the forecast still finite."""
    given = {**ASKED, "covariates": str(nights / "covariates.csv")}
    later = config(nights, 101, minutes=5, **given)
    market = plain_runs.market(later)
    series, calendar = market.beside.tickers["SIMVIX"]
    cut = dataclasses.replace(market.beside, tickers={"SIMVIX": (series.until(len(series) - 30), calendar)})
    known = night._with_inputs(dataclasses.replace(market, beside=cut), later)
    assert known.series["SIMX1"].inputs is not None
    seen = known.series["SIMX1"].inputs.known(("covariate SIMVIX/level",), series.sessions[-30:])
    assert np.isfinite(seen[:5]).all() and np.isnan(seen[5:]).all()
    flags = known.flags["SIMX1"]
    assert any(text.startswith("covariate SIMVIX: the newest value") for text in flags)
