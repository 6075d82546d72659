"""Made-up prices around a few New York sessions; what is expected is written beside each case."""

import datetime as dt
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_lib.domain import AsOf, Ticker
from forecast_lib.errors import UsageError
from forecast_lib.prices.checks import check, nothing_before
from forecast_lib.prices.rules import HARMLESS_RULES, severities_from
from forecast_lib.prices.source import ACTION_COLUMNS, Offered
from forecast_lib.prices.sources.files import FilesSource
from forecast_lib.sessions import TickerCalendar
from forecast_lib.store.parquet import ParquetFiles
from tests.prices.one_ticker import RAW_COLUMNS, One, before, offered, one

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the development price data are not on this machine"
)

NEW_YORK = TickerCalendar("XNYS")
LAST = dt.date(2024, 6, 28)
NOW = dt.datetime(2024, 6, 29, tzinfo=dt.UTC)
EVENING = AsOf(LAST, NOW, NOW)


def as_of(day: dt.date, *now: int) -> AsOf:
    instant = dt.datetime(*now, tzinfo=dt.UTC)
    return AsOf(day, instant, instant)


def prices(count: int = 300, last: dt.date = LAST, calendar: TickerCalendar = NEW_YORK) -> pd.DataFrame:
    """`count` good rows up to `last`: open 100, high 102, low 98, close 100 or 101 in turn, one share more
    each session from 1000.
    """
    sessions = calendar.sessions(last - dt.timedelta(days=2 * count + 30), last)[-count:]
    close = 100.0 + np.arange(len(sessions)) % 2
    figures = {"open": 100.0, "high": 102.0, "low": 98.0, "close": close, "adj_close": close}
    origins = [f"made up {number}" for number in range(len(sessions))]
    volume = 1000.0 + np.arange(len(sessions))
    return pd.DataFrame({"session": sessions, **figures, "volume": volume, "origin": origins})


