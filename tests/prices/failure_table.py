"""What becomes of each reply that Yahoo may give: every scripted reply of `fake_yahoo`, put through the real
ingest.

Each ticker has a week of prices when, on the evening in question, its chart is answered with the reply; three
sessions are then new. The flow's own steps run, with the real client and one retry, without its pause.
`python -m tests.bench failures` prints the table.
"""

import dataclasses
import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from flows.settings.layers import gather
from flows.settings.run_config import resolve
from forecast_lib.jobs import night
from forecast_lib.prices.sources.retrying import Retrying
from forecast_lib.prices.sources.yahoo import YahooSource
from forecast_lib.sessions import TickerCalendar
from tests import plain_runs, reading
from tests.prices.fake_yahoo import REPLIES, Bar, FakeYahoo, Listing

__all__ = ["Row", "as_markdown", "failure_table"]

BEFORE, EVENING = dt.date(2024, 6, 25), dt.date(2024, 6, 28)
SESSIONS = TickerCalendar("XNYS").sessions(dt.date(2024, 5, 1), EVENING)
TWICE = Retrying(attempts=2, sleep=lambda _: None)
AT_ONCE = 4
"""A fifth failing ticker would open the circuit breaker, and the others would not be asked."""

_FOUND = """
    SELECT t.ticker, t.status, t.reason, t.rows_new, t.sessions_behind,
        (SELECT count(*) FROM prices AS p WHERE p.run_id = t.run_id AND p.ticker = t.ticker
            AND p.revision > 0),
        (SELECT string_agg(DISTINCT q.rule, ', ') FROM quarantined_prices AS q WHERE q.run_id = t.run_id
            AND q.ticker = t.ticker),
        (SELECT count(*) FROM prices AS p WHERE p.ticker = t.ticker AND p.run_id <> t.run_id)
    FROM run_tickers AS t WHERE t.run_id = $run ORDER BY t.ticker
"""


@dataclass(frozen=True)
class Row:
    """What became of one reply.

    Attributes:
        outcome: the rule or error in the status row; `ok` where there is none.
        rows_new: rows stored, revisions among them.
        refused: rules of the rows in the quarantine.
        kept: rows stored before that are still there.
        reason: of the status row, in full.
    """

    reply: str
    outcome: str
    rows_new: int
    revisions: int
    refused: str
    kept: int
    status: str
    sessions_behind: int
    reason: str


def _listing(ticker: str) -> Listing:
    bars = [
        Bar(session.date(), 100.0 + place, 102.0 + place, 99.0 + place, 101.0 + place, 1000.0 + place)
        for place, session in enumerate(SESSIONS)
    ]
    return Listing(ticker, bars)


@contextmanager
def _led_to(yahoo: FakeYahoo, cache: Path) -> Iterator[None]:
    def source(config, as_of, workspace, tickers=()):  # type: ignore[no-untyped-def]  # as jobs.workspace.price_source
        return YahooSource(
            cache, as_of.now, session=yahoo.session(timeout_s=0.5), pause_s=0.0, retrying=TWICE
        )

    with mock.patch.object(night, "price_source", source):
        yield


def _ingest(workspace: Path, tickers: list[str], day: dt.date, minute: int = 0) -> str:
    now = dt.datetime.combine(day, dt.time(22, minute), dt.UTC)
    given = {"workspace": str(workspace), "tickers": ",".join(tickers), "source": "yahoo", "as_of": str(day)}
    return plain_runs.ingest(resolve(gather(given, environ={}), now=now)).run_id


def failure_table(folder: Path) -> list[Row]:
    """A row for each reply, in the order of `REPLIES`."""
    tickers = {f"F{place}": reply for place, reply in enumerate(REPLIES)}
    names, workspace = list(tickers), folder / "workspace"
    found: dict[str, Row] = {}
    with FakeYahoo(map(_listing, names)) as yahoo, _led_to(yahoo, folder / "cache"):
        _ingest(workspace, names, BEFORE)
        for ticker, reply in tickers.items():
            yahoo.script(ticker, reply)
        for minute, start in enumerate(range(0, len(names), AT_ONCE)):
            run = _ingest(workspace, names[start : start + AT_ONCE], EVENING, minute)
            rows = reading.rows(workspace / "working.duckdb", _FOUND, {"run": run})
            found |= {row[0]: _row(tickers[row[0]], *row[1:]) for row in rows}
    return [found[ticker] for ticker in names]


def _row(
    reply: str,
    status: str,
    reason: str | None,
    rows_new: int,
    behind: int,
    revisions: int,
    refused: str | None,
    kept: int,
) -> Row:
    outcome = (reason or "ok").partition(":")[0] if not (reason or "").startswith("prices are") else "ok"
    return Row(reply, outcome, rows_new, revisions, refused or "", kept, status, behind, reason or "")


def as_markdown(rows: list[Row]) -> str:
    """The table for people; the reasons last."""
    names = [each.name for each in dataclasses.fields(Row)]
    lines = ["| " + " | ".join(name.replace("_", " ") for name in names) + " |", "|" + "---|" * len(names)]
    lines += [
        "| " + " | ".join(str(getattr(row, name)).replace("|", "\\|") for name in names) + " |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"
