"""A renamed ticker has one history, evening by evening, from files and from the database; nobody sees what
was not known.
"""

import numpy as np
import pytest

from flows.settings.layers import gather
from flows.settings.run_config import resolve
from forecast_lib.config import Rename
from forecast_lib.jobs.ingest.renames import to_ask
from tests import plain_runs
from tests.jobs.evenings import SESSIONS, Evenings, after, day, prices, times, with_action, without

pytestmark = pytest.mark.slow

ON = len(SESSIONS) - 20
"""The place of the first session under the new name."""


@pytest.fixture
def universe(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(f'tickers = ["META"]\n[renames]\nFB = {{ now = "META", on = {day(ON)} }}\n')
    return path


def market(evenings, universe, place):
    """What the run of an evening would see, nothing stored."""
    given = {
        "files": str(evenings.folder / "market"),
        "universe": str(universe),
        "workspace": str(evenings.workspace),
        "as_of": day(place),
    }
    config = resolve(gather(given, environ={}), now=after(place, minutes=1))
    return plain_runs.market(config)


def closes(rows, place):
    return rows.loc[rows["Date"] <= SESSIONS[place], "Close"].to_numpy()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_histories_of_two_names_are_one(tmp_path, universe, form) -> None:
    """The rows that FB has after the day are another company's."""
    evenings, rows = Evenings(tmp_path, form), prices(1)
    files = {"FB": times(rows, 1.2, slice(ON, None)), "META": without(rows, slice(0, ON))}
    assert evenings.ingest(ON + 5, files, universe=universe) == {}
    seen = evenings.past(ON + 5, files, universe)
    assert list(seen.series) == ["META"] and not seen.problems and not seen.ended
    assert np.allclose(seen.series["META"].close, closes(rows, ON + 5), rtol=1e-9)
    assert evenings.rows("SELECT DISTINCT ticker FROM run_tickers") == [("META",)]
    assert evenings.rows("SELECT DISTINCT ticker FROM prices ORDER BY 1") == [("FB",), ("META",)]


def test_before_the_day_the_old_name_is_asked_for_and_answers_for_the_new_one(tmp_path, universe) -> None:
    evenings, rows = Evenings(tmp_path, "csv"), prices(1)
    for place in (ON - 2, ON - 1):
        assert evenings.ingest(place, {"FB": rows}, universe=universe) == {}
    assert (
        evenings.ingest(
            ON, {"FB": without(rows, slice(ON, None)), "META": without(rows, slice(0, ON))}, universe=universe
        )
        == {}
    )
    assert (
        evenings.rows("SELECT ticker, run_tickers.status, sessions_behind FROM run_tickers")
        == [("META", "fresh", 0)] * 3
    )
    before, since = (evenings.past(place, {}, universe).series["META"] for place in (ON - 1, ON))
    assert (len(before), len(since)) == (ON, ON + 1)
    assert np.allclose(since.close, closes(rows, ON), rtol=1e-9)


def test_a_source_that_gives_the_new_name_the_whole_past_adds_nothing_twice(tmp_path, universe) -> None:
    """As Yahoo does. What was stored under the old name is what counts for its sessions: it was known
    then.
    """
    evenings, rows = Evenings(tmp_path, "csv"), prices(1)
    evenings.ingest(ON - 1, {"FB": rows}, universe=universe)
    (tmp_path / "market" / "FB.csv").unlink()
    evenings.ingest(ON, {"META": times(rows, 1.001, slice(0, ON))}, universe=universe)
    seen = evenings.past(ON, {}, universe).series["META"]
    assert len(seen) == ON + 1 and np.allclose(seen.close, closes(rows, ON), rtol=1e-9)


def test_a_split_under_the_new_name_adjusts_the_past_under_the_old_one(tmp_path, universe) -> None:
    evenings, rows = Evenings(tmp_path, "csv"), prices(1)
    traded = with_action(times(rows, 0.5, slice(ON + 2, None)), "Stock Splits", 2.0, ON + 2)
    evenings.ingest(
        ON + 5,
        {"FB": without(traded, slice(ON, None)), "META": without(traded, slice(0, ON))},
        universe=universe,
    )
    seen = evenings.past(ON + 5, {}, universe).series["META"]
    assert np.allclose(seen.close, closes(rows, ON + 5) / 2, rtol=1e-9)


def test_an_old_name_is_asked_for_only_while_something_of_it_may_be_missing(tmp_path, universe) -> None:
    def asked(place: int, stored: dict[str, int]) -> tuple[str, ...]:
        config = resolve(
            gather({"universe": str(universe), "as_of": day(place)}, environ={}), now=after(place)
        )
        assert config.renames == (Rename("FB", "META", SESSIONS[ON].date()),)
        firsts = {name: SESSIONS[first].date() for name, first in stored.items()}
        return to_ask(config, ("META", "FB"), firsts.get)

    assert asked(ON - 1, {"FB": 0}) == ("FB",)
    assert asked(ON, {"FB": 0}) == ("META", "FB")  # its last sessions may have been missed
    late = len(SESSIONS) - 1  # within a month still
    assert asked(late, {}) == ("META", "FB")
    config = resolve(
        gather({"universe": str(universe), "as_of": "2024-12-31"}, environ={}),
        now=after(late).replace(year=2025),
    )
    assert to_ask(config, ("META", "FB"), {"FB": SESSIONS[0].date()}.get) == ("META",)
    # Nothing of the past is stored.
    assert to_ask(config, ("META", "FB"), {"META": SESSIONS[ON].date()}.get) == ("META", "FB")
