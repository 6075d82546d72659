"""Tonight's widths beside those of the run before, night by night, with real files and the database."""

import dataclasses
import datetime as dt
import shutil
from pathlib import Path

import duckdb
import pytest

from flows.settings.layers import gather
from flows.settings.run_config import resolve
from forecast_lib.jobs.upkeep import verify
from forecast_lib.store.disk.files import WORKING
from forecast_lib.store.published import reader
from forecast_lib.store.working.store import Store
from tests import plain_runs

pytestmark = pytest.mark.slow

SMALL = {"units": "4", "lookback": "10", "horizon": "2", "epochs": "1", "test_share": "0.01"}
FIRST, SECOND, THIRD = (dt.date(2024, 5, day) for day in (29, 30, 31))


def night(workspace: Path, day: dt.date, strategy: str = "forecast", **options: str) -> str:
    """Runs the night of that evening; its run id."""
    given = {**SMALL, "workspace": str(workspace), "tickers": "SIM1,SIM2", "source": "simulated", **options}
    now = dt.datetime.combine(day, dt.time(22, 30), dt.UTC)
    config = resolve(gather({**given, "as_of": str(day), "strategy": strategy}, environ={}), now=now)
    return plain_runs.night(config).run_id


def rows(workspace: Path, sql: str, **values: str) -> list[tuple]:
    with reader.open_published(workspace / "published.duckdb") as con:
        return con.execute(sql, values).fetchall()


@pytest.fixture(scope="module")
def two_nights(tmp_path_factory) -> Path:
    """The first trains, the second goes on with its models."""
    workspace = tmp_path_factory.mktemp("drivers") / "w"
    night(workspace, FIRST, "retrain")
    night(workspace, SECOND)
    return workspace


@pytest.fixture
def copy(two_nights, tmp_path) -> Path:
    return Path(shutil.copytree(two_nights, tmp_path / "w"))


ADDED = """
    SELECT r.as_of::DATE, max(abs(d.effect - d.width)), max(abs(d.change - (d.width - b.width)))
    FROM (
        SELECT f.run_id, f.ticker, f.step, ln(ln(f.q90 / f.q10)) AS width, sum(effect) AS effect,
            sum(change) AS change
        FROM forecast_drivers JOIN forecasts AS f USING (run_id, ticker, step) GROUP BY ALL
    ) AS d
    JOIN runs AS r USING (run_id)
    ASOF LEFT JOIN (
        SELECT ticker, step, as_of, ln(ln(q90 / q10)) AS width FROM forecasts JOIN runs USING (run_id)
    ) AS b ON b.ticker = d.ticker AND b.step = d.step AND r.as_of > b.as_of
    GROUP BY ALL ORDER BY 1
"""
WHY = "SELECT DISTINCT why_no_change FROM forecast_drivers WHERE run_id = $run AND {} ORDER BY 1"


def why(workspace: Path, run_id: str, where: str = "true") -> list[str | None]:
    return [said for (said,) in rows(workspace, WHY.format(where), run=run_id)]


def test_what_is_published_adds_up_in_sql(copy):
    night(copy, THIRD, "fine-tune")
    (first, *effects), (second, *both), (third, *tuned) = rows(copy, ADDED)
    assert (first, second, third) == (FIRST, SECOND, THIRD)
    assert effects[0] < 1e-9 and effects[1] is None
    assert max(both + tuned) < 1e-9
    named = """
        SELECT max(abs(change)) FROM forecast_drivers JOIN runs USING (run_id)
        WHERE as_of = '{}' AND driver = '{}'
    """
    [(same,)], [(new,)] = (rows(copy, named.format(day, "new weights")) for day in (SECOND, THIRD))
    assert same == 0 and new > 1e-6
    # Two tickers have nothing in common that could be pooled anew, and no price was revised.
    [(revised,)] = rows(copy, named.format(THIRD, "revised prices"))
    assert revised < 1e-9


def test_the_first_night_has_nothing_before_it_and_goes_on(two_nights):
    [(first,)] = rows(two_nights, "SELECT run_id FROM runs WHERE as_of = '2024-05-29'")
    assert why(two_nights, first) == ["first"]
    [(found,)] = rows(two_nights, "SELECT count(*) FROM forecast_drivers WHERE run_id = $run", run=first)
    assert found >= 2 * 2 * 11  # of two tickers and two steps


def test_the_view_names_the_largest_drivers_of_the_change(two_nights):
    found = rows(two_nights, "SELECT width_change, largest_drivers FROM forecast_changes WHERE step = 1")
    assert len(found) == 2
    wider = """
        SELECT exp(sum(change)) - 1 FROM forecast_drivers SEMI JOIN latest_forecasts USING (run_id)
        WHERE step = 1 GROUP BY ticker
    """
    expected = [share for (share,) in rows(two_nights, wider)]
    assert sorted(share for share, _ in found) == pytest.approx(sorted(expected))
    largest = max(found, key=lambda row: abs(row[0]))[1]
    assert 1 <= len(largest.split(", ")) <= 3 and largest.endswith(" %")


