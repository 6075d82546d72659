"""Odd moves judged by what the rows say: made-up bars of which the story is known, and real ones."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast_lib.prices.evidence import Case, Verdict, judge_moves, sentence
from forecast_lib.prices.odd import market_moves, odd_rows
from forecast_lib.prices.seen import DECIDED_WITHIN, Bars
from tests.prices.bars import BEFORE, bars_of, quiet_bars, real_bars, shock, verdicts_on
from tests.whole_parquet import read_parquet

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def judged(bars: Bars, at: int = BEFORE, **arguments) -> Verdict | None:
    """The verdict on the move into that row."""
    found = verdicts_on(bars, **arguments)
    return next((each for each in found if each.session == bars.sessions[at]), None)


def scaled(bars: Bars, rows: slice, price: float, volume: float = 1.0) -> Bars:
    """Prices and volumes of some rows times a factor."""

    def times(values, factor):
        changed = values.copy()
        changed[rows] *= factor
        return changed

    prices = {
        name: times(getattr(bars, name), price) for name in ("open", "high", "low", "close", "adj_close")
    }
    return dataclasses.replace(bars, **prices, volume=times(bars.volume, volume))


def upto(bars: Bars, rows: int) -> Bars:
    return Bars(**{field.name: getattr(bars, field.name)[:rows] for field in dataclasses.fields(bars)})


@pytest.mark.parametrize("ratio", [2.0, 3.0, 4.0, 7.0, 10.0, 20.0, 0.1, 0.05])
def test_a_split_that_nobody_recorded_is_known_the_same_evening(ratio):
    bars = scaled(quiet_bars(), slice(0, BEFORE), ratio, 1 / ratio)
    tonight = judged(upto(bars, BEFORE + 1))
    assert (tonight.verdict, len(tonight.rows)) == ("split", 0)
    assert tonight.ratio == pytest.approx(ratio)


@pytest.mark.parametrize("move", [-0.69, -0.41, 0.69, 1.39])
def test_a_real_shock_is_traded_and_goes_on_the_same_evening(move):
    tonight = judged(upto(shock(quiet_bars(), move), BEFORE + 1))
    assert (tonight.verdict, tonight.ratio, len(tonight.rows)) == ("real", 1.0, 0)


@pytest.mark.parametrize("factor", [100.0, 0.01, 1000.0])
def test_rows_in_another_unit_wait_until_it_is_back(factor):
    bars = scaled(quiet_bars(), slice(BEFORE, BEFORE + DECIDED_WITHIN), factor)
    for rows in range(1, DECIDED_WITHIN + 1):
        tonight = judged(upto(bars, BEFORE + rows))
        assert (tonight.verdict, tonight.ratio) == ("unit", 1.0)
        assert tonight.rows.tolist() == bars.sessions[BEFORE : BEFORE + rows].tolist()
    (only,) = verdicts_on(bars)
    assert only.rows.tolist() == bars.sessions[BEFORE : BEFORE + DECIDED_WITHIN].tolist()


@pytest.mark.parametrize(("factor", "ratio"), [(100.0, 0.01), (0.01, 100.0), (1000.0, 0.001)])
def test_a_unit_that_three_more_sessions_keep_is_the_unit_and_the_way_back_is_believed_at_once(factor, ratio):
    """Prices before it are divided by `ratio`."""
    back = BEFORE + 8
    bars = scaled(quiet_bars(after=20), slice(BEFORE, back), factor)
    for rows in (BEFORE + 1 + DECIDED_WITHIN, back):
        stays = judged(upto(bars, rows))
        assert (stays.verdict, len(stays.rows), stays.ratio) == ("unit", 0, ratio)
    for rows in (back + 1, len(bars)):
        there, again = verdicts_on(upto(bars, rows))
        assert (there.ratio, again.verdict, len(again.rows)) == (ratio, "unit", 0)
        assert (again.session, again.ratio) == (bars.sessions[back], pytest.approx(1 / ratio))


def test_a_move_over_missing_sessions_is_measured_by_as_many_of_them():
    """Seven usual days are odd in one session, and are not in four: the square root of four is two."""
    moved = scaled(quiet_bars(), slice(BEFORE + 3, None), 1.07)
    missing = np.delete(np.arange(len(moved)), [BEFORE, BEFORE + 1, BEFORE + 2])
    holed = Bars(**{name: values[missing] for name, values in vars(moved).items()})
    assert judged(upto(moved, BEFORE + 4), BEFORE + 3) is not None
    assert verdicts_on(holed) == ()


def test_a_bad_print_waits_and_is_called_one_when_the_next_close_takes_it_back():
    bars = scaled(quiet_bars(), slice(BEFORE, BEFORE + 1), 1.3)
    tonight, next_evening = judged(upto(bars, BEFORE + 1)), judged(upto(bars, BEFORE + 2))
    assert tonight.verdict in ("undecided", "bad_print")
    assert tonight.rows.tolist() == [bars.sessions[BEFORE]]
    assert (next_evening.verdict, next_evening.rows.tolist()) == ("bad_print", [bars.sessions[BEFORE]])


@pytest.mark.parametrize("factor", [0.75, 1.3])
def test_a_wrong_close_is_known_the_same_evening_by_being_the_highest_or_lowest_price_of_its_day(factor):
    bars = quiet_bars()
    bars.close[BEFORE] = bars.adj_close[BEFORE] = bars.close[BEFORE] * factor
    bars.high[BEFORE], bars.low[BEFORE] = (
        max(bars.high[BEFORE], bars.close[BEFORE]),
        min(bars.low[BEFORE], bars.close[BEFORE]),
    )
    tonight = judged(upto(bars, BEFORE + 1))
    assert (tonight.verdict, tonight.rows.tolist()) == ("bad_print", [bars.sessions[BEFORE]])


@pytest.mark.parametrize(("opens_back", "verdict"), [(True, "bad_print"), (False, "real")])
def test_news_that_is_traded_back_was_real_and_a_price_that_is_gone_by_the_next_open_was_none(
    opens_back, verdict
):
    """By hand: +25 % in a busy day. The next day opens where the day before closed, or at the new level and
    falls all the way back.
    """
    bars = scaled(quiet_bars(), slice(BEFORE, BEFORE + 1), 1.25)
    bars.volume[BEFORE], bars.low[BEFORE] = 3 * bars.volume[BEFORE], bars.low[BEFORE] / 1.03
    if not opens_back:
        bars.open[BEFORE + 1] = bars.high[BEFORE + 1] = bars.close[BEFORE]
    assert judged(upto(bars, BEFORE + 1 + DECIDED_WITHIN)).verdict == verdict


def test_a_row_that_waited_goes_on_when_the_move_turns_out_real():
    """By hand: 26 % down overnight, near 4:3, in a day of twice the usual range and volume; then wide, busy
    days that fall further.
    """
    bars = scaled(quiet_bars(), slice(BEFORE, None), 0.74)
    for rows, wider, more in ((slice(BEFORE, BEFORE + 1), 1.01, 2.0), (slice(BEFORE + 1, None), 1.04, 4.0)):
        bars.high[rows], bars.low[rows], bars.volume[rows] = (
            bars.high[rows] * wider,
            bars.low[rows] / wider,
            bars.volume[rows] * more,
        )
    bars = scaled(bars, slice(BEFORE + 1, None), 0.93)
    assert len(judged(upto(bars, BEFORE + 1)).rows) == 1
    decided = judged(upto(bars, BEFORE + 1 + DECIDED_WITHIN))
    assert (decided.verdict, len(decided.rows)) == ("real", 0)


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_undecided_after_three_sessions(seed):
    rng = np.random.default_rng(seed)
    at = int(rng.integers(BEFORE, BEFORE + 5))
    bars = scaled(
        quiet_bars(seed=seed), slice(at, at + int(rng.integers(1, 8))), float(np.exp(rng.normal(0, 0.8)))
    )
    for rows in range(at + 1, len(bars) + 1):
        found = verdicts_on(upto(bars, rows))
        # Five sessions.
        late = [each for each in found if bars.sessions[rows - 1] >= each.session + np.timedelta64(7, "D")]
        assert "undecided" not in [each.verdict for each in late]
        assert {each.verdict for each in found} <= {"real", "split", "unit", "bad_print", "undecided"}


@pytest.mark.parametrize("factor", [0.55, 0.45, 1.8, 2.25])
@pytest.mark.parametrize("seed", range(3))
def test_a_step_that_stays_is_real_after_three_sessions_though_nobody_saw_it_traded(factor, seed):
    """No ratio of a split is near: an ordinary day and the usual volume at another level, as after a payout.
    Until then it waits.
    """
    bars = scaled(quiet_bars(day=0.01, seed=seed), slice(BEFORE, None), factor)
    for rows in range(1, 1 + DECIDED_WITHIN):
        assert len(judged(upto(bars, BEFORE + rows)).rows) == rows
    for rows in range(1 + DECIDED_WITHIN, 16):
        (only,) = verdicts_on(upto(bars, BEFORE + rows))
        assert (only.session, only.verdict, only.ratio, len(only.rows)) == (
            bars.sessions[BEFORE],
            "real",
            1.0,
            0,
        )


@pytest.mark.parametrize(("factor", "ratio"), [(0.5, 2.0), (0.8, 1.25), (1.5, 2 / 3)])
def test_a_step_that_stays_and_fits_a_split_is_one(factor, ratio):
    """Though the volume is not told of it."""
    bars = scaled(quiet_bars(), slice(BEFORE, None), factor)
    decided = judged(upto(bars, BEFORE + 1 + DECIDED_WITHIN))
    assert (decided.verdict, decided.ratio) == ("split", pytest.approx(ratio))


@pytest.mark.parametrize("sessions", [1, 2, 3])
def test_a_step_that_is_taken_back_within_three_sessions_was_a_bad_print(sessions):
    bars = scaled(quiet_bars(day=0.01), slice(BEFORE, BEFORE + sessions), 0.55)
    (only,) = verdicts_on(bars)
    assert (only.verdict, only.rows.tolist()) == (
        "bad_print",
        bars.sessions[BEFORE : BEFORE + sessions].tolist(),
    )


def test_an_older_verdict_does_not_change_with_the_sessions_that_follow():
    bars = scaled(shock(quiet_bars(after=40), -0.5), slice(BEFORE + 10, BEFORE + 11), 1.4)
    early, late = (verdicts_on(upto(bars, rows)) for rows in (BEFORE + 20, len(bars)))
    assert [(each.session, each.verdict) for each in early] == [(each.session, each.verdict) for each in late]
    assert [each.verdict for each in late] == ["real", "bad_print"]


@pytest.mark.parametrize(("opens_at", "verdict"), [(0.5, "split"), (0.45, "real")])
def test_what_the_share_opened_at_tells_a_split_from_a_fall_overnight(opens_at, verdict):
    """The same close, near half, after a day of four times the usual range and shares: of one that opened at
    half to the cent, and of one that opened at 45 % of the last close, far from any usual ratio.
    """
    bars = quiet_bars()
    before, (opened, top, low, close) = bars.close[BEFORE - 1], np.array([1.0, 1.04, 0.96, 0.98]) * opens_at
    for name, value in zip(
        ("open", "high", "low", "close"), np.array([opened, top, low, close]) * before, strict=True
    ):
        getattr(bars, name)[BEFORE] = value
    bars.volume[BEFORE] = 4 * np.median(bars.volume[:BEFORE])
    following = scaled(bars, slice(BEFORE + 1, None), bars.close[BEFORE] / bars.close[BEFORE + 1] * 1.001)
    alone = dataclasses.replace(following, adj_close=np.full(len(bars), np.nan))
    assert judged(upto(alone, BEFORE + 1 + DECIDED_WITHIN)).verdict == verdict


def test_what_cannot_split_never_does():
    bars = scaled(quiet_bars(), slice(0, BEFORE), 2.0, 0.5)
    assert "split" not in {judged(upto(bars, BEFORE + rows), can_split=False).verdict for rows in (1, 2, 4)}


@pytest.mark.parametrize("days", [-6, -3, 0, 4, 8])
def test_a_split_that_was_announced_for_about_then_is_one_even_if_its_day_is_wild(days):
    """A day of many times the usual range and volume: alone it would be undecided, or a real move."""
    bars = scaled(shock(quiet_bars(), -0.04), slice(0, BEFORE), 2.0, 0.5)
    wild = scaled(bars, slice(BEFORE, BEFORE + 1), 1.0, 8.0)
    wild.high[BEFORE] *= 1.3
    announced = {bars.sessions[BEFORE] + np.timedelta64(days, "D"): 2.0}
    verdict = judged(upto(wild, BEFORE + 1), announced=announced)
    if abs(days) <= 5:
        assert (verdict.verdict, verdict.ratio, len(verdict.rows)) == ("split", 2.0, 0)
        assert sentence(verdict).endswith(
            "taken as a split of 2:1 that the source does not list yet, as it was announced"
        )
    else:
        assert verdict.verdict != "split"


def test_an_announced_split_is_not_made_of_another_move_nor_of_none():
    announced = {quiet_bars().sessions[BEFORE]: 4.0}
    assert judged(upto(quiet_bars(), BEFORE + 1), announced=announced) is None
    halved = scaled(quiet_bars(), slice(0, BEFORE), 2.0, 0.5)
    assert judged(upto(halved, BEFORE + 1), announced=announced).ratio == 2.0
    crash = shock(quiet_bars(), np.log(0.7))
    assert judged(upto(crash, BEFORE + 1), announced=announced).verdict != "split"


def test_a_person_has_the_last_word():
    bars = scaled(quiet_bars(), slice(0, BEFORE), 2.0, 0.5)
    verdict = judged(bars, overruled={bars.sessions[BEFORE]: "real"})
    assert (verdict.verdict, verdict.ratio, verdict.evidence["by"]) == ("real", 1.0, "person")


def test_closes_alone_are_judged_too():
    bars = scaled(quiet_bars(), slice(0, BEFORE), 2.0)
    nothing = np.full(len(bars), np.nan)
    alone = dataclasses.replace(
        bars, open=nothing, high=nothing, low=nothing, adj_close=nothing, volume=nothing
    )
    assert judged(alone).verdict == "split"


def test_the_close_that_a_file_has_adjusted_itself_tells_of_a_split():
    """5:4 in a lively share: 22 % in one that moves by 3 % a day says little, the adjusted close that went on
    says it.
    """
    bars = scaled(quiet_bars(day=0.03), slice(0, BEFORE), 1.25, 0.8)
    adjusted = dataclasses.replace(bars, adj_close=quiet_bars(day=0.03).close)
    blind, told = (judged(upto(each, BEFORE + 1)).evidence["chance_real"] for each in (bars, adjusted))
    assert told < blind / 50


def test_a_crash_of_all_makes_a_large_move_ordinary():
    move = np.zeros(len(quiet_bars()))
    move[BEFORE] = -0.12
    bars = scaled(quiet_bars(), slice(BEFORE, None), 0.88)
    assert judged(upto(bars, BEFORE + 1)) is not None
    assert judged(upto(bars, BEFORE + 1), market_move=move[: BEFORE + 1]) is None


def test_the_market_is_what_the_other_tickers_of_the_exchange_did():
    """By hand: seven tickers move by 1 to 7 %, one by -70 %, which counts as -15 %; three of another exchange
    are too few.
    """
    moves = [*np.arange(1, 8) / 100, -0.7]
    closes = [np.array([100.0, 100.0 * np.exp(move)]) for move in (*moves, 0.1, 0.1, 0.1)]
    of, sessions = (
        np.repeat(np.arange(11), 2),
        np.tile(np.array(["2024-01-02", "2024-01-03"], dtype="M8[D]"), 11),
    )
    market = market_moves((of >= 8).astype(int), of, sessions, np.concatenate(closes))
    assert market[1] == pytest.approx((0.27 - 0.15) / 7)  # 2 + .. + 7 = 27 %
    assert market[15] == pytest.approx(0.04)  # 1 + .. + 7 = 28 %
    assert np.isnan([market[0], *market[16:]]).all()


def test_only_rows_of_the_same_ticker_are_compared():
    calm, dear = quiet_bars(), scaled(quiet_bars(seed=1), slice(None), 50.0)
    of = np.repeat([0, 1], [len(calm), len(dear)])
    assert not odd_rows(of, np.append(calm.close, dear.close)).any()


def test_odd_rows_are_those_that_the_judge_looks_at():
    bars = scaled(shock(quiet_bars(), -0.5), slice(BEFORE + 8, BEFORE + 9), 1.4)
    odd = bars.sessions[odd_rows(np.zeros(len(bars), dtype=int), bars.close)]
    assert set(odd) >= {each.session for each in verdicts_on(bars)}
    assert not len(verdicts_on(quiet_bars()))


def test_tickers_that_are_judged_together_are_judged_as_if_alone():
    """To the last bit: short pasts and missing figures, splits, units and shocks beside one another."""
    split = scaled(shock(quiet_bars(seed=3), 0.4, BEFORE + 9), slice(0, BEFORE), 4.0, 0.25)
    nothing = np.full(len(split), np.nan)
    cases = [
        Case(upto(quiet_bars(), 0), can_split=True),
        Case(split, can_split=True, market_move=np.linspace(-0.02, 0.02, len(split))),
        Case(split, can_split=False, overruled={split.sessions[BEFORE]: "real"}),
        Case(upto(scaled(quiet_bars(seed=1), slice(3, 4), 1.5), 5), can_split=True),
        Case(dataclasses.replace(split, open=nothing, volume=nothing), can_split=True),
        Case(scaled(quiet_bars(day=0.03), slice(BEFORE, BEFORE + 2), 0.01), can_split=True),
        Case(quiet_bars(), can_split=True),
    ]
    together, alone = judge_moves(cases), [judge_moves([case])[0] for case in cases]
    assert [*map(repr, together)] == [*map(repr, alone)]
    assert [len(found) for found in together] == [0, 2, 2, 1, 2, 1, 0]


def test_a_move_soon_after_a_split_is_seen_as_if_the_split_had_been_recorded():
    recorded = shock(quiet_bars(day=0.02), 0.3, BEFORE + 12)
    split, after = verdicts_on(scaled(recorded, slice(0, BEFORE), 3.0, 1 / 3))
    (same,) = verdicts_on(recorded)
    assert (split.verdict, after.verdict, after.session) == ("split", "real", same.session)
    assert after.evidence["volume_times"] == same.evidence["volume_times"] > 5


def test_the_verdict_is_a_sentence():
    bars = scaled(quiet_bars(), slice(0, BEFORE), 4.0, 0.25)
    words = sentence(judged(upto(bars, BEFORE + 1)))
    assert words.startswith("close moved by -7")
    assert words.endswith("taken as a split of 4:1 that the source does not list")


def test_few_rows_and_none():
    bars = quiet_bars()
    for rows in range(4):
        assert verdicts_on(upto(bars, rows)) == ()
    five = scaled(upto(bars, 5), slice(0, 4), 100.0)
    assert judged(five, 4).verdict in ("unit", "undecided", "split")


# --- real prices


REAL = [  # (file, ticker, day, what happened): moves of the kind that a limit takes for a flaw
    ("dev", "UNH", "2008-10-13", "the market's best day in decades"),
    ("dev", "BA", "2020-03-16", "the pandemic"),
    ("wild", "AMC", "2021-01-27", "+301 %, the retail rally"),
    ("wild", "AMC", "2021-01-28", "-57 %"),
    ("wild", "AMC", "2017-08-02", "-27 % overnight on its results, a narrow day"),
    ("wild", "PLUG", "2013-02-14", "-52 %"),
    ("wild", "PLUG", "2017-04-05", "+73 % overnight"),
    ("wild", "SPCE", "2021-06-25", "+39 %"),
    ("wild", "AAME", "2021-02-05", "+118 %"),
    ("wild", "AAME", "2020-06-17", "+53 %, taken back the next day"),
    ("wild", "ADA-USD", "2017-11-28", "+137 %, a coin"),
]


@pytest.mark.parametrize(("name", "ticker", "day", "story"), REAL)
def test_real_moves_are_real(name, ticker, day, story):
    bars = real_bars(name, ticker)
    at = int(np.searchsorted(bars.sessions, np.datetime64(day)))
    last = judged(upto(bars, at + 1 + DECIDED_WITHIN), at, can_split=not ticker.endswith("-USD"))
    tonight = judged(upto(bars, at + 1), at, can_split=not ticker.endswith("-USD"))
    assert {each.verdict for each in (last, tonight) if each is not None} <= {"real"}, story


def test_apple_halved_in_a_day_without_a_split():
    """2000-09-29, -52 %: ten times the usual volume, half of the move before the open."""
    path = DATA / "classics" / "AAPL.csv"
    if not path.exists():
        pytest.skip("real prices are not here")
    rows = pd.read_csv(path, parse_dates=["Date"]).rename(columns=lambda name: name.lower().replace(" ", "_"))
    bars = bars_of(rows.rename(columns={"date": "session"}))
    at = int(np.searchsorted(bars.sessions, np.datetime64("2000-09-29")))
    assert judged(upto(bars, at + 1), at).verdict == "real"


def test_the_splits_of_apples_traded_prices_are_found():
    """A file of traded prices with its actions left out; the ratios stand in the file itself. On the day of
    the split of 2000 the share opened at half to a quarter of a percent, then rose by a tenth in a wide day:
    it waits an evening, and is recognised.
    """
    path = DATA / "classics" / "AAPL_daily_adjusted.csv"
    if not path.exists():
        pytest.skip("real prices are not here")
    rows = pd.read_csv(path, parse_dates=["timestamp"]).sort_values("timestamp", ignore_index=True)
    bars = bars_of(rows.rename(columns={"timestamp": "session"}).assign(adj_close=np.nan))
    found = [
        (str(each.session)[:10], round(each.ratio)) for each in verdicts_on(bars) if each.verdict == "split"
    ]
    assert found == [("2000-06-21", 2), ("2005-02-28", 2), ("2014-06-09", 7), ("2020-08-31", 4)]
    at = int(np.searchsorted(bars.sessions, np.datetime64("2000-06-21")))
    assert [judged(upto(bars, at + rows), at).verdict for rows in (1, 2)] == ["undecided", "split"]


def test_the_google_training_files_closes_halve_by_a_split():
    """Its closes up to 2014-03-26 are unsplit; open, high and low are not to be trusted beside them."""
    path = DATA / "classics" / "Google_Stock_Price_Train.csv"
    if not path.exists():
        pytest.skip("real prices are not here")
    rows = (
        pd.read_csv(path, thousands=",", parse_dates=["Date"])
        .rename(columns=str.lower)
        .rename(columns={"date": "session"})
    )
    alone = rows.assign(
        open=np.nan, high=np.nan, low=np.nan, adj_close=np.nan, close=rows["close"].astype(float)
    )
    (halved,) = [each for each in verdicts_on(bars_of(alone)) if each.verdict != "real"]
    assert (str(halved.session)[:10], halved.verdict, halved.ratio) == (
        "2014-03-27",
        "split",
        pytest.approx(2.0),
    )


@pytest.mark.parametrize("ticker", ["AAPL", "V", "NKE", "UNH", "CRM", "KO", "CAT"])
def test_recorded_splits_are_found_when_the_record_is_lost(ticker):
    bars = real_bars("dev", ticker)
    actions = read_parquet(DATA / "dev_actions.parquet", ("ticker", "date", "splitratio"))
    splits = actions[(actions["ticker"] == ticker) & (actions["split_ratio"] >= 1.9)]
    for day, ratio in zip(splits["date"], splits["split_ratio"], strict=True):
        at = int(np.searchsorted(bars.sessions, np.datetime64(day)))
        if at < 60:
            continue
        traded = scaled(bars, slice(0, at), ratio, 1 / ratio)
        found = [judged(upto(traded, at + rows), at) for rows in (1, 1 + DECIDED_WITHIN)]
        assert "real" not in [each.verdict for each in found]
        assert (found[-1].verdict, found[-1].ratio) == ("split", pytest.approx(ratio))
