"""Holdings of a file: what is read, what is refused, and the same risk as in SQL and on the command line."""

import json
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from flows.cli import main
from forecast_lib.errors import UsageError
from forecast_lib.store.published import reader
from forecast_lib.store.published.holdings import portfolio_risk, read_holdings
from tests.store.nights import joint_night, store_and_publish


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("holdings")
    store_and_publish(workspace, 0, joint_night(0))
    return workspace


def written(folder: Path, text: str, name: str = "holdings.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_a_csv_is_read_whatever_its_capitals_and_order_and_the_rows_of_a_ticker_are_added_up(
    tmp_path: Path,
) -> None:
    path = written(tmp_path, "name,Shares, TICKER\nfirst,100,aaa\nsecond,-50.5,BBB\nthird,5,AAA\n")
    assert read_holdings(path) == {"AAA": 105.0, "BBB": -50.5}


def test_parquet_and_json_are_read_alike(tmp_path: Path) -> None:
    duckdb.sql(f"COPY (SELECT 'AAA' AS ticker, 3 AS shares) TO '{tmp_path / 'h.parquet'}'")
    written(tmp_path, json.dumps([{"ticker": "AAA", "shares": 3}]), "h.json")
    assert read_holdings(tmp_path / "h.parquet") == read_holdings(tmp_path / "h.json") == {"AAA": 3.0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ticker,shares\nAAA,many\n", "row 1: shares of AAA are 'many', not a number"),
        ("ticker,shares\nAAA,1\nBBB,inf\n", "row 2: shares of BBB are 'inf', not a number"),
        ("ticker,shares\nAAA,\n", "row 1: shares of AAA are"),
        ("ticker,shares\n../etc,1\n", "row 1: ticker '../etc' is not a ticker name"),
        ("ticker,shares\nAAA,1\n,2\n", "row 2: ticker '' is not a ticker name"),
        ("ticker,amount\nAAA,1\n", "has no column shares: expected ticker and shares, got ticker, amount"),
        ("ticker,shares\n", "has no rows"),
        ("", "has no column ticker|cannot be read"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_its_row(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        read_holdings(written(tmp_path, text))
    assert "\n" not in str(raised.value)


def test_a_file_of_another_kind_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected holdings in a file that ends in \.csv"):
        read_holdings(tmp_path / "holdings.xlsx")
    with pytest.raises(UsageError, match="is not a file"):
        read_holdings(tmp_path / "holdings.csv")


def test_the_risk_of_a_file_is_that_of_the_macro(published: Path) -> None:
    ours = portfolio_risk(published, {"AAA": 30.0, "BBB": -20.0}, 2).drop(columns="step")
    pd.testing.assert_frame_equal(
        ours, reader.query(published, "SELECT * FROM portfolio_risk(MAP {'AAA': 30, 'BBB': -20}, 2)")
    )


def test_ten_thousand_rows_get_an_answer(published: Path, tmp_path: Path) -> None:
    rows = "".join(f"{'AAA' if number % 2 else 'BBB'},{number % 7 - 3}\n" for number in range(10_000))
    holdings = read_holdings(written(tmp_path, "ticker,shares\n" + rows))
    assert np.isfinite(portfolio_risk(published, holdings, 1)["es01"].iloc[0])


def test_on_the_command_line(published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def risk(text: str, *more: str) -> tuple[int, str, str]:
        path = written(tmp_path, "ticker,shares\n" + text)
        code = main(["risk", "--workspace", str(published), "--holdings", str(path), *more])
        return (code, *capsys.readouterr())

    code, out, _ = risk("AAA,100\n", "--format", "json", "--step", "2")
    [row] = json.loads(out)
    assert (code, row["step"], row["value"]) == (0, 2, 10000.0)
    code, out, err = risk("AAA,100\nNO,1\n")
    assert (code, out) == (2, "")
    assert (
        err.strip()
        == "tickercast: there are no scenarios of NO at step 1: the tickers and steps there are: SELECT"
        " ticker, step FROM scenarios"
    )
    assert main(["risk", "--workspace", str(published)]) == 2
    assert "risk needs --holdings FILE" in capsys.readouterr().err
