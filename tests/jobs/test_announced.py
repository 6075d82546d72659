"""Dividends and splits that are announced, from evening to evening: what they take off a forecast, what it is
settled by, and that nothing is known before it was said.
"""

import dataclasses
import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flows.settings.layers import gather, utc_now
from flows.settings.run_config import resolve
from forecast_lib.config import RunConfig
from forecast_lib.domain import Ticker
from forecast_lib.jobs import night
from forecast_lib.jobs.results import Night
from forecast_lib.jobs.stages import InOrder
from forecast_lib.prices.sources.simulated import SimulatedMarket
from forecast_lib.store.published import reader
from forecast_lib.store.working.store import Store
from forecast_lib.tables import QUANTILE_COLUMNS
from tests import plain_runs
from tests.jobs.evenings import SESSIONS, WITHOUT_ACTIONS, after, day, prices, times

pytestmark = pytest.mark.slow

SMALL = {"units": "4", "lookback": "10", "horizon": "4", "epochs": "1", "test_share": "0.01"}
AT = 200
"""The evening on which a dividend of 2 on the second session to come is known, and a split on the third."""
DIVIDEND, RATIO = 2.0, 4.0
LINES = (f"{day(AT + 2)},ex_dividend,AAA,{DIVIDEND}", f"{day(AT + 3)},split,AAA,{RATIO}")
WITHOUT_VALUES = (f"{day(AT + 2)},ex_dividend,AAA,", f"{day(AT + 3)},split,AAA,")


def market(place: int) -> pd.DataFrame:
    """Rows up to a session, as traded, by a maker who lists no actions. The share pays and splits as was
    announced; on the day of the split it has a wild day too, which could be a crash.
    """
    rows = prices()
    before = rows["Close"].iloc[AT + 1]
    rows = times(rows, 1 - DIVIDEND / before, slice(AT + 2, None))
    rows = times(rows, 0.93 / RATIO, slice(AT + 3, None))
    wild = rows["Date"] == SESSIONS[AT + 3]
    rows.loc[wild, "High"] *= 1.2
    rows.loc[SESSIONS.get_indexer(rows["Date"]) >= AT + 3, "Volume"] *= RATIO
    rows.loc[wild, "Volume"] *= 6
    return rows.loc[rows["Date"] <= SESSIONS[place], WITHOUT_ACTIONS]


def config(folder: Path, place: int, *lines: str, **given: str) -> RunConfig:
    """The night of a session's evening, with these lines in the list of events."""
    files = folder / "market"
    files.mkdir(exist_ok=True)
    market(place).to_csv(files / "AAA.csv", index=False, date_format="%Y-%m-%d")
    listed = folder / "events.csv"
    listed.write_text("\n".join(["session,kind,ticker,value", *lines]) + "\n")
    same = {
        "workspace": str(folder / "workspace"),
        "as_of": day(place),
        "files": str(files),
        "tickers": "AAA",
    }
    return resolve(gather({**SMALL, **same, "events": str(listed), **given}, environ={}), now=after(place))


def made(config: RunConfig) -> Night:
    """A night that is not stored."""
    with Store(config.workspace, config.as_of.now) as store:
        return night.made(store, config, InOrder(config, utc_now))


def rows(folder: Path, sql: str) -> list[tuple]:
    with reader.open_published(folder / "workspace" / "published.duckdb") as con:
        return con.execute(sql).fetchall()


