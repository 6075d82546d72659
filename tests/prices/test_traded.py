"""Whether a file's prices are as traded or divided by its splits, told by prices that were made the one way
or the other.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from forecast_lib.prices import traded as way
from forecast_lib.prices.traded import on_traded_basis
from forecast_lib.windows.histories import FIGURES, Histories
from tests.made_up import noisy
from tests.prices.one_ticker import split_adjusted

MADE = noisy(200)
"""A share that moves by 1 % a day, on weekdays."""

YAHOO, ALPHA_VANTAGE = "stocksplits", "splitcoefficient"
SPLIT, LATER = 100, 150
"""Places of two splits among the sessions."""


def adjusted(daily: float = 0.01) -> pd.DataFrame:
    """Prices that no split shows in: a split-adjusted file, whatever its splits."""
    made = noisy(len(MADE), daily=daily)
    return pd.DataFrame(
        {"session": made.sessions.astype("datetime64[us]"), "close": made.close, "volume": made.volume}
    )


def splits(*placed: tuple[int, float], kind: str = "split") -> pd.DataFrame:
    """Actions on the sessions at these places; -1 is the last row's, 200 and later ones follow the rows."""
    sessions = [
        np.busday_offset(MADE.sessions[0], place % 200 if place < 0 else place) for place, _ in placed
    ]
    values = [value for _, value in placed]
    return pd.DataFrame(
        {"session": np.array(sessions, "datetime64[us]"), "kind": kind, "value": values}
    ).astype({"kind": str})


def traded(prices: pd.DataFrame, actions: pd.DataFrame) -> pd.DataFrame:
    """The same share's prices as they were traded: `split_adjusted` of them gives `prices` again."""
    factors = [actions.loc[actions["session"] > session, "value"].prod() for session in prices["session"]]
    return prices.assign(close=prices["close"] * factors, volume=prices["volume"] / factors)


def share_basis(prices: pd.DataFrame, actions: pd.DataFrame) -> str:
    days, ratios = actions["session"].to_numpy("datetime64[D]"), actions["value"].to_numpy()
    return way.share_basis(
        prices["session"].to_numpy("datetime64[D]"), prices["close"].to_numpy(), days, ratios
    )


@dataclass(frozen=True)
class Told:
    """One ticker's rows and actions as traded, as frames, and what was assumed of it or found
    contradictory.
    """

    prices: pd.DataFrame
    actions: pd.DataFrame
    assumption: str | None
    torn: str | None


def told(prices: pd.DataFrame, actions: pd.DataFrame, column: str = YAHOO) -> Told:
    rows = Histories.from_frame(
        prices.assign(ticker="ACME", **dict.fromkeys(set(FIGURES) - set(prices), np.nan)), ["ACME"]
    )
    found = on_traded_basis(rows, actions.assign(ticker="ACME"), column)
    then = found.rows
    frame = pd.DataFrame(
        {
            "session": then.sessions.astype("datetime64[us]"),
            **{name: then.figures[name] for name in prices.columns[1:]},
        }
    )
    listed = found.actions.drop(columns="ticker").reset_index(drop=True)
    return Told(frame, listed, found.assumed.get("ACME"), found.torn.get("ACME"))


# --- what the prices show


@pytest.mark.parametrize("column", [YAHOO, ALPHA_VANTAGE])
@pytest.mark.parametrize("ratio", [1.25, 0.8, 4.0])
def test_a_split_that_stands_out_is_told_by_the_prices_whatever_the_column(ratio: float, column: str) -> None:
    """ln(5/4) is 0.22, 22 times a day's move of 1 %: well beyond the six from which a split stands out."""
    prices, split = adjusted(), splits((SPLIT, ratio))
    then = traded(prices, split)
    assert (share_basis(then, split), share_basis(prices, split)) == ("as_traded", "split_adjusted")
    for file in (then, prices):
        found = told(file, split, column)
        assert found.assumption is None
        np.testing.assert_allclose(found.prices[["close", "volume"]], then[["close", "volume"]], rtol=1e-12)
        np.testing.assert_allclose(
            split_adjusted(found.prices, found.actions)["close"], prices["close"], rtol=1e-12
        )


@pytest.mark.parametrize(
    ("ratio", "daily", "basis"),
    [
        (1.046, 0.01, "no_evidence"),  # ln 1.046 = 0.045, less than six times 0.01
        (1.046, 0.004, "split_adjusted"),  # more than six times 0.004
        (1.25, 0.05, "no_evidence"),  # ln 1.25 = 0.22, less than six times 0.05
        # From 3:2 on a split stands out from any share's day, as far as that is no wild one.
        (1.5, 0.08, "split_adjusted"),
    ],
)
def test_a_small_ratio_stands_out_as_far_as_the_share_is_calm(ratio: float, daily: float, basis: str) -> None:
    assert share_basis(adjusted(daily), splits((SPLIT, ratio))) == basis