def actions(*rows: tuple[str, str, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(ACTION_COLUMNS))
    return frame.astype({"session": "datetime64[us]", "kind": str, "value": float})


def fetched(frame: pd.DataFrame, *events: tuple[str, str, float], **fields: Any) -> Offered:
    return offered("ACME", frame, actions(*events), **fields)


def checked(
    frame: pd.DataFrame,
    *events: tuple[str, str, float],
    when: AsOf = EVENING,
    calendar: TickerCalendar = NEW_YORK,
    known: pd.DataFrame | None = None,
    known_actions: pd.DataFrame | None = None,
    released: pd.DataFrame | None = None,
    **more: Any,
) -> One:
    rules = {"severities": more.pop("severities")} if "severities" in more else {}
    return one(
        fetched(frame, *events, **more),
        calendar,
        when,
        before("ACME", known, known_actions, released),
        **rules,
    )


def refused_rules(result: One) -> list[str]:
    return list(result.quarantined["rule"])


def rule_of(result: One) -> str | None:
    return result.hold.rule if result.hold else None


# -- good rows


def test_good_rows_pass_all() -> None:
    result = checked(prices())
    assert result.hold is None
    assert result.quarantined.empty
    assert result.rows == len(result.good) == 300


def test_good_rows_come_oldest_first_and_the_fetch_is_not_changed() -> None:
    frame = prices().iloc[::-1].reset_index(drop=True)
    before = frame.copy(deep=True)
    assert checked(frame).good["session"].is_monotonic_increasing
    pd.testing.assert_frame_equal(frame, before)


def test_open_high_low_and_volume_may_be_missing() -> None:
    frame = prices()
    frame[["open", "high", "low", "adj_close", "volume"]] = np.nan
    result = checked(frame)
    assert result.hold is None
    assert result.quarantined.empty


def test_nothing_warns() -> None:
    frame = prices()
    frame.loc[5, "close"] = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checked(frame, ("2024-06-03", "split", 2.0))


# -- row rules


@pytest.mark.parametrize(
    ("values", "rule", "reason"),
    [
        ({"close": np.nan}, "close_missing", "no close"),
        ({"close": np.inf, "high": np.inf}, "not_finite", "an infinite close; an infinite high"),
        ({"low": -1.0, "close": -0.5, "open": -0.5}, "not_positive",
            "a close that is zero or negative; a open that is zero or negative;"
            " a low that is zero or negative"),
        ({"close": 1e308, "high": 1e308}, "too_large", "a close above 1e+12; a high above 1e+12"),
        ({"close": 663.59}, "close_contradicted",
        "close 663.59 contradicts low 98 to high 102 and the sessions beside it"),
        ({"session": pd.Timestamp("2024-06-22")}, "weekend_session", "a weekend, no session of XNYS"),
        ({"session": pd.Timestamp("2024-06-19")}, "unknown_session", "no session of XNYS"),
        (dict.fromkeys(["open", "high", "low", "close", "adj_close", "volume"], np.nan), "empty_row",
        "no figures"),
    ],
)  # fmt: skip
def test_a_bad_row_is_refused_alone_with_its_rule_and_every_reason(
    values: dict[str, object], rule: str, reason: str
) -> None:
    """Row 299 is the last one; 22 June 2024 was a Saturday, 19 June Juneteenth."""
    frame = prices()
    for column, value in values.items():
        frame.loc[299, column] = value
    result = checked(frame)
    row = result.quarantined.iloc[0]
    assert (row["rule"], row["reason"], row["origin"]) == (rule, reason, "made up 299")
    assert pd.isna(row["field"])
    assert len(result.quarantined) == 1
    assert len(result.good) == 299
    assert result.hold is None


@pytest.mark.parametrize(
    ("values", "rule", "fields"),
    [
        ({"volume": np.inf}, "not_finite", "volume"),
        ({"low": 0.0}, "not_positive", "low"),
        ({"open": 97.5}, "low_above_open", "open"),
        ({"open": 102.5}, "open_above_high", "open"),
        ({"close": 97.5}, "low_above_close", "open, high, low"),
        ({"close": 102.5}, "close_above_high", "open, high, low"),
        ({"low": 103.0, "open": np.nan}, "low_above_high", "open, high, low"),
        ({"volume": -1.0}, "negative_volume", "volume"),
        ({"high": 1020.0}, "far_from_close", "high"),
        ({"low": 9.8}, "far_from_close", "low"),
    ],
)
def test_a_refused_value_costs_that_value_and_the_row_stays_with_its_close(
    values: dict[str, float], rule: str, fields: str
) -> None:
    frame = prices()
    frame.loc[299, list(values)] = list(values.values())
    result = checked(frame)
    assert (refused_rules(result), result.quarantined["field"].tolist()) == ([rule], [fields])
    assert len(result.good) == 300
    row = result.good.iloc[-1]
    assert row[fields.split(", ")].isna().all()
    assert row["close"] == frame["close"][299]
    assert result.hold is None


def test_the_quarantine_has_the_row_as_it_came() -> None:
    frame = prices()
    frame.loc[299, ["close", "open"]] = [np.inf, np.nan]
    (text,) = checked(frame).quarantined["row"]
    assert json.loads(text) == {
        "session": "2024-06-28", "open": None, "high": 102.0, "low": 98.0, "close": "inf", "adj_close": 101.0,
        "volume": 1299.0,
    }  # fmt: skip


def test_single_precision_noise_is_no_breach() -> None:
    frame = prices()
    frame.loc[299, "close"] = 102.0 * (1 + 1e-7)
    assert checked(frame).quarantined.empty
    frame.loc[299, "close"] = 102.01
    assert refused_rules(checked(frame)) == ["close_above_high"]


def test_the_same_row_twice_is_kept_once() -> None:
    frame = prices()
    twice = pd.concat([frame, frame.tail(1).assign(origin="again")], ignore_index=True)
    result = checked(twice)
    assert len(result.good) == 300
    assert list(result.quarantined[["origin", "rule"]].iloc[0]) == ["again", "repeated_row"]


def test_different_rows_of_one_session_are_all_refused() -> None:
    frame = prices()
    twice = pd.concat([frame, frame.tail(1).assign(close=101.5)], ignore_index=True)
    result = checked(twice)
    assert refused_rules(result) == ["duplicate_session", "duplicate_session"]
    assert result.good["session"].iloc[-1] == pd.Timestamp("2024-06-27")


def test_rows_after_the_as_of_day_are_set_aside() -> None:
    result = checked(prices(), when=AsOf(dt.date(2024, 6, 26), NOW, NOW))
    assert refused_rules(result) == ["future_session", "future_session"]
    assert result.good["session"].iloc[-1] == pd.Timestamp("2024-06-26")
    assert result.hold is None


def test_todays_row_waits_for_the_close_and_half_an_hour() -> None:
    """New York closes at 16:00 Eastern, 20:00 UTC in June."""
    assert refused_rules(checked(prices(), when=as_of(LAST, 2024, 6, 28, 20, 29))) == ["unfinished_session"]
    assert refused_rules(checked(prices(), when=as_of(LAST, 2024, 6, 28, 20, 30))) == []


def test_many_early_rows_are_no_bad_data() -> None:
    result = checked(prices(), when=AsOf(dt.date(2024, 3, 28), NOW, NOW))
    assert set(refused_rules(result)) == {"future_session"}
    assert len(result.quarantined) > 60
    assert result.hold is None


def test_a_stand_in_calendar_refuses_no_session() -> None:
    """Doha trades Sunday to Thursday; Monday to Friday stands in for it."""
    sundays = prices()
    sundays["session"] = pd.date_range(end="2024-06-27", periods=300, unit="us")
    fallback = TickerCalendar("weekdays", recorded_fallback=True)
    result = checked(sundays, calendar=fallback)
    assert result.quarantined.empty
    assert result.hold is None


def test_what_the_source_could_not_read_joins_the_quarantine_and_counts() -> None:
    own = pd.DataFrame(
        {
            "session": pd.NaT,
            "row": "[]",
            "origin": [f"ACME.csv line {n}" for n in range(4)],
            "rule": "ragged_row",
            "reason": "2 cells",
        }
    )
    result = checked(prices(), refused=own)
    assert refused_rules(result) == ["ragged_row"] * 4
    assert result.quarantined["session"].isna().all()
    assert result.rows == 304
    assert rule_of(result) is None, "rows without a session say nothing about the newest ones"


def test_a_rule_that_holds_the_ticker_holds_it_for_rows_that_the_source_refused_too() -> None:
    own = pd.DataFrame(
        {
            "session": [pd.NaT],
            "row": "[]",
            "origin": "ACME.csv line 7",
            "rule": "ragged_row",
            "reason": "2 cells",
        }
    )
    assert rule_of(checked(prices(), refused=own)) is None
    held = checked(prices(), refused=own, severities=severities_from(["ragged_row=hold_ticker"]))
    assert rule_of(held) == "ragged_row"
    assert held.hold is not None
    assert "2 cells" in held.hold.reason


def test_nothing_but_refused_rows_holds_the_ticker_and_keeps_them() -> None:
    own = pd.DataFrame(
        {
            "session": [pd.NaT],
            "row": "[]",
            "origin": "ACME.csv line 2",
            "rule": "unreadable_number",
            "reason": "no number",
        }
    )
    result = checked(prices().iloc[:0], refused=own)
    assert (rule_of(result), refused_rules(result)) == ("no_rows", ["unreadable_number"])


# -- table rules


def test_an_empty_table_does_not_pass() -> None:
    result = checked(prices().iloc[:0])
    assert rule_of(result) == "no_rows"
    assert result.good.empty


def test_nothing_new_since_the_last_run_is_no_reason_to_hold() -> None:
    stored, today = prices().iloc[:-1], prices().tail(1)
    during = as_of(LAST, 2024, 6, 28, 15, 0)
    assert checked(today, when=during, known=stored).hold is None
    assert rule_of(checked(today, when=during)) == "no_rows"


def test_however_many_old_rows_are_bad_each_costs_itself_alone() -> None:
    """Every third of the older 250 rows."""
    frame = prices()
    frame.loc[range(0, 250, 3), "close"] = 0.0
    result = checked(frame)
    assert (rule_of(result), len(result.good)) == (None, 300 - 84)


@pytest.mark.parametrize(("bad", "rule"), [(10, None), (11, "too_many_refused")])
def test_more_than_half_of_the_last_twenty_rows_refused_is_a_bad_table(bad: int, rule: str | None) -> None:
    """What lies before the first of them is stored all the same."""
    frame = prices()
    frame.loc[300 - bad : 299, "close"] = 0.0
    result = checked(frame)
    assert rule_of(result) == rule
    assert len(result.good) == 300 - bad
    if result.hold:
        assert (
            result.hold.reason == "11 of the last 20 rows refused, most by not_positive; first on"
            f" {frame['session'][289].date()}"
        )


@pytest.mark.parametrize(("every", "rule"), [(1, None), (2, None), (5, "not_daily"), (21, "not_daily")])
def test_rows_of_weeks_and_months_are_no_daily_prices(every: int, rule: str | None) -> None:
    frame = prices(600)[::-1][::every][::-1].reset_index(drop=True)
    result = checked(frame)
    assert (rule_of(result), len(result.good)) == (rule, 0 if rule else len(frame))
    if result.hold:
        assert (
            result.hold.reason
            == f"its last {len(frame)} rows lie 5 days or more apart: expected one for each"
            " session, not each week or month"
        )


@pytest.mark.parametrize(("weeks", "rule"), [(19, None), (20, "not_daily")])
def test_what_was_daily_before_stays_when_weeks_follow(weeks: int, rule: str | None) -> None:
    frame = prices(300)
    daily, weekly = frame[: 300 - 5 * weeks], frame[300 - 5 * weeks :][4::5]
    result = checked(pd.concat([daily, weekly], ignore_index=True))
    assert (rule_of(result), len(result.good)) == (rule, len(daily) + (0 if rule else weeks))


def test_stored_rows_beside_the_offered_ones_tell_too() -> None:
    frame = prices(300)[4::5].reset_index(drop=True)
    assert rule_of(checked(frame[-5:], known=frame[:-5])) == "not_daily"


def test_bars_on_days_that_are_no_session_count_for_nothing() -> None:
    """Tokyo's files repeat the close on exchange holidays: as many as there are, they are set aside."""
    frame = prices()
    holidays = frame.tail(12).assign(
        session=pd.date_range("2024-07-06", periods=12, freq="W-SAT").astype("datetime64[us]")
    )
    result = checked(
        pd.concat([frame, holidays], ignore_index=True), when=as_of(dt.date(2024, 9, 30), 2024, 10, 1)
    )
    assert (rule_of(result), len(result.good), set(refused_rules(result))) == (None, 300, {"weekend_session"})


def test_a_hole_holds_nobody() -> None:
    frame = prices(600)
    for hole in (range(100, 300), range(560, 578), range(580, 600, 3)):
        assert rule_of(checked(frame.drop(index=hole).reset_index(drop=True))) is None


def test_old_data_are_not_a_gap() -> None:
    """A file that ended two years ago is behind, which the run says; it has no hole."""
    assert rule_of(checked(prices(last=dt.date(2022, 6, 30)))) is None


def stepped(at: int, factor: float, count: int = 600) -> pd.DataFrame:
    """Good rows whose prices are multiplied by `factor` from row `at` on."""
    frame = prices(count)
    figures = ["open", "high", "low", "close", "adj_close"]
    frame.loc[at:, figures] *= factor
    return frame


@pytest.mark.parametrize(
    ("at", "factor", "verdict"), [(580, 0.25, "split"), (400, 0.25, "split"), (595, 1.35, None)]
)
def test_an_odd_move_is_judged_by_the_evidence(at: int, factor: float, verdict: str | None) -> None:
    """The bars themselves step down to a quarter and have an ordinary day: nobody traded that way down. What
    is inferred is an action.
    """
    frame = stepped(at, factor)
    result = checked(frame)
    inferred = result.actions[result.actions["source"] == "inferred"]
    assert result.hold is None
    if verdict == "split":
        assert result.verdicts == ["split"]
        assert (inferred["session"].tolist(), inferred["value"].tolist()) == ([frame["session"][at]], [4.0])
    assert len(result.good) + len(result.quarantined) == 600


def test_the_split_that_the_source_lists_leaves_nothing_to_judge() -> None:
    frame = stepped(400, 0.25)
    result = checked(frame, (str(frame["session"][400].date()), "split", 4.0))
    assert (result.verdicts, result.quarantined.empty) == ([], True)


def test_coins_do_not_split() -> None:
    always = TickerCalendar("24/7")
    frame = prices(calendar=always)
    frame.loc[250:, ["open", "high", "low", "close", "adj_close"]] *= 0.5
    result = one(offered("ACME-USD", frame, actions()), always, EVENING)
    assert "split" not in result.verdicts


# -- rows beside their neighbours


FIGURES = ["open", "high", "low", "close", "adj_close"]


def changed(frame: pd.DataFrame, rows: slice | int, factor: float) -> pd.DataFrame:
    frame.loc[rows, FIGURES] *= factor
    return frame


def test_a_bar_that_repeats_the_one_before_is_refused() -> None:
    frame = prices()
    frame.loc[299, ["close", "volume"]] = frame.loc[298, ["close", "volume"]]
    result = checked(frame)
    assert refused_rules(result) == ["stale_bar"]
    assert result.good["session"].iloc[-1] == pd.Timestamp("2024-06-27")


def test_a_thin_share_without_a_range_may_stand_still() -> None:
    frame = prices()
    frame.loc[298:299, FIGURES] = 100.0
    frame.loc[298:299, "volume"] = 7.0
    assert checked(frame).quarantined.empty


def test_a_bad_print_waits_in_the_quarantine_and_the_ticker_goes_on() -> None:
    result = checked(changed(prices(), 290, 1.7))
    assert refused_rules(result) == ["bad_print"]
    assert (result.hold, len(result.good)) == (None, 299)


def test_a_block_in_pence_waits_as_a_whole() -> None:
    result = checked(changed(prices(1000), slice(500, 502), 100.0))  # three rows: the last is in
    assert refused_rules(result) == ["unit"] * 3
    assert (result.hold, len(result.good)) == (None, 997)


def test_zero_volume_and_frozen_closes_are_counted_and_kept() -> None:
    frame = prices()
    frame.loc[290, "volume"] = 0.0
    frame.loc[290:296, "close"] = 100.0
    result = checked(frame)
    assert result.quarantined.empty
    assert len(result.good) == 300
    found = result.findings.set_index("rule")
    # Rows 290 to 296 stand still: the fifth, sixth and seventh of them count.
    assert found.loc["frozen_price", ["severity", "rows"]].tolist() == ["warn", 3]
    assert found.loc["frozen_price", "session"] == frame["session"][294]
    assert found.loc["zero_volume", "rows"] == 1


def test_an_index_that_never_has_a_volume_breaks_no_rule() -> None:
    assert checked(prices().assign(volume=0.0)).findings.empty


def test_stray_weekends_are_refused_also_where_no_calendar_is_known() -> None:
    frame = prices()
    frame.loc[299, "session"] = pd.Timestamp("2024-06-29")
    result = checked(
        frame,
        calendar=TickerCalendar("weekdays", recorded_fallback=True),
        when=as_of(dt.date(2024, 6, 30), 2024, 7, 1),
    )
    assert refused_rules(result) == ["weekend_session"]


# -- severities


def test_every_breach_is_counted_with_what_was_done() -> None:
    frame = prices()
    frame.loc[299, "open"] = 97.0
    frame.loc[250, "close"] = 0.0
    found = checked(frame).findings
    assert found[["rule", "severity", "rows"]].to_numpy().tolist() == [
        ["not_positive", "null_field", 1],
        ["low_above_open", "null_field", 1],
    ]
    assert found["session"].tolist() == [frame["session"][250], frame["session"][299]]


def test_a_universe_may_refuse_the_row_for_its_open() -> None:
    frame = prices()
    frame.loc[299, "open"] = 97.0
    (reason,) = checked(frame).quarantined["reason"]
    assert reason == "low 98 is above open 97; only open was refused"
    result = checked(frame, severities=severities_from(["low_above_open=drop_row"]))
    assert (len(result.good), result.quarantined["field"].isna().all()) == (299, True)


def test_a_universe_may_hold_what_others_only_count() -> None:
    frame = prices()
    frame.loc[299, "volume"] = 0.0
    assert rule_of(checked(frame, severities=severities_from(["zero_volume=hold_ticker"]))) == "zero_volume"
    assert refused_rules(checked(frame, severities=severities_from(["zero_volume=drop_row"]))) == [
        "zero_volume"
    ]


def test_what_a_source_took_for_granted_is_counted_or_holds() -> None:
    """It is of the ticker as a whole, so it has no session."""
    told = {"assumption": "splits of 1.046 are too small"}
    result = checked(prices(), **told)
    assert result.hold is None
    assert len(result.good) == 300
    assert result.findings[["rule", "severity", "rows"]].to_numpy().tolist() == [
        ["assumed_split_basis", "warn", 1]
    ]
    assert result.findings["session"].isna().all()
    held = checked(prices(), severities=severities_from(["assumed_split_basis=hold_ticker"]), **told).hold
    assert held is not None
    assert (held.rule, held.reason) == ("assumed_split_basis", "splits of 1.046 are too small")


def test_what_would_look_into_the_future_or_cannot_be_stored_is_not_for_choice() -> None:
    for choice in ("future_session=warn", "unfinished_session=warn", "close_missing=warn", "not_finite=warn"):
        with pytest.raises(UsageError, match="cannot be"):
            severities_from([choice])
    with pytest.raises(UsageError, match="rule 'no_such' is not known"):
        severities_from(["no_such=warn"])


# -- released rows


def test_a_released_row_passes_every_rule_it_broke() -> None:
    frame = prices()
    frame.loc[299, ["open", "close"]] = [97.0, 500.0]
    refused = checked(frame).quarantined
    result = checked(frame, released=refused)
    assert result.quarantined.empty
    assert result.good["close"].iloc[-1] == 500.0


def test_another_row_of_a_released_session_is_refused_again() -> None:
    frame = prices()
    frame.loc[299, "close"] = 505.0
    refused = checked(frame).quarantined
    frame.loc[299, "close"] = 506.0
    assert refused_rules(checked(frame, released=refused)) == ["close_contradicted"]


# -- a fetch of a few sessions after what is stored


def test_a_short_fetch_is_judged_as_the_continuation_of_what_is_stored() -> None:
    stored, new = prices().iloc[:-5], prices().tail(5)
    assert checked(new, known=stored).quarantined.empty
    assert checked(new.assign(close=25.0, low=24.0, high=26.0, open=25.0), known=stored).verdicts != []


def test_a_changed_currency_holds() -> None:
    stored = prices().assign(currency="GBP")
    result = checked(prices().tail(5), currency="GBp", known=stored)
    assert rule_of(result) == "currency_changed"
    assert "came as GBp, stored rows have GBP" in str(result.hold)


@pytest.mark.parametrize(("new", "held"), [(9, True), (10, False)])
def test_a_changed_currency_is_believed_after_ten_sessions(new: int, held: bool) -> None:
    stored = prices().iloc[:-new].assign(currency="GBp")
    result = checked(prices().tail(new + 10), currency="GBP", known=stored)
    assert (rule_of(result) == "currency_changed") == held
    said = "the currency came as GBP, stored rows have GBp, for two weeks already"
    assert (said in result.checked.flags.get("ACME", ())) != held


# -- actions


def test_actions_that_are_not_known_yet_are_left_out() -> None:
    events = (("2024-06-27", "dividend", 0.5), ("2024-06-28", "dividend", 0.6), ("2024-07-15", "split", 2.0))
    assert list(checked(prices(), *events).actions["value"]) == [0.5, 0.6]
    assert list(checked(prices(), *events, when=as_of(LAST, 2024, 6, 28, 15, 0)).actions["value"]) == [0.5]


def test_unusable_actions_are_quarantined() -> None:
    result = checked(
        prices(),
        ("2024-06-03", "dividend", -1.0),
        ("2024-06-04", "split", 2.0),
        ("2024-06-04", "split", 3.0),
        ("2024-06-05", "dividend", 1.0),
    )
    assert list(result.actions["value"]) == [1.0]
    assert refused_rules(result) == ["bad_action"] * 3
    absurd = [
        ("2024-06-03", "split", 5e16),
        ("2024-06-04", "split", 1e-9),
        ("2024-06-05", "dividend", 1e13),
        ("2024-06-06", "split", np.inf),
    ]
    assert refused_rules(checked(prices(), *absurd)) == ["bad_action"] * 4
    assert result.quarantined["row"].map(json.loads).tolist()[0] == {
        "session": "2024-06-03",
        "kind": "dividend",
        "value": -1.0,
    }


@pytest.mark.parametrize("kind", ["dividend", "split"])
def test_of_two_values_for_one_session_neither_is_believed_and_of_the_same_one(kind: str) -> None:
    """A dividend and a split of one session are no rivals."""
    other = ("2024-06-04", "split" if kind == "dividend" else "dividend", 1.001)
    rivals = checked(prices(), ("2024-06-04", kind, 1.002), other, ("2024-06-04", kind, 1.003))
    assert refused_rules(rivals) == ["bad_action"] * 2
    assert rivals.quarantined["reason"].unique().tolist() == [
        "several of its kind on one session, with different values"
    ]
    assert rivals.actions["kind"].tolist() == [other[1]]
    same = checked(
        prices(), ("2024-06-05", kind, 1.002), ("2024-06-04", kind, 1.002), ("2024-06-05", kind, 1.002)
    )
    assert refused_rules(same) == []
    assert same.actions["session"].astype(str).tolist() == ["2024-06-04", "2024-06-05"]


# -- any frame

number = st.floats(allow_nan=True, allow_infinity=True, width=64)
day = st.dates(dt.date(1960, 1, 1), dt.date(2060, 1, 1))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(day, *[number] * 6), max_size=8),
    splits=st.lists(st.tuples(day, number), max_size=3),
)
def test_any_frame_is_sorted_into_good_and_refused_rows(
    rows: list[tuple[object, ...]], splits: list[tuple[dt.date, float]]
) -> None:
    """Every row ends on exactly one side, and a good one is fit to be stored."""
    frame = pd.DataFrame([(*row, "made up") for row in rows], columns=list(RAW_COLUMNS))
    types = {"session": "datetime64[us]", "origin": str, **dict.fromkeys(RAW_COLUMNS[1:-1], float)}
    result = checked(frame.astype(types), *[(str(when), "split", value) for when, value in splits])
    lost = result.quarantined[
        result.quarantined["field"].isna() & (result.quarantined["origin"] != "corporate action")
    ]
    assert len(result.good) + len(lost) == len(rows) or result.hold is not None
    assert (result.good["close"] > 0).all()
    assert np.isfinite(result.good["close"]).all()
    assert result.good["session"].is_unique
    assert (result.good["session"] <= pd.Timestamp(LAST)).all()


