"""Holdings from a user's file, and what the published scenarios say of their risk."""

import contextlib
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from forecast_lib.domain import parse_ticker
from forecast_lib.errors import UsageError
from forecast_lib.store.disk.border import disk_errors, first_line
from forecast_lib.store.published.reader import open_published

__all__ = ["portfolio_risk", "read_holdings"]

_READERS = {
    ".csv": "read_csv($path, header = true, all_varchar = true, null_padding = false)",
    ".parquet": "read_parquet($path)",
    ".json": "read_json($path)",
}
_OFFLINE = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
_COLUMNS = ("ticker", "shares")


def read_holdings(path: Path) -> dict[str, float]:
    """Ticker to number of shares, below 0 where sold short; rows of the same ticker are added up.

    Args:
        path: a CSV (with a header), Parquet or JSON file with the columns `ticker` and `shares`, in any
            order, others beside them.

    Raises:
        UsageError: names the file, and the row where one is wrong.
    """
    if path.suffix.lower() not in _READERS:
        raise UsageError(f"{path}: expected holdings in a file that ends in {', '.join(_READERS)}")
    if not path.is_file():
        raise UsageError(f"{path} is not a file: expected holdings with the columns ticker and shares")
    rows = _rows(path)
    holdings: dict[str, float] = {}
    for number, (ticker, shares, said) in enumerate(rows, 1):
        where = f"{path} row {number}"
        try:
            name = parse_ticker("" if pd.isna(ticker) else str(ticker))
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error
        if shares is None:
            raise UsageError(f"{where}: shares of {name} are {ascii(said)[:40]}, not a number")
        holdings[name] = holdings.get(name, 0.0) + shares
    if not holdings:
        raise UsageError(f"{path} has no rows: expected one a ticker")
    return holdings


def _rows(path: Path) -> list[tuple[Any, float | None, object]]:
    """Ticker, number of shares (None: none that is finite) and what stands there, of each row."""
    source = _READERS[path.suffix.lower()]
    with disk_errors(path), contextlib.closing(duckdb.connect(config=dict(_OFFLINE))) as con:
        try:
            table = con.execute(f"SELECT * FROM {source}", {"path": str(path)}).df()
        except duckdb.Error as error:
            raise UsageError(f"{path} cannot be read: {first_line(error)}") from error
    names = {str(column).strip().lower(): column for column in table.columns}
    absent = [column for column in _COLUMNS if column not in names]
    if absent:
        raise UsageError(
            f"{path} has no column {absent[0]}: expected ticker and shares, got"
            f" {', '.join(map(str, table.columns))[:80]}"
        )
    told = table[names["shares"]]
    numbers = pd.to_numeric(told, errors="coerce").astype(float)
    finite = numbers.abs() < float("inf")
    return [
        (ticker, float(number) if good else None, said)
        for ticker, number, good, said in zip(table[names["ticker"]], numbers, finite, told, strict=True)
    ]


def portfolio_risk(where: Path, holdings: dict[str, float], step: int) -> pd.DataFrame:
    """The row of the published macro `portfolio_risk`, and its step.

    Args:
        where: a workspace, or a published file itself.

    Raises:
        UsageError: a ticker or step without scenarios, mixed currencies, or nothing published that has any.
    """
    sql = (
        "SELECT $step::BIGINT AS step, * FROM portfolio_risk(map($tickers::VARCHAR[], $shares::DOUBLE[]),"
        " $step::BIGINT)"
    )
    parameters = {"step": step, "tickers": list(holdings), "shares": list(holdings.values())}
    with open_published(where) as con:
        try:
            return con.execute(sql, parameters).df()
        except duckdb.InvalidInputException as error:
            raise UsageError(first_line(error).removeprefix("Invalid Input Error: ")) from error
        except duckdb.CatalogException as error:
            raise UsageError(
                "what is published has no scenarios yet: run `tickercast nightly` first"
            ) from error