def test_a_few_rows_do_not_say_how_far_the_share_moves() -> None:
    """Twenty moves are needed: with fewer 5:4 is too small, and 3:2 is still told."""
    rows, later = adjusted().iloc[SPLIT - 10 : SPLIT + 11], adjusted().iloc[SPLIT - 10 : SPLIT + 10]
    assert [share_basis(part, splits((SPLIT, 1.25))) for part in (rows, later)] == [
        "split_adjusted",
        "no_evidence",
    ]
    assert share_basis(later, splits((SPLIT, 1.5))) == "split_adjusted"


# --- what is taken for granted


@pytest.mark.parametrize(
    ("column", "factor", "usual"), [(YAHOO, 1.046, "split-adjusted"), (ALPHA_VANTAGE, 1.0, "as traded")]
)
def test_where_no_split_stands_out_the_columns_habit_decides_and_it_is_said(
    column: str, factor: float, usual: str
) -> None:
    prices, spin_off = adjusted(), splits((SPLIT, 1.046))
    found = told(prices, spin_off, column)
    expected = prices["close"] * np.where(prices.index < SPLIT, factor, 1.0)
    np.testing.assert_allclose(found.prices["close"], expected, rtol=1e-12)
    assert (
        found.assumption
        == f"splits of 1.046 are too small for the closes to tell: prices are taken to be {usual}, as in most"
        " files of the kind"
    )


@pytest.mark.parametrize("column", [YAHOO, ALPHA_VANTAGE])
def test_a_small_ratio_follows_a_split_that_is_told(column: str) -> None:
    prices, both = adjusted(), splits((SPLIT, 1.046), (LATER, 4.0))
    then = traded(prices, both)
    for file in (prices, then):
        found = told(file, both, column)
        assert found.assumption is None
        np.testing.assert_allclose(found.prices["close"], then["close"], rtol=1e-12)


def test_of_prices_that_contradict_their_splits_only_the_rows_since_the_last_split_are_sure() -> None:
    both = splits((SPLIT, 3.0), (LATER, 4.0))
    file = traded(adjusted(), both.iloc[:1])
    found = told(file, both)
    assert found.torn is not None
    assert "fit neither traded nor split-adjusted prices" in found.torn
    pd.testing.assert_frame_equal(
        found.prices, file[file["session"] >= both["session"].iloc[1]].reset_index(drop=True)
    )


# --- splits that say nothing


@pytest.mark.parametrize("column", [YAHOO, ALPHA_VANTAGE])
@pytest.mark.parametrize("ratios", [(4.0,), (1.046,)])
def test_a_split_after_the_last_price_leaves_the_prices_as_they_are(
    ratios: tuple[float, ...], column: str
) -> None:
    """Also where a row of its session is there already, without a close, and where no row has one."""
    prices, announced = adjusted(), splits(*((200, ratio) for ratio in ratios))
    no_close_yet = pd.concat(
        [prices, pd.DataFrame({"session": announced["session"], "close": np.nan, "volume": np.nan})]
    )
    for file in (prices, no_close_yet, prices.assign(close=np.nan)):
        found = told(file, announced, column)
        assert found.assumption is None
        pd.testing.assert_frame_equal(found.prices, file.reset_index(drop=True))
        pd.testing.assert_frame_equal(found.actions, announced)


@pytest.mark.parametrize("rivals", [(1.046, 1.011), (4.0, 2.0)])
def test_two_ratios_for_one_session_leave_the_prices_as_they_are(rivals: tuple[float, float]) -> None:
    prices, both = adjusted(), splits(*((SPLIT, ratio) for ratio in rivals))
    found = told(prices, both)
    assert found.assumption is None
    pd.testing.assert_frame_equal(found.prices, prices)
    pd.testing.assert_frame_equal(found.actions, both)


def test_splits_that_say_nothing_do_not_hide_one_that_does() -> None:
    """A 2:1 split that is told, beside two ratios for one session and an announced one: only the first is
    undone.
    """
    prices, all_of_them = adjusted(), splits((SPLIT, 2.0), (LATER, 4.0), (LATER, 3.0), (200, 5.0))
    found = told(prices, all_of_them)
    np.testing.assert_allclose(
        found.prices["close"], traded(prices, all_of_them.iloc[:1])["close"], rtol=1e-12
    )


def test_a_dividend_comes_on_the_basis_of_its_day_where_splits_are_undone() -> None:
    """By hand: 0.5 on today's share was 2 before the 4:1 split, and 0.5 on its session."""
    actions = pd.concat(
        [splits((SPLIT, 4.0)), splits((SPLIT - 1, 0.5), (SPLIT, 0.5), kind="dividend")], ignore_index=True
    )
    assert told(adjusted(), actions).actions["value"].tolist() == [4.0, 2.0, 0.5]
    as_traded = traded(adjusted(), actions[actions["kind"] == "split"])
    assert told(as_traded, actions).actions["value"].tolist() == [4.0, 0.5, 0.5]
