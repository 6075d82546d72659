"""What was known at an instant is the same answer in every time zone that a reader may have set."""

import datetime as dt
from pathlib import Path

import duckdb
import pytest

from forecast_lib.store.published import publication
from forecast_lib.store.working import database
from tests.store.nights import now

pytestmark = pytest.mark.slow

ZONES = ["UTC", "America/New_York", "Asia/Kolkata"]
INSTANTS = {
    "TIMESTAMPTZ '2024-01-03 22:00:00+00:00'": 4,
    "TIMESTAMPTZ '2024-01-03 17:00:00-05:00'": 4,
    "TIMESTAMPTZ '2024-01-03 21:59:59+00:00'": 2,
    "TIMESTAMP '2024-01-03 22:00:00'": 4,
    "TIMESTAMP '2024-01-03 21:59:59'": 2,
    "DATE '2024-01-04'": 4,
    "DATE '2024-01-03'": 2,
    "'2024-01-03 22:00:00'": 4,
    "'2024-01-03 21:59'": 2,
    "'2024-01-03T22:00:00Z'": 4,
    "'2024-01-03 23:59:59+02:00'": 2,
    "'2024-01-04'": 4,
    "TIMESTAMPTZ 'infinity'": 4,
    "'-infinity'": 0,
    "NULL": 0,
}
"""An argument, and the prices known then: two of night 0, 2 January 2024 at 22:00 UTC, and two of night 1 a
day later.
"""


def counts(path: Path, zone: str, macro: str) -> dict[str, int]:
    """The rows of the macro for each argument, by a reader in the zone who loads no extension."""
    offline = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    with duckdb.connect(str(path), read_only=True, config=offline) as con:
        con.execute(f"SET TimeZone = '{zone}'")
        return {
            each: con.execute(f"SELECT count(*) FROM {macro}({each})").fetchall()[0][0] for each in INSTANTS
        }


@pytest.mark.parametrize("macro", ["prices_as_of", "adjusted_prices_as_of"])
@pytest.mark.parametrize("zone", ZONES)
def test_an_instant_is_itself_and_all_else_is_utc_in_a_publication(
    workspace: Path, macro: str, zone: str
) -> None:
    assert counts(workspace / "published.duckdb", zone, macro) == INSTANTS


def test_a_publication_that_was_written_row_by_row_answers_alike(workspace: Path, tmp_path: Path) -> None:
    publication.copy_rows(workspace / "working.duckdb", tmp_path / "copied.duckdb")
    assert counts(tmp_path / "copied.duckdb", "America/New_York", "adjusted_prices_as_of") == INSTANTS


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("learned", "splits"), [(-60, [2.0]), (60, [1.0])])
def test_now_is_now_for_prices_and_for_corporate_actions(
    tmp_path: Path, zone: str, learned: int, splits: list[float]
) -> None:
    """A 2:1 split that was learned a minute ago counts, and so does a bound time; one that will be learned in
    a minute does not.
    """
    moment = dt.datetime.now(dt.UTC)
    at = {"at": moment.replace(tzinfo=None) + dt.timedelta(seconds=learned)}
    with database.open_working(tmp_path / "workspace", now(0)) as con:
        price = "('ACME', '{}', NULL, NULL, NULL, {}, NULL, NULL, 'USD', 'files', 0, '2024-01-10', 'r')"
        con.execute(f"INSERT INTO prices VALUES {price.format('2024-01-02', 100)}")
        con.execute(
            "INSERT INTO corporate_actions VALUES ('ACME', '2024-01-03', 'split', 2.0, $at, 'r', 'files')", at
        )
        con.execute(f"SET TimeZone = '{zone}'")
        assert [
            split
            for (split,) in con.execute("SELECT split_factor FROM adjusted_prices_as_of(now())").fetchall()
        ] == splits
        bound = con.execute("SELECT split_factor FROM adjusted_prices_as_of($moment)", {"moment": moment})
        assert [split for (split,) in bound.fetchall()] == splits
