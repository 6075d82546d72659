"""Files of made-up prices that grow from evening to evening, and an evening's ingest of them: in process and
without Prefect.
"""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from flows.settings.layers import gather
from flows.settings.run_config import resolve
from forecast_lib.jobs.ingest.new_prices import Market
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.sessions import TickerCalendar
from tests import plain_runs, reading
from tests.made_up import noisy

SESSIONS = TickerCalendar("XNYS").sessions(dt.date(2023, 3, 1), dt.date(2024, 6, 18))[-300:]
PRICES = ["Open", "High", "Low", "Close"]
WITHOUT_ACTIONS = ["Date", *PRICES, "Volume"]
"""The columns of a file whose maker lists neither dividends nor splits."""


def prices(seed: int = 0) -> pd.DataFrame:
    """One good row for each of SESSIONS, moving by 1 % a day, with no dividend and no split."""
    made = noisy(len(SESSIONS), seed)
    figures = dict(
        zip((*PRICES, "Volume"), (made.open, made.high, made.low, made.close, made.volume), strict=True)
    )
    return pd.DataFrame({"Date": SESSIONS, **figures, "Dividends": 0.0, "Stock Splits": 0.0})


def times(rows: pd.DataFrame, factor: float, places: slice) -> pd.DataFrame:
    """The same rows with other prices, from one place among SESSIONS to another, the last one excluded."""
    inside = rows["Date"].isin(SESSIONS[places])
    return rows.assign(**{name: rows[name].where(~inside, rows[name] * factor) for name in PRICES})


def with_action(rows: pd.DataFrame, column: str, value: float, place: int) -> pd.DataFrame:
    """The same rows with a dividend or a split on a session."""
    return rows.assign(**{column: rows[column].mask(rows["Date"] == SESSIONS[place], value)})


def without(rows: pd.DataFrame, places: slice) -> pd.DataFrame:
    """The same rows without those of some sessions."""
    return rows[~rows["Date"].isin(SESSIONS[places])]


def day(place: int) -> str:
    """A session's date as text."""
    return str(SESSIONS[place].date())


def after(place: int, minutes: int = 0) -> dt.datetime:
    """UTC time on a session's evening, so long after its ingest."""
    return dt.datetime.combine(SESSIONS[place].date(), dt.time(22, 30), dt.UTC) + dt.timedelta(
        minutes=minutes
    )


@dataclass(frozen=True)
class Evenings:
    """One workspace, filled from a folder of CSV files or from one Parquet file, which is taken in whole as
    far as it is plain.
    """

    folder: Path
    form: str

    @property
    def workspace(self) -> Path:
        """Where the runs are stored."""
        return self.folder / "workspace"

    def ingest(
        self,
        place: int,
        files: dict[str, pd.DataFrame],
        rules: str = "",
        also: tuple[str, ...] = (),
        universe: Path | None = None,
    ) -> dict[str, str]:
        """Takes in each ticker's rows up to the session at `place`, on its evening.

        Args:
            also: tickers that are asked for and have no rows.
            universe: the file that says which tickers are asked for; all that have rows where there is none.

        Returns:
            By ticker that is degraded, the rule that it broke.
        """
        summary = self.summary(place, files, rules, also, universe)
        return {row["ticker"]: row["reason"].partition(":")[0] for row in summary.degraded}

    def summary(
        self,
        place: int,
        files: dict[str, pd.DataFrame],
        rules: str = "",
        also: tuple[str, ...] = (),
        universe: Path | None = None,
    ) -> RunSummary:
        """As `ingest`, and the run's whole summary."""
        until = {ticker: rows[rows["Date"] <= SESSIONS[place]] for ticker, rows in files.items()}
        asked = {"universe": str(universe)} if universe else {"tickers": ",".join([*files, *also])}
        given = {
            "files": str(self._written(until)),
            **asked,
            "workspace": str(self.workspace),
            "as_of": day(place),
        }
        return plain_runs.ingest(resolve(gather({**given, "rules": rules}, environ={}), now=after(place)))

    def past(self, place: int, files: dict[str, pd.DataFrame], universe: Path | None = None) -> Market:
        """The market of an evening again, a month later, from what its ingest knew and stored."""
        asked = {"universe": str(universe)} if universe else {"tickers": ",".join(files)}
        given = {**asked, "source": "simulated", "workspace": str(self.workspace), "as_of": day(place)}
        config = resolve(
            gather({**given, "known_at": after(place).isoformat()}, environ={}),
            now=after(place) + dt.timedelta(days=30),
        )
        return plain_runs.market(config)

    def _written(self, files: dict[str, pd.DataFrame]) -> Path:
        market = self.folder / "market"
        market.mkdir(exist_ok=True)
        if self.form == "csv":
            for ticker, rows in files.items():
                rows.to_csv(market / f"{ticker}.csv", index=False, date_format="%Y-%m-%d")
            return market
        joined = pd.concat(
            [rows.assign(Ticker=ticker, Date=rows["Date"].dt.date) for ticker, rows in files.items()]
        )
        duckdb.from_df(joined).write_parquet(str(market / "all.parquet"))
        return market / "all.parquet"

    def rows(self, sql: str) -> list[tuple]:
        """What a reader of the published database gets."""
        return reading.published(self.workspace, sql)

    def closes(self, ticker: str) -> pd.Series:
        """The newest stored closes of a ticker, by session."""
        found = self.rows(
            f"SELECT session, close FROM current_prices WHERE ticker = '{ticker}' ORDER BY session"
        )
        return pd.Series(
            [close for _, close in found],
            index=pd.DatetimeIndex([session for session, _ in found]),
            dtype=float,
        )

    def has_all_of(self, ticker: str, rows: pd.DataFrame, place: int) -> bool:
        """Whether the ticker's stored closes are those of these rows up to the session at `place`, no more
        and no fewer.
        """
        expected = rows.loc[rows["Date"] <= SESSIONS[place]].set_index("Date")["Close"]
        stored = self.closes(ticker)
        return stored.index.equals(pd.DatetimeIndex(expected.index)) and np.allclose(
            stored, expected, rtol=1e-9
        )