def test_another_universe_is_compared_for_the_tickers_of_both(copy):
    """SIM2 is no longer asked for, SIM3 is new."""
    third = night(copy, THIRD, tickers="SIM1,SIM3")
    assert why(copy, third, "ticker = 'SIM1'") == [None] and why(copy, third, "ticker = 'SIM3'") == ["first"]
    *_, (_, effects, changes) = rows(copy, ADDED)
    assert max(effects, changes) < 1e-9


def test_what_other_tickers_have_in_common_is_told_from_revised_prices(tmp_path):
    """From five tickers on they have something in common. Of six one is exchanged for another and nothing
    else changed: no price is revised, and what a width owes to the others is named.
    """
    six = ",".join(f"SIM{number}" for number in range(1, 7))
    night(tmp_path / "w", FIRST, "retrain", tickers=six)
    third = night(tmp_path / "w", SECOND, tickers=six.replace("SIM6", "SIM7"))
    sql = "SELECT driver, max(abs(change)) FROM forecast_drivers WHERE run_id = $run GROUP BY ALL"
    changes = {
        driver: change for driver, change in rows(tmp_path / "w", sql, run=third) if change is not None
    }
    assert changes["revised prices"] < 1e-12 < changes["other tickers"]
    *_, (_, effects, added) = rows(tmp_path / "w", ADDED)
    assert max(effects, added) < 1e-9


def test_another_version_is_not_compared_with(copy):
    with duckdb.connect(str(copy / WORKING)) as con:
        con.execute("UPDATE runs SET code_version = '0.0.1'")
    assert why(copy, night(copy, THIRD)) == ["version"]


def test_a_model_that_was_pruned_leaves_its_ticker_alone_without_a_comparison(copy):
    [(sha256,)] = rows(copy, "SELECT weights_sha256 FROM models WHERE ticker = 'SIM2'")
    (copy / "models" / f"{sha256}.npz").unlink()
    third = night(copy, THIRD, "retrain")
    assert why(copy, third, "ticker = 'SIM2'") == ["weights"]
    assert why(copy, third, "ticker = 'SIM1'") == [None]


def test_a_night_whose_widths_were_held_against_pruned_models_cannot_be_verified(copy):
    """Other settings: nothing but the comparison needs the models of the night before."""
    third = night(copy, THIRD, "retrain", seed="1")
    assert why(copy, third) == [None]
    with verify.copied(copy) as aside:
        config = dataclasses.replace(
            verify.config_of(verify.read_published(aside, THIRD)), workspace=aside, run_id="again"
        )
        rows_of = verify.read_rows(aside, third)
        sql = "SELECT model_id, weights_sha256 FROM models WHERE ticker = 'SIM2' AND run_id <> $run"
        [(model_id, sha256)] = rows(copy, sql, run=third)
        with Store(aside, config.as_of.now) as store:
            assert verify.pruned(store, config, rows_of) is None
            (aside / "models" / f"{sha256}.npz").unlink()
            said = verify.pruned(store, config, rows_of)
    assert said == f"the weights of model {model_id} of SIM2, which answered before, were removed"


def test_an_evening_run_again_is_held_against_the_evening_before_and_says_the_same(copy):
    sql = "SELECT ticker, step, driver, effect, change FROM forecast_drivers WHERE run_id = $run ORDER BY ALL"
    [(second,)] = rows(copy, "SELECT run_id FROM runs WHERE as_of = '2024-05-30'")
    again = night(copy, SECOND)
    assert again != second
    assert rows(copy, sql, run=again) == rows(copy, sql, run=second)


def test_a_missed_night_is_stepped_over(copy):
    """Of the week without a night every session belongs to the new ones."""
    assert why(copy, night(copy, dt.date(2024, 6, 7))) == [None]
    *_, (_, effects, changes) = rows(copy, ADDED)
    assert max(effects, changes) < 1e-9


def test_a_ticker_in_trouble_changes_nobody_s_drivers(two_nights, tmp_path):
    """NOSUCH is asked for on both nights and has no prices."""
    for day, strategy in ((FIRST, "retrain"), (SECOND, "forecast")):
        night(tmp_path / "w", day, strategy, tickers="SIM1,NOSUCH,SIM2")
    sql = (
        "SELECT as_of, d.* EXCLUDE (run_id) FROM forecast_drivers AS d JOIN runs USING (run_id) ORDER BY ALL"
    )
    assert rows(tmp_path / "w", sql) == rows(two_nights, sql)
    assert rows(tmp_path / "w", "SELECT DISTINCT status FROM run_tickers WHERE ticker = 'NOSUCH'") == [
        ("none",)
    ]