def test_what_is_announced_is_off_every_figure_of_a_forecast(tmp_path):
    """Against the same days without their values: the distribution stands lower by the dividend from its day
    on, as wide as it was, and for one share of tonight.
    """
    told = made(config(tmp_path, AT, *LINES))
    blind = made(config(tmp_path, AT, *WITHOUT_VALUES))
    now, before = told.forecasts, blind.forecasts
    assert now["dividend"].to_numpy() == pytest.approx([0, 2, 2, 2])
    assert now["split"].tolist() == [1, 1, 4, 4] and before["split"].tolist() == [1] * 4
    left = 1 - np.array([0, 2, 2, 2]) / now["last_close"].iloc[0]
    for name in ("point", *QUANTILE_COLUMNS, "es01", "es025"):
        np.testing.assert_allclose(now[name], before[name] * left, rtol=1e-9)
    worlds, then = (np.stack(each.joint["scenarios"]["prices"].to_list()) for each in (told, blind))
    np.testing.assert_allclose(worlds, then * left[:, None], rtol=1e-5)
    flags = " ".join(told.market.flags["AAA"])
    assert (
        f"a split of 4:1 is announced for {day(AT + 3)}: the forecast stays for one share of before" in flags
    )
    drivers = told.drivers.groupby("step")["effect"].sum()
    np.testing.assert_allclose(drivers, np.log(np.log(now["q90"] / now["q10"])), atol=1e-9)


