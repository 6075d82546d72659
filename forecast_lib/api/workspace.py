"""What the nights of a workspace have published, as frames and pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from forecast_lib.api.frames import Kind, as_kind, reading_as
from forecast_lib.api.long import OURS, long_columns, models_in
from forecast_lib.api.pictures import SHOWN, draw
from forecast_lib.domain import parse_tickers
from forecast_lib.errors import UsageError
from forecast_lib.store.published import reader

__all__ = ["Workspace"]

_SERIES = """(
    SELECT p.ticker, p.session, a.split_adjusted_close AS y,
        p.open / (a.split_factor * a.unit_factor) AS open, p.high / (a.split_factor * a.unit_factor) AS high,
        p.low / (a.split_factor * a.unit_factor) AS low, p.volume * a.split_factor AS volume
    FROM adjusted_prices_as_of({instant}) AS a JOIN prices_as_of({instant}) AS p USING (ticker, session)
)"""
_HISTORY = "(SELECT * FROM forecast_history WHERE NOT superseded)"


class Workspace:
    """The published tables of a workspace. Each call sees the newest publication.

    Args:
        where: a workspace's folder, or a published file or snapshot itself.
        frames: what the tables come as: pandas, or polars or Arrow, which the extras of these names bring.

    Raises:
        UsageError: nothing is published there, or the extra is not installed.
    """

    def __init__(self, where: str | Path = "workspace", frames: Kind = "pandas") -> None:
        self.where = Path(where).expanduser()
        self._kind: Kind = frames
        self._reading = reading_as(frames)
        with reader.open_published(self.where):
            pass

    def __repr__(self) -> str:
        return f"Workspace({str(self.where)!r}, {self._kind!r})"

    def sql(self, query: str) -> Any:
        """The answer to one SELECT on the published tables; `tickercast tables` lists them."""
        with reader.answered(self.where, query) as answer:
            return self._reading(answer)

    def forecasts(self, *tickers: str) -> Any:
        """`latest_forecasts`: one row a ticker and step, of all tickers where none is named."""
        return self.sql(_select("latest_forecasts", tickers, "ticker, step"))

    def history(self, *tickers: str) -> Any:
        """`forecast_history`: every forecast that counts, its evening, and, once it is known, what came."""
        return self.sql(_select(_HISTORY, tickers, "ticker, step, target_session"))

    def prices(self, *tickers: str, known_at: str | None = None) -> Any:
        """Prices, the newest revision, or as they were known at an instant: UTC where it has no offset, and a
        date alone is its last moment, as of `--known-at`.
        """
        return self.sql(_select(f"prices_as_of({_instant(known_at)})", tickers, "ticker, session"))

    def backtests(self, *tickers: str) -> Any:
        """`latest_backtest_scores`: of the newest backtest, by ticker (`*`: all together), model and step."""
        return self.sql(_select("latest_backtest_scores", tickers, "ticker, model, step"))

    def series(self, *tickers: str, known_at: str | None = None) -> Any:
        """Prices in the long layout, adjusted for splits; `y` is the close, the rest of the bar is beside it.

        Args:
            known_at: as for `prices`; splits are undone as they were known then.
        """
        own = _select(_SERIES.format(instant=_instant(known_at)), tickers, "ticker, session")
        return self.sql(
            f"SELECT ticker AS unique_id, session::TIMESTAMP AS ds, * EXCLUDE (ticker, session) FROM ({own})"
        )

    def long(self, *tickers: str) -> Any:
        """The newest forecasts in the long layout, as the model `tickercast`."""
        return as_kind(_as_long(self._pandas("latest_forecasts", tickers, "ticker, step")), self._kind)

    def past(self, *tickers: str) -> Any:
        """Forecasts whose outcome is known, in the long layout with `cutoff` and `y`."""
        rows = self._pandas(f"(FROM {_HISTORY} WHERE actual IS NOT NULL)", tickers, "ticker, cutoff, step")
        made = _as_long(rows)
        made.insert(2, "cutoff", rows["cutoff"])
        made.insert(3, "y", rows["actual"])
        return as_kind(made, self._kind)

    def plot(self, ticker: str, *, sessions: int = SHOWN, ax: Any = None) -> Any:
        """The ticker's closes over what had been forecast for them, and the fan of the newest forecast.

        Args:
            sessions: so many before the forecast.
            ax: what to draw on; a new figure where there is none.

        Returns:
            The `matplotlib.axes.Axes`; a notebook shows the figure by itself, `ax.figure.savefig` keeps it.

        Raises:
            UsageError: there is no such ticker, or matplotlib, which the extra `plot` brings, is not
                installed.
        """
        (name,) = parse_tickers([ticker])
        closes = self._pandas(_SERIES.format(instant=_instant(None)), [name], "session").rename(
            columns={"session": "ds"}
        )
        fan = _as_long(self._pandas("latest_forecasts", [name], "step"))
        if closes.empty:
            raise UsageError(
                f"there are no prices of {name} in {self.where}: expected a ticker of its forecasts"
            )
        said = self._pandas(
            f"(FROM {_HISTORY} WHERE step = 1 AND actual IS NOT NULL)", [name], "target_session"
        )
        before = _as_long(said)
        # A split since then is undone by the close itself: it is known on both bases.
        basis = before["ds"].map(closes.set_index("ds")["y"]) / said["actual"]
        numbers = before.columns.drop(["unique_id", "ds"])
        before[numbers] = before[numbers].mul(basis, axis=0)
        return draw(name, closes.tail(sessions), fan, OURS, models_in(fan)[OURS], before=before, ax=ax)

    def _pandas(self, table: str, tickers: Sequence[str], order: str) -> pd.DataFrame:
        return reader.query(self.where, _select(table, tickers, order))


def _instant(known_at: str | None) -> str:
    """As SQL; the end of time where none is named.

    >>> _instant("2024-05-01 22:00+02:00")
    "TIMESTAMP '2024-05-01 20:00:00.000000'"
    >>> _instant("2024-05-01")
    "TIMESTAMP '2024-05-01 23:59:59.999999'"

    Raises:
        UsageError: it is no instant.
    """
    if known_at is None:
        return "TIMESTAMP 'infinity'"
    try:
        instant = pd.Timestamp(known_at)
    except ValueError:
        instant = pd.NaT
    if pd.isna(instant):
        raise UsageError(f"known_at {known_at!r} is no instant: expected for example '2024-05-01 22:00'")
    if len(known_at) == len("YYYY-MM-DD"):
        instant += pd.Timedelta(days=1) - pd.Timedelta(microseconds=1)
    moment = instant.tz_localize("UTC") if instant.tz is None else instant.tz_convert("UTC")
    return f"TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S.%f}'"


def _select(table: str, tickers: Sequence[str], order: str) -> str:
    names = parse_tickers(name for name in tickers if name != "*") + (("*",) if "*" in tickers else ())
    quoted = ", ".join(f"'{name}'" for name in names)  # one strict pattern lets only A-Z 0-9 . - = ^ through
    asked = f" WHERE ticker IN ({quoted})" if names else ""
    return f"SELECT * FROM {table}{asked} ORDER BY {order}"


def _as_long(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with `ticker`, `target_session`, `point` and the quantiles, in the long layout."""
    return pd.DataFrame(
        {"unique_id": rows["ticker"], "ds": rows["target_session"], **long_columns(OURS, rows["point"], rows)}
    )
