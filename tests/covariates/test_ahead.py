"""Events that lie ahead: what is expected where, and what the exchange's calendar knows."""

import datetime as dt

import numpy as np
import pytest

from forecast_lib.covariates.calendar import ALWAYS, KINDS, NEVER, calendar_events
from forecast_lib.covariates.inputs import Ahead, AtClose, Dividends, Inputs, candidates
from forecast_lib.sessions import TickerCalendar

DAYS = np.arange("2024-01-01", "2024-03-01", dtype="datetime64[D]")
DAYS = DAYS[np.is_busday(DAYS)]


def events(*on, since=ALWAYS, until=NEVER, names=("event fomc",)) -> Ahead:
    falls = np.array(on, "datetime64[D]")
    return Ahead(
        names,
        DAYS,
        np.zeros(len(on), int),
        falls,
        np.full(len(on), np.datetime64(since, "D")),
        np.full(len(on), np.datetime64(until, "D")),
    )


def shares(made: Ahead, day: str, horizon: int = 5):
    found = Inputs((), (made,)).falling(made.names, np.array([day], "datetime64[D]"), horizon)
    return found[0, 0].tolist()


def test_the_share_of_the_sessions_up_to_each_step():
    """Of a Monday, an event on Wednesday is one of the first two, three, four and five sessions."""
    assert shares(events("2024-01-10"), "2024-01-08") == [0.0, 1 / 2, 1 / 3, 1 / 4, 1 / 5]
    assert shares(events("2024-01-09", "2024-01-11"), "2024-01-08") == [1.0, 1 / 2, 2 / 3, 2 / 4, 2 / 5]


def test_an_event_that_has_been_is_no_longer_ahead():
    assert shares(events("2024-01-08"), "2024-01-08") == [0.0] * 5


def test_an_event_on_a_weekend_falls_on_the_next_session():
    assert shares(events("2024-01-13"), "2024-01-12") == [1.0, 1 / 2, 1 / 3, 1 / 4, 1 / 5]


def test_two_events_of_a_kind_on_one_session_are_one():
    assert shares(events("2024-01-09", "2024-01-09"), "2024-01-08")[0] == 1.0


def test_only_what_was_expected_at_the_cutoff_counts():
    """Listed on the 9th, given up on the 11th."""
    made = events("2024-01-12", since="2024-01-09", until="2024-01-11")
    assert [any(shares(made, f"2024-01-{day:02d}")) for day in (8, 9, 10, 11)] == [False, True, True, False]


def test_a_session_before_the_calendar_knows_of_nothing():
    assert shares(events("2024-01-02"), "2023-06-01") == [0.0] * 5
    assert events("2024-01-02").at(DAYS[:0], 5).shape == (0, 1, 5)


def test_own_and_shared_events_of_a_kind_both_count():
    both = Inputs((), (events("2024-01-09"), events("2024-01-11")))
    found = both.falling(("event fomc",), np.array(["2024-01-08"], "datetime64[D]"), 3)
    assert found[0, 0].tolist() == [1.0, 1 / 2, 2 / 3]


def test_of_parts_with_the_same_name_the_first_counts():
    own, shared = (
        AtClose(("covariate x/level",), DAYS, np.full((len(DAYS), 1), value)) for value in (1.0, 2.0)
    )
    assert (
        Inputs((own, shared)).known(("covariate x/level", "covariate y/level"), DAYS[:1]).tolist()[0][0]
        == 1.0
    )
    assert np.isnan(Inputs((own,)).known(("covariate y/level",), DAYS[:1])).all()


def test_ranges_and_the_year_of_a_covariate_are_tried_apart_from_its_level():
    own = (
        "covariate ^VIX/level",
        "covariate ^VIX/year",
        "covariate ^VIX/range_1_22",
        "covariate ^VIX/return",
    )
    names = (*own, "common_1_22")
    assert candidates(names) == {
        "covariate ^VIX": ("covariate ^VIX/level",),
        "covariate ^VIX, its range": ("covariate ^VIX/range_1_22", "covariate ^VIX/return"),
        "covariate ^VIX, its year": ("covariate ^VIX/year",),
    }