broken_values = st.sampled_from(
    [
        {"close": np.nan},
        {"open": 97.5},
        {"volume": -1.0},
        {"volume": 0.0},
        {"close": 300.0, "high": 300.0},
        {"close": 1e4, "high": 1e4},
    ]
)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    order=st.permutations(range(12)), broken=st.dictionaries(st.integers(0, 11), broken_values, max_size=3)
)
def test_the_order_of_the_rows_changes_nothing(order: list[int], broken: dict[int, dict[str, float]]) -> None:
    """The rules speak of sessions: rows that come oldest first and the same rows shuffled are good, refused
    and named alike.
    """
    frame = prices(12)
    for row, values in broken.items():
        frame.loc[row, list(values)] = list(values.values())
    ascending, shuffled = checked(frame), checked(frame.iloc[order].reset_index(drop=True))
    pd.testing.assert_frame_equal(shuffled.good, ascending.good)
    refused = [
        result.quarantined.sort_values(["session", "rule"], ignore_index=True)
        for result in (ascending, shuffled)
    ]
    pd.testing.assert_frame_equal(*refused)
    pd.testing.assert_frame_equal(shuffled.findings, ascending.findings)
    assert rule_of(shuffled) == rule_of(ascending)


# -- real prices


@needs_data
def test_real_prices_of_32_companies_pass_untouched() -> None:
    """132,545 rows up to 2021-12-30, checked by hand when they were collected (data README): fewer than one
    false refusal in 10,000, and nobody held. The 32 rows of 2021-12-31 are merely later than the as-of day.
    """
    source = FilesSource(DATA / "dev_prices.parquet", parquet=ParquetFiles())
    when = AsOf(dt.date(2021, 12, 30), NOW, NOW)
    answer = source.fetch(dict.fromkeys(source.default_tickers()), LAST)
    result = check(answer, nothing_before(answer.rows.tickers), when)
    rules = result.quarantined["rule"]
    assert result.holds == {}
    assert (rules == "future_session").sum() == 32
    assert (~rules.isin(HARMLESS_RULES)).sum() <= 13
    assert len(result.good) + (~rules.isin(HARMLESS_RULES)).sum() == 132_545


@needs_data
@pytest.mark.parametrize(
    ("name", "ticker", "refused"),
    [
        ("AAPL.csv", "AAPL", {}),  # -52 % on 2000-09-29 was real
        ("AAPL_daily_adjusted.csv", "AAPL", {}),
        ("TSLA.csv", "TSLA", {}),
        ("TSLA_history.csv", "TSLA", {}),
        ("Google_Stock_Price_Test.csv", "GOOG", {}),
        # 560 closes are unsplit, their highs are not.
        ("Google_Stock_Price_Train.csv", "GOOG", {"close_contradicted": 560}),
    ],
)
def test_of_the_classic_files_only_what_is_wrong_is_refused(
    name: str, ticker: str, refused: dict[str, int]
) -> None:
    source = FilesSource(DATA / "classics" / name, (Ticker(ticker),))
    last = dt.date(2026, 1, 2)
    now = dt.datetime(2026, 1, 3, tzinfo=dt.UTC)
    answer = source.fetch({Ticker(ticker): None}, last)
    result = check(answer, nothing_before((ticker,)), AsOf(last, now, now))
    assert result.holds == {}
    assert result.quarantined["rule"].value_counts().to_dict() == refused
    assert len(result.good) == len(answer.rows) - sum(refused.values())
