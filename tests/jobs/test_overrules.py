"""What a person says of a price holds on the evenings after it, whatever the evidence says: real ingests,
real files, real decisions.
"""

import datetime as dt

import numpy as np
import pytest

from forecast_lib.jobs.upkeep import overrules
from tests.jobs.evenings import SESSIONS, Evenings, after, day, prices, times

pytestmark = pytest.mark.slow

AT = len(SESSIONS) - 20
"""The place of the session that persons speak of."""
VERDICTS = (
    "SELECT verdict, evidence ->> 'by', evidence ->> 'sentence' FROM price_verdicts WHERE session = DATE"
    f" '{day(AT)}' ORDER BY known_at"
)


def said_at(place: int) -> dt.datetime:
    return after(place, minutes=30)


@pytest.fixture
def evenings(tmp_path):
    return Evenings(tmp_path, "csv")


def counted(evenings: Evenings, place: int) -> np.ndarray:
    return evenings.past(place, {"ACME": prices()}).series["ACME"].sessions


def test_a_stored_row_that_a_person_refused_counts_for_nothing_though_the_source_sends_it_again(
    evenings,
) -> None:
    evenings.ingest(AT + 2, {"ACME": prices()})
    overrules.refuse(evenings.workspace, "ACME", SESSIONS[AT].date(), "a misprint", said_at(AT + 2))
    assert evenings.ingest(AT + 3, {"ACME": prices()}) == {}
    assert SESSIONS[AT].to_datetime64() not in counted(evenings, AT + 3)
    assert len(counted(evenings, AT + 3)) == AT + 3
    assert evenings.rows(f"SELECT count(*) FROM prices WHERE session = DATE '{day(AT)}'") == [(1,)]


def test_a_refusal_holds_beside_another_odd_move_and_a_release_takes_it_back(evenings) -> None:
    fallen = times(prices(), 0.5, slice(AT + 4, None))
    evenings.ingest(AT + 2, {"ACME": prices()})
    overrules.refuse(evenings.workspace, "ACME", SESSIONS[AT].date(), "a misprint", said_at(AT + 2))
    for place in (AT + 4, AT + 5):
        evenings.ingest(place, {"ACME": fallen})
    assert [verdict for verdict, *_ in evenings.rows(VERDICTS)] == ["bad_print"]
    assert SESSIONS[AT].to_datetime64() not in counted(evenings, AT + 5)
    (line,) = overrules.quarantined(evenings.workspace, said_at(AT + 5), ["ACME"]).query(
        "rule == 'refused_by_person'"
    )["quarantine_id"]
    overrules.release(evenings.workspace, line, "it was right", said_at(AT + 5))
    evenings.ingest(AT + 6, {"ACME": fallen})
    assert SESSIONS[AT].to_datetime64() in counted(evenings, AT + 6)


def test_an_inferred_split_that_a_person_calls_real_is_taken_back(evenings) -> None:
    """Closes halve on a session, and opens with them: that is what a split looks like."""
    halved = times(prices(), 0.5, slice(AT, None))
    before, since = AT + 2, AT + 3
    evenings.ingest(AT - 1, {"ACME": halved})
    evenings.ingest(before, {"ACME": halved})
    ((verdict, by, sentence),) = evenings.rows(VERDICTS)
    assert (verdict, by) == ("split", None) and "taken as a split of 2:1" in sentence
    moved = evenings.past(before, {"ACME": halved}).series["ACME"].close
    assert moved[AT] / moved[AT - 1] == pytest.approx(1, abs=0.1)
    overrules.release_move(
        evenings.workspace, "ACME", SESSIONS[AT].date(), "the shares did fall", said_at(before)
    )
    evenings.ingest(since, {"ACME": halved})
    moved = evenings.past(since, {"ACME": halved}).series["ACME"].close
    assert moved[AT] / moved[AT - 1] == pytest.approx(0.5, abs=0.05)
    assert [row[:2] for row in evenings.rows(VERDICTS)] == [("split", None), ("real", "person")]


def test_a_print_that_waits_is_let_in_by_a_person(evenings) -> None:
    spiked = times(prices(), 3.0, slice(AT, AT + 1))
    evenings.ingest(AT - 1, {"ACME": spiked})
    evenings.ingest(AT + 3, {"ACME": spiked})
    assert SESSIONS[AT].to_datetime64() not in counted(evenings, AT + 3)
    (line,) = overrules.quarantined(evenings.workspace, said_at(AT + 3), ["ACME"])["quarantine_id"]
    overrules.release(evenings.workspace, line, "it traded there", said_at(AT + 3))
    evenings.ingest(AT + 4, {"ACME": spiked})
    assert SESSIONS[AT].to_datetime64() in counted(evenings, AT + 4)
    assert [row[:2] for row in evenings.rows(VERDICTS)][-1] == ("real", "person")