# --- dividends


def paid(day: str, *dividends: tuple[str, float], since=ALWAYS, until=NEVER) -> list[float]:
    on = np.array([each for each, _ in dividends], "datetime64[D]")
    spans = (np.full(len(on), np.datetime64(each, "D")) for each in (since, until))
    made = Dividends(DAYS, on, *spans, np.array([cash for _, cash in dividends]))
    return made.at(np.array([day], "datetime64[D]"), 4)[0].tolist()


def test_dividends_add_up_from_their_day_on():
    assert paid("2024-01-08", ("2024-01-09", 0.5), ("2024-01-11", 0.25)) == [0.5, 0.5, 0.75, 0.75]
    assert paid("2024-01-09", ("2024-01-09", 0.5)) == [0.0] * 4
    assert paid("2024-01-12", ("2024-01-13", 0.5)) == [0.5] * 4  # of a Saturday: the session after


def test_only_a_dividend_that_was_announced_at_the_cutoff_is_paid():
    """Announced on the 9th, given up on the 11th."""
    told = [
        paid(f"2024-01-{day:02d}", ("2024-01-12", 0.5), since="2024-01-09", until="2024-01-11")[3]
        for day in (8, 9, 10, 11)
    ]
    assert told == [0.0, 0.5, 0.5, 0.0]
    assert paid("2023-06-01", ("2024-01-02", 0.5)) == [0.0] * 4


# --- the exchange's calendar


def falls(calendar: str, kind: str, first: str, last: str) -> list[str]:
    known = calendar_events(
        TickerCalendar(calendar), dt.date.fromisoformat(first), dt.date.fromisoformat(last)
    )
    days = known.on[known.kind == KINDS.index(kind)]
    inside = (days >= np.datetime64(first)) & (days <= np.datetime64(last))
    return [str(day) for day in days[inside]]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # New York in the last quarter of 2024, from the exchange's own list of holidays and hours
        ("short_session", ["2024-11-29", "2024-12-24"]),
        ("before_holiday", ["2024-11-27", "2024-12-24", "2024-12-31"]),
        ("after_holiday", ["2024-11-29", "2024-12-26"]),
        ("month_end", ["2024-10-31", "2024-11-29", "2024-12-31"]),
        ("quarter_end", ["2024-12-31"]),
        ("third_friday", ["2024-10-18", "2024-11-15", "2024-12-20"]),
        ("index_review", ["2024-12-20"]),
    ],
)
def test_new_york_at_the_end_of_2024(kind, expected):
    assert falls("XNYS", kind, "2024-10-01", "2024-12-31") == expected


def test_a_good_friday_moves_the_third_friday_to_thursday():
    assert falls("XNYS", "third_friday", "2019-04-01", "2019-04-30") == ["2019-04-18"]


def test_a_storm_and_a_funeral_are_no_holidays():
    """Hurricane Sandy closed New York on 29 and 30 October 2012, a funeral on 5 December 2018."""
    assert falls("XNYS", "before_holiday", "2012-10-15", "2012-11-15") == []
    assert falls("XNYS", "before_holiday", "2018-12-01", "2018-12-10") == []


def test_lunar_holidays_are_known_ahead():
    """Hong Kong, Lunar New Year of 2024: closed on 12 and 13 February."""
    assert "2024-02-09" in falls("XHKG", "before_holiday", "2024-02-01", "2024-02-20")


def test_a_market_that_never_closes_has_no_holidays():
    assert falls("24/7", "before_holiday", "2023-01-01", "2024-01-01") == []


def test_the_calendar_reaches_beyond_the_longest_horizon():
    last = dt.date(2024, 6, 28)
    known = calendar_events(TickerCalendar("XNYS"), dt.date(2024, 1, 2), last)
    assert (known.days > np.datetime64(last)).sum() >= 20
