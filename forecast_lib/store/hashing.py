"""SHA-256 over what a table says, whatever the order of its rows and wherever it is stored.

Two workspaces that saw the same prices get the same hash: run names, revision numbers and times of learning are left out.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast_lib.windows.histories import Histories

__all__ = ["PRICE_CONTENT", "content_hash", "forecasts_hash", "histories_hash", "prices_hash"]

PRICE_CONTENT = ("ticker", "session", "open", "high", "low", "close", "volume", "currency")
"""What a price row says. `adj_close` is left out: the source rewrites it with every dividend, and nothing is forecast from it."""

_AT_ONCE = 50_000  # stays in the processor's cache


def prices_hash(prices: pd.DataFrame) -> str:
    """SHA-256 in hex over the prices that a run saw, from their PRICE_CONTENT columns."""
    return content_hash(prices[list(PRICE_CONTENT)], ["ticker", "session"])


def histories_hash(histories: Histories) -> str:
    """The same hash of the same prices, from columns.

    Args:
        histories: tickers in the order of their names.
    """
    digest, rows = hashlib.sha256(), len(histories)
    texts = {"ticker": _ranked(histories.tickers, histories.of), "currency": _ranked(histories.currencies, histories.currency)}
    for name in PRICE_CONTENT:
        digest.update(json.dumps([name, rows]).encode())
        if name in texts:
            words, ranks = texts[name]
            digest.update(json.dumps(words).encode())
        for start in range(0, rows, _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            if name in texts:
                codes = histories.of if name == "ticker" else histories.currency
                digest.update(ranks[codes[part]].tobytes())
            elif name == "session":
                digest.update(histories.sessions[part].astype("datetime64[us]").astype("<i8").tobytes())
            else:
                digest.update(_plain_numbers(histories.figures[name][part]).tobytes())
    return digest.hexdigest()


def _ranked(words: Sequence[str], codes: NDArray[Any]) -> tuple[list[str], NDArray[np.int64]]:
    """The words that occur, in order, and of each code its word's place among them; code -1 is the last, and stays -1."""
    found = np.bincount(codes[codes >= 0], minlength=len(words)) if len(words) else np.zeros(0)
    occur = sorted(word for word, count in zip(words, found, strict=True) if count)
    places = {word: place for place, word in enumerate(occur)}
    return occur, np.array([*(places.get(word, -1) for word in words), -1], dtype="<i8")


def forecasts_hash(forecasts: pd.DataFrame) -> str:
    """SHA-256 in hex over the forecasts of one run, every column but `run_id`."""
    return content_hash(forecasts.drop(columns="run_id"), ["ticker", "step"])


def content_hash(frame: pd.DataFrame, key: list[str]) -> str:
    """SHA-256 in hex over a frame's columns (name and values), rows in the order of `key`.

    Numbers count bit by bit, except that all NaN are alike and -0.0 is 0.0; a missing text is not the empty text; times count
    in microseconds.

    >>> a = pd.DataFrame({"ticker": ["B", "A"], "close": [2.0, 1.0]})
    >>> content_hash(a, ["ticker"]) == content_hash(a.iloc[::-1], ["ticker"])
    True
    """
    ordered = frame.sort_values(key, kind="stable")
    digest = hashlib.sha256()
    for name in frame.columns:
        digest.update(json.dumps([name, len(ordered)]).encode())
        _update(digest, ordered[name])
    return digest.hexdigest()


def _update(digest: "hashlib._Hash", column: pd.Series) -> None:
    if pd.api.types.is_datetime64_dtype(column.dtype):
        digest.update(column.astype("datetime64[us]").to_numpy().astype("<i8").tobytes())
    elif pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_numeric_dtype(column.dtype):
        digest.update(_number_bytes(column))
    else:
        codes, words = pd.factorize(column, sort=True)  # -1 where the text is missing
        digest.update(json.dumps([str(word) for word in words]).encode())
        digest.update(codes.astype("<i8").tobytes())


def _number_bytes(column: pd.Series) -> bytes:
    """Every number as float64, so that a column of counts is the same with and without missing values."""
    return _plain_numbers(column.to_numpy(dtype="<f8", na_value=np.nan)).tobytes()


def _plain_numbers(values: NDArray[np.float64]) -> NDArray[np.float64]:
    whole = values + 0.0  # -0.0 + 0.0 is 0.0
    whole[np.isnan(whole)] = np.nan
    return whole