def test_an_announcement_has_no_model_fitted_anew(tmp_path):
    plain_runs.night(config(tmp_path, AT))
    tonight = made(config(tmp_path, AT + 1, *LINES))
    assert {each.decision.trigger for each in tonight.refreshed} == {"recent"}


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The night of the announcement, that of the split, and the one after."""
    folder = tmp_path_factory.mktemp("announced")
    for place in (AT, AT + 3, AT + 4):
        plain_runs.night(config(folder, place, *LINES))
    return folder


def test_a_forecast_over_an_announced_split_is_settled_for_one_share_of_its_cutoff(nights):
    """The maker of the file lists no split, and its day could be a crash; yet that evening it is known."""
    sql = "SELECT session::VARCHAR, value, source FROM corporate_actions WHERE kind = 'split'"
    assert rows(nights, sql) == [(day(AT + 3), pytest.approx(RATIO), "inferred")]
    found = rows(
        nights, "SELECT run_tickers.status FROM run_tickers JOIN runs USING (run_id) ORDER BY runs.as_of"
    )
    assert found == [("fresh",)] * 3
    sql = f"""
        SELECT step, actual, naive_error, last_close, point FROM forecast_history
        WHERE cutoff = DATE '{day(AT)}' ORDER BY step
    """
    traded = market(AT + 4)["Close"].to_numpy()[-4:]
    found = rows(nights, sql)
    last_close = found[0][3]
    for (step, actual, naive_error, *_), close in zip(found, traded * [1, 1, RATIO, RATIO], strict=True):
        assert (step, actual) == (step, pytest.approx(close, rel=1e-9))
        assert naive_error == pytest.approx(last_close - close)
    # On the ex-dividend day alone: the forecast knew of the two that were paid.
    _, actual, _, _, point = found[1]
    assert abs(point - actual) < abs(last_close - actual)


def test_who_holds_the_share_is_paid_the_dividend(nights, tmp_path):
    """Of a published night: prices fall by the dividend, the risk of who holds the share counts it back."""
    first = plain_runs.night(config(tmp_path, AT, *LINES)).run_id
    sql = (
        "SELECT step, dividend, last_close, prices FROM forecasts JOIN scenarios USING (run_id, ticker, step)"
    )
    for step, paid, last_close, prices_of in rows(tmp_path, f"{sql} WHERE run_id = '{first}'"):
        assert paid == pytest.approx(0 if step == 1 else DIVIDEND)
        [(mean,)] = rows(tmp_path, f"SELECT mean_gain FROM portfolio_risk(MAP {{'AAA': 10}}, {step})")
        assert mean == pytest.approx(10 * (np.mean(prices_of) + paid - last_close), abs=1e-3)
    outcome = rows(
        nights,
        f"""
        SELECT p.actual, o.actual, f.dividend, f.last_close FROM portfolio_outcomes AS p
        JOIN forecasts AS f USING (run_id, step) JOIN forecast_outcomes AS o USING (run_id, ticker, step)
        WHERE portfolio = 'equal' AND f.cutoff = DATE '{day(AT)}' ORDER BY step
        """,
    )
    assert [paid for *_, paid, _ in outcome] == pytest.approx([0, 2, 2, 2])
    for gained, actual, paid, last_close in outcome:
        assert gained == pytest.approx((actual + paid) / last_close - 1)


def test_an_evening_run_again_does_not_know_what_was_announced_after_it(tmp_path):
    first = plain_runs.night(config(tmp_path, AT))
    plain_runs.ingest(config(tmp_path, AT + 1, *LINES))
    then = config(tmp_path, AT, *LINES, known_at=after(AT).isoformat())
    later = dataclasses.replace(then, as_of=dataclasses.replace(then.as_of, now=utc_now()))
    again = made(later).forecasts
    assert again["dividend"].tolist() == [0.0] * 4 and again["split"].tolist() == [1.0] * 4
    told = rows(tmp_path, f"SELECT q50, q90 FROM forecasts WHERE run_id = '{first.run_id}' ORDER BY step")
    assert list(again[["q50", "q90"]].itertuples(index=False, name=None)) == told
    known = made(config(tmp_path, AT + 1, *LINES))
    assert known.forecasts["dividend"].to_numpy() == pytest.approx([2, 2, 2, 2])


def test_another_amount_is_a_revision_and_the_track_record_says_that_it_did_not_stand(tmp_path):
    plain_runs.ingest(config(tmp_path, AT, *LINES))
    plain_runs.ingest(config(tmp_path, AT + 1, LINES[0].replace("2.0", "2.5"), LINES[1]))
    assert rows(tmp_path, "SELECT kind, revision, value FROM events ORDER BY ALL") == [
        ("ex_dividend", 0, 2.0),
        ("ex_dividend", 1, 2.5),
        ("split", 0, 4.0),
    ]
    plain_runs.ingest(config(tmp_path, AT + 3, *LINES[1:]))
    sql = "SELECT kind, dates, stood, value_stood FROM event_track_record ORDER BY kind"
    assert rows(tmp_path, sql) == [("ex_dividend", 1, 1.0, 0.0), ("split", 1, 1.0, 1.0)]


def test_an_amount_that_is_corrected_later_is_not_paid_twice(tmp_path):
    """Corrected when its day is past: evenings before the correction know the first amount, and it alone."""
    plain_runs.ingest(config(tmp_path, AT, *LINES))
    corrected = (LINES[0].replace("2.0", "2.5"), LINES[1])
    later = config(tmp_path, AT + 4, *corrected)
    series = night._with_inputs(plain_runs.market(later), later).series["AAA"]
    paid = series.inputs.dividends.at(series.sessions[-6:], 4)[:, 3]
    # One share of then is four by now. The evenings before AT knew of nothing; from AT + 2 on it is paid.
    assert paid == pytest.approx(np.array([0, DIVIDEND, DIVIDEND, 0, 0, 0]) / RATIO)


def test_a_dividend_of_half_the_price_is_said_and_left_out(tmp_path):
    tonight = made(config(tmp_path, AT, LINES[0].replace("2.0", "90")))
    assert tonight.forecasts["dividend"].tolist() == [0.0] * 4
    (said,) = (text for text in tonight.market.flags["AAA"] if "dividends" in text)
    assert said.startswith(f"dividends of 90 are announced up to {day(AT + 4)}") and "mend the list" in said


def test_the_simulated_market_s_announcements_reach_its_forecasts(tmp_path):
    """A night a session before an ex-dividend day, of a share that pays."""
    listed = SimulatedMarket().events([Ticker("SIMX3")], SESSIONS[AT].date())[1].rows
    ex_day = listed.loc[listed["kind"] == "ex_dividend", "session"].iloc[-2]
    place = SESSIONS.get_loc(ex_day) - 1
    given = {**SMALL, "workspace": str(tmp_path / "w"), "as_of": day(place), "tickers": "SIMX3"}
    tonight = made(
        resolve(gather({**given, "source": "simulated", "calendars": "true"}, environ={}), now=after(place))
    )
    cash = listed.loc[listed["session"] == ex_day, "value"].iloc[0]
    assert tonight.forecasts["dividend"].to_numpy() == pytest.approx(np.full(4, cash))
    assert (tonight.forecasts["point"] < tonight.forecasts["last_close"]).all()
    assert dt.date.fromisoformat(day(place)) < ex_day.date()
